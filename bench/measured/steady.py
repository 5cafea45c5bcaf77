"""Time of an ordinary step at a size that does not change, beside PyTorch with the same model, data, batch and number of threads.

The sides take turns, block by block, so that a machine that slows down slows both. Every block is a job, or processes, of its own.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

from measured import report, tracing
from measured.cluster import Cluster
from measured.platform import BENCH

MODELS = ("cnn", "transformer")
WARM_STEPS = 20
LIMIT_SECONDS = 180
LEAST_STEP_MS = 50
# What a step is made to take at least, so that one on a faster moment of the machine is not below the former.
WANTED_STEP_MS = 60
GREATEST_BATCH = 4096
EXACT_RATIO, FLOAT_RATIO = 0.93, 0.97
# As PyTorch is used, and as it would be with what Concertina does about the C library's memory.
KEEPING = ", memory kept"


@dataclass(frozen=True)
class Series:
    """Sides that are compared with each other.

    :param workers: processes of each side
    :param logical_workers: micro-batches of a step
    :param device: `cpu` or `gpu`
    :param peers: name of each of PyTorch's sides to its further arguments, in which {whole} stands for the samples of a step
    """

    model: str
    workers: int
    logical_workers: int
    device: str
    peers: dict

    def __str__(self):
        return f"{self.model}, {self.workers} worker{'s' if self.workers > 1 else ''}, {self.device}"


def files():
    found = {name: os.path.join(BENCH, "scripts", "steady", name) for name in ("models.py", "torch_alone.py")}
    found["main.py"] = os.path.join(BENCH, "scripts", "steady", "ours.py")
    found["tracing.py"] = os.path.join(BENCH, "measured", "tracing.py")
    return found


def ours(platform, arguments, series):
    """One job on the platform, to its end."""
    line = f"--exec-start edtPyTorch --numWorker {series.logical_workers} --workerDeviceType {series.device} {arguments}"
    job = platform.submit(line, files())
    limit = time.monotonic() + LIMIT_SECONDS
    while (state := platform.job(job)["state"]) not in ("FINISHED", "ERROR", "STOPPED"):
        if time.monotonic() > limit:
            raise TimeoutError(f"{job} is {state} after {LIMIT_SECONDS} s")
        # Each question costs the server a connection's keys, milliseconds that PyTorch's side would not lack.
        time.sleep(1.0)
    if state != "FINISHED":
        raise RuntimeError(f"{job} ended as {state}: {platform.job(job).get('reason')}")


def torch_alone(code, arguments, workers):
    """The same in as many processes with PyTorch alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, os.path.join(code, "torch_alone.py"), *arguments.split(), "--workers", str(workers)]
    started = []
    try:
        for rank in range(workers):
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            environment.update({"RANK": str(rank), "WORLD_SIZE": str(workers)})
            started.append(subprocess.Popen(command, env=environment, cwd=code))
        codes = [process.wait(LIMIT_SECONDS) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    if any(codes):
        raise RuntimeError(f"PyTorch's processes ended with {codes}")


def step_ms(trace, steps, workers):
    """Mean time of a step after the warm ones, from all processes' lines; raises when not all of them took every such step."""
    by_process = {}
    for at, _, process in tracing.read(trace):
        by_process.setdefault(process, []).append(at)
    measured = [ends[-(steps - WARM_STEPS) :] for ends in by_process.values()]
    if len(measured) != workers or any(len(ends) != steps - WARM_STEPS for ends in measured):
        raise RuntimeError(f"{workers} processes should have completed {steps - WARM_STEPS} steps each, not {[len(ends) for ends in by_process.values()]}")
    return 1000 * statistics.mean((ends[-1] - ends[0]) / (len(ends) - 1) for ends in measured)


class Comparison:
    """Measures series on a platform; keeps the scripts in a folder of its own."""

    def __init__(self, folder, platform, blocks, steps):
        self._folder = folder
        self._platform = platform
        self._blocks = blocks
        self._steps = steps
        self._code = os.path.join(folder, "code")
        os.makedirs(self._code)
        for name, path in files().items():
            shutil.copyfile(path, os.path.join(self._code, name))

    def batch(self, series):
        """Samples of a micro-batch, doubled until a step of PyTorch alone takes long enough."""
        steps, batch = WARM_STEPS + 6, 16
        while True:
            trace = os.path.join(self._folder, f"{series}-batch{batch}".replace(", ", "-").replace(" ", "-"))
            line = f"--model {series.model} --batch {batch} --steps {steps} --device {series.device} --trace {trace} "
            torch_alone(self._code, line + next(iter(series.peers.values())).format(whole=batch * series.logical_workers), 1)
            taken = step_ms(trace, steps, 1)
            report.progress(f"steady: {series}: a step of PyTorch alone with {batch} samples a micro-batch takes {taken:.1f} ms")
            if taken >= WANTED_STEP_MS or batch >= GREATEST_BATCH:
                return batch
            batch *= 2

    def measure(self, series, blocks=None):
        """(figures, milliseconds of a step by side and block)."""
        batch = self.batch(series)
        sides = ["exact", "float", *series.peers]
        taken = {side: [] for side in sides}
        for block in range(blocks or self._blocks):
            for side in sides if block % 2 == 0 else sides[::-1]:
                trace = os.path.join(self._folder, f"{series}-{side}-{block}".replace(",", "").replace(" ", "-"))
                arguments = f"--model {series.model} --batch {batch} --steps {self._steps} --trace {trace}"
                if side in series.peers:
                    further = series.peers[side].format(whole=batch * series.logical_workers)
                    torch_alone(self._code, f"{arguments} --device {series.device} {further}", series.workers)
                else:
                    ours(self._platform, f"{arguments} --logical {series.logical_workers} --sums {side}", series)
                taken[side].append(step_ms(trace, self._steps, series.workers))
                report.progress(f"steady: {series}, block {block + 1}, {side}: {taken[side][-1]:.1f} ms")
        medians = {side: statistics.median(each) for side, each in taken.items()}
        found = {"micro_batch": batch, "step_ms": {side: round(each, 1) for side, each in medians.items()}}
        found["step_of_50_ms_or_more"] = min(medians[peer] for peer in series.peers) >= LEAST_STEP_MS
        found["throughput_ratio"] = {
            f"{side} against {peer}": round(medians[peer] / medians[side], 3) for peer in series.peers for side in ("exact", "float")
        }
        return found, {side: [round(each, 2) for each in block] for side, block in taken.items()}


def targets(series, found):
    """Rows of what is promised, of a step that takes long enough for the promise."""
    if not found["step_of_50_ms_or_more"]:
        return []
    wanted = {"exact": EXACT_RATIO, "float": FLOAT_RATIO}
    return [
        report.target(f"throughput of {name}, {series}", ratio, "≥", wanted[name.split()[0]], "")
        for name, ratio in found["throughput_ratio"].items()
        if not name.endswith(KEEPING)
    ]


def measure(folder, blocks, steps):
    """Returns (figures, raw, targets): two workers beside DistributedDataParallel, and one beside a plain loop with fewer blocks."""
    folder = os.path.join(folder, "steady")
    figures, raw, goals = {}, {}, []
    for workers in (2, 1):
        # A platform of that many slots, for a job takes all that it can use.
        with Cluster(os.path.join(folder, f"platform{workers}"), 1, workers) as platform:
            comparison = Comparison(os.path.join(folder, f"sides{workers}"), platform, blocks, steps)
            for model in MODELS:
                peer = "DistributedDataParallel over gloo" if workers > 1 else "a plain loop"
                series = Series(model, workers, workers, "cpu", {peer: "", peer + KEEPING: "--keep-memory"})
                figures[str(series)], raw[str(series)] = comparison.measure(series, blocks if workers > 1 else max(1, blocks // 2))
                if workers > 1:
                    goals += targets(series, figures[str(series)])
    return figures, raw, goals


def show(figures):
    """Prints the table."""
    rows = []
    for name, found in figures.items():
        for compared, ratio in found["throughput_ratio"].items():
            side, peer = compared.split(" against ")
            enough = "yes" if found["step_of_50_ms_or_more"] else "NO: outside the promise"
            rows.append([name, side, peer, found["micro_batch"], found["step_ms"][side], found["step_ms"][peer], ratio, enough])
    report.table(["steady state", "sums", "against", "micro-batch", "ms", "its ms", "throughput", f"step ≥ {LEAST_STEP_MS} ms"], rows)
