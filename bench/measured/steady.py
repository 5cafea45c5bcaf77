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

from measured import report, tracing
from measured.platform import BENCH, Platform

SIDES = ("exact", "float", "torch")
MODELS = ("cnn", "transformer")
WARM_STEPS = 8
LIMIT_SECONDS = 180


def files():
    found = {name: os.path.join(BENCH, "scripts", "steady", name) for name in ("models.py", "torch_alone.py")}
    found["main.py"] = os.path.join(BENCH, "scripts", "steady", "ours.py")
    found["tracing.py"] = os.path.join(BENCH, "measured", "tracing.py")
    return found


def ours(platform, arguments, workers):
    """One job on the platform, to its end."""
    job = platform.submit(f"--exec-start edtPyTorch --numWorker {workers} {arguments}", files())
    limit = time.monotonic() + LIMIT_SECONDS
    while (state := platform.job(job)["state"]) not in ("FINISHED", "ERROR", "STOPPED"):
        if time.monotonic() > limit:
            raise TimeoutError(f"{job} is {state} after {LIMIT_SECONDS} s")
        time.sleep(0.1)
    if state != "FINISHED":
        raise RuntimeError(f"{job} ended as {state}")


def torch_alone(code, arguments, workers):
    """The same in as many processes with PyTorch alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, os.path.join(code, "torch_alone.py"), *arguments.split()]
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


def measure(folder, blocks, steps):
    """Returns (figures, raw): for each model and number of workers our steps with exact and with float sums, PyTorch's, and the ratios of throughputs."""
    code = os.path.join(folder, "steady", "code")
    os.makedirs(code)
    for name, path in files().items():
        shutil.copyfile(path, os.path.join(code, name))
    sys.path.insert(0, os.path.join(BENCH, "scripts", "steady"))
    from models import made

    figures, raw = {}, {}
    with Platform(os.path.join(folder, "steady", "platform"), 2) as platform:
        for workers in (2, 1):
            for model in MODELS:
                name = f"{model}, {workers} workers" if workers > 1 else f"{model}, 1 worker"
                taken = {side: [] for side in SIDES}
                for block in range(blocks):
                    for side in SIDES if block % 2 == 0 else SIDES[::-1]:
                        trace = os.path.join(folder, "steady", f"{model}-{workers}-{side}-{block}")
                        arguments = f"--model {model} --steps {steps} --workers {workers} --trace {trace}"
                        if side == "torch":
                            torch_alone(code, arguments, workers)
                        else:
                            ours(platform, f"{arguments} --sums {side}", workers)
                        taken[side].append(step_ms(trace, steps, workers))
                        report.progress(f"steady: {name}, block {block + 1}, {side}: {taken[side][-1]:.1f} ms")
                exact, plain, theirs = (statistics.median(taken[side]) for side in SIDES)
                figures[name] = {
                    "parameters": sum(each.numel() for each in made(model).parameters()),
                    "exact_step_ms": round(exact, 1),
                    "float_step_ms": round(plain, 1),
                    "torch_step_ms": round(theirs, 1),
                    "exact_throughput_ratio": round(theirs / exact, 3),
                    "float_throughput_ratio": round(theirs / plain, 3),
                    "against": "DistributedDataParallel, gloo" if workers > 1 else "plain loop",
                }
                raw[name] = taken
    return figures, raw
