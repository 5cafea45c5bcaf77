"""Seeded lives of elastic jobs: they grow, shrink, lose workers, agents and the server, and must end as if nothing had happened."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
from collections import Counter

from measured import commits, report
from measured.cluster import Cluster
from measured.platform import BENCH, HOME

MODELS = ("mlp", "cnn", "transformer")
EPOCHS = 12
STEPS_PER_EPOCH = 25
STEPS = EPOCHS * STEPS_PER_EPOCH
PACE_MILLIS = 3
LIMIT_SECONDS = 180

# How often each is drawn. Server and agents take seconds to come back, so they are drawn less.
WEIGHTS = {"shrink": 6, "grow": 6, "worker kill": 8, "agent kill": 2, "all agents kill": 1, "server kill": 2}


class Schedule:
    """What happens to one job, as a function of the seed alone: its model, and (step, event, random number) in order of steps."""

    def __init__(self, seed):
        draw = random.Random(seed)
        self.seed = seed
        self.model = draw.choice(MODELS)
        kinds = draw.choices(list(WEIGHTS), list(WEIGHTS.values()), k=draw.randint(3, 6))
        steps = sorted(draw.randint(2, STEPS - 60) for _ in kinds)
        self.events = [(step, kind, draw.random()) for step, kind in zip(steps, kinds)]

    def __str__(self):
        return f"seed {self.seed}: {self.model}, " + ", ".join(f"{kind} at {step}" for step, kind, _ in self.events)


def script_files():
    """The chaos job's archive."""
    files = {"main.py": os.path.join(BENCH, "scripts", "chaos", "main.py")}
    files["commits.py"] = os.path.join(BENCH, "measured", "commits.py")
    return files


def undisturbed(folder, model, device):
    """The same script in one process without any platform: (its Run, digest of its weights)."""
    report.progress(f"chaos: undisturbed run of {model}")
    scratch = os.path.join(folder, "undisturbed", model)
    os.makedirs(scratch)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RESULT_DIR": scratch}
    environment["PYTHONPATH"] = os.path.join(HOME, "python")
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    for name, path in script_files().items():
        shutil.copyfile(path, os.path.join(scratch, name))
    trace = os.path.join(scratch, "trace")
    command = [sys.executable, os.path.join(scratch, "main.py"), "--model", model, "--trace", trace, "--epochs", str(EPOCHS)]
    done = subprocess.run(command, env=environment, cwd=scratch, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"the undisturbed run of {model} ended with {done.returncode}: {done.stderr[-2000:]}")
    entries = commits.read(trace)
    run = commits.Run(entries, STEPS_PER_EPOCH)
    check_the_comparison(entries, run)
    faults = run.differences(run, STEPS)
    if faults:
        raise RuntimeError(f"the undisturbed run of {model} is not whole: {faults[:3]}")
    for epoch in range(EPOCHS):
        ids = [number for step in range(STEPS_PER_EPOCH) for number in run.ids[epoch * STEPS_PER_EPOCH + step + 1]]
        if sorted(ids) != list(range(len(ids))):
            raise RuntimeError(f"the undisturbed run of {model} does not take each sample once in epoch {epoch}")
    return run, digest(os.path.join(scratch, "model", "train", "model_epoch_final.pth"))


def check_the_comparison(entries, run):
    """Damages a run's lines in the ways that the comparison must notice; raises when it does not notice one."""

    def without(kind):
        return [entry for entry in entries if not (entry["kind"] == kind and entry["step"] == 9)]

    def altered(kind, **changes):
        return [{**entry, **changes} if entry["kind"] == kind and entry["step"] == 9 else entry for entry in entries]

    ids = next(entry["ids"] for entry in entries if entry["kind"] == "computed" and entry["step"] == 9)
    again = [{**entry, "generation": entry["generation"] + 1} for entry in entries if entry["kind"] != "logged" and entry["step"] == 9]
    damages = {
        "a step nobody committed": without("committed"),
        "a step nobody computed": without("computed"),
        "samples in another order": altered("computed", ids=ids[::-1]),
        "a sample missing": altered("computed", ids=ids[1:]),
        "a sample twice": altered("computed", ids=[*ids, ids[0]]),
        "another loss": altered("committed", loss=(0.5).hex()),
        "a finished step committed again": entries + again,
        "a loss not logged": [entry for entry in entries if not (entry["kind"] == "logged" and entry["iteration"] == 9)],
    }
    for damage, lines in damages.items():
        if not commits.Run(lines, STEPS_PER_EPOCH).differences(run, STEPS):
            raise RuntimeError(f"the comparison does not notice {damage}")


def digest(path):
    """SHA-256 of a saved model's weights, from the file alone."""
    sys.path.insert(0, os.path.join(HOME, "python"))
    import torch
    from concertina import weights_digest

    return weights_digest(torch.load(path, weights_only=True))


class Tail:
    """Follows the commits of a job's processes without reading a line twice."""

    def __init__(self, folder):
        self._folder = folder
        self._offsets = {}
        self.step = 0
        self.generation = -1
        self.processes = {}

    def update(self):
        for name in os.listdir(self._folder) if os.path.isdir(self._folder) else ():
            with open(os.path.join(self._folder, name), "rb") as file:
                file.seek(self._offsets.get(name, 0))
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._offsets[name] = self._offsets.get(name, 0) + len(whole)
            for line in whole.splitlines():
                entry = json.loads(line)
                if entry["kind"] == "committed" and entry["generation"] >= self.generation:
                    if entry["generation"] > self.generation:
                        self.generation, self.processes = entry["generation"], {}
                    self.processes[entry["rank"]] = int(name.split(".")[0])
                    self.step = entry["step"]
        return self


class Life:
    """One schedule carried out on a cluster; `run` returns what came of it."""

    def __init__(self, cluster, folder, schedule, expected, device):
        self._cluster = cluster
        self._device = device
        self._folder = os.path.join(folder, f"seed{schedule.seed}")
        self._schedule = schedule
        self._run, self._digest = expected
        self._fillers = []
        self._effective = Counter()
        self._limit = time.monotonic() + LIMIT_SECONDS

    def run(self):
        shutil.rmtree(self._folder, ignore_errors=True)
        trace = os.path.join(self._folder, "trace")
        os.makedirs(trace)
        line = f"--exec-start edtPyTorch --numWorker 4 --model {self._schedule.model} --trace {trace} --epochs {EPOCHS} --pace-ms {PACE_MILLIS}"
        line += f" --workerDeviceType {self._device}"
        began = time.monotonic()
        self._tail = Tail(trace)
        job = self._cluster.submit(line, script_files())
        try:
            for step, kind, number in self._schedule.events:
                while self._tail.update().step < step:
                    self._pause(f"step {step} of {job}, which is at {self._tail.step}")
                if self._tail.step >= STEPS - 5:
                    self._effective["too late"] += 1
                    continue
                getattr(self, "_" + kind.replace(" ", "_"))(number)
            described = self._cluster.job(job)
            while described["state"] not in ("FINISHED", "ERROR", "STOPPED"):
                self._pause(f"the end of {job}, which is {described['state']} at step {self._tail.update().step}")
                described = self._cluster.job(job)
        finally:
            for filler in self._fillers:
                self._end(filler)
        sizes = [change["members"] for change in described["switches"]]
        self._effective["generation with more workers"] = sum(later > earlier for earlier, later in zip(sizes, sizes[1:]))
        self._effective["generation with fewer workers"] = sum(later < earlier for earlier, later in zip(sizes, sizes[1:]))
        found = commits.Run(commits.read(trace), STEPS_PER_EPOCH)
        faults = found.differences(self._run, STEPS)
        if described["state"] != "FINISHED":
            faults.insert(0, f"{job} ended as {described['state']}: {described.get('reason')}")
        if described.get("weightsSha256") != self._digest:
            faults.insert(0, f"weights {described.get('weightsSha256')}, undisturbed {self._digest}")
        return {
            "seed": self._schedule.seed, "model": self._schedule.model, "events": self._schedule.events, "job": job, "faults": faults,
            "effective": dict(self._effective), "sizes": sizes, "pauses": [change["pauseMillis"] for change in described["switches"]],
            "repeatedInFlight": found.repeated_in_flight, "repeatedAfterLossOfAllWorkers": found.repeated_after_loss_of_all,
            "resumed": found.resumed, "begunAgain": found.restarted, "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip

    def _shrink(self, _):
        if len(self._fillers) < 3:
            line = "--exec-start PyTorch --msd-priority 9000"
            self._fillers.append(self._cluster.submit(line, {"main.py": os.path.join(BENCH, "scripts", "filler.py")}))

    def _grow(self, number):
        if self._fillers:
            self._end(self._fillers.pop(int(number * len(self._fillers))))

    def _worker_kill(self, number):
        processes = self._tail.update().processes
        victim = processes[sorted(processes)[int(number * len(processes))]]
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            self._effective["worker kill too late"] += 1
            return
        self._effective["worker kill, all workers" if len(processes) == 1 else "worker kill"] += 1

    def _agent_kill(self, number):
        self._kill_agents([self._cluster.names[int(number * len(self._cluster.names))]], "agent kill")

    def _all_agents_kill(self, _):
        self._kill_agents(self._cluster.names, "all agents kill")

    def _kill_agents(self, names, kind):
        for name in names:
            self._cluster.kill(name)
        for name in names:
            self._cluster.start_agent(name)
        self._effective[kind] += 1

    def _server_kill(self, _):
        self._cluster.kill("server")
        self._cluster.start_server()
        self._effective["server kill"] += 1

    def _end(self, filler):
        try:
            self._cluster.stop(filler)
        except urllib.error.HTTPError as error:
            # A filler that lost its agent has ended already.
            if error.code >= 500:
                raise

    def _pause(self, awaited):
        if time.monotonic() > self._limit:
            raise TimeoutError(f"{awaited} was not seen within {LIMIT_SECONDS} s")
        time.sleep(0.03)


def measure(folder, schedules, first_seed, seconds, device="cpu"):
    """Carries out schedules until all are done or the time is over; returns (figures, raw results of each, targets).

    On two agents of two slots each, or on four agents that all have the same GPU.
    """
    report.progress(f"chaos: seeds {first_seed} to {first_seed + schedules - 1} on {device}")
    expected, done, began = {}, [], time.monotonic()
    gpu = device == "gpu"
    with Cluster(os.path.join(folder, "cluster"), 4 if gpu else 2, None if gpu else 2) as cluster:
        for seed in range(first_seed, first_seed + schedules):
            if time.monotonic() - began > seconds:
                report.progress(f"chaos: {seconds} s are over after {len(done)} of {schedules} schedules")
                break
            schedule = Schedule(seed)
            if schedule.model not in expected:
                expected[schedule.model] = undisturbed(folder, schedule.model, device)
            try:
                result = Life(cluster, folder, schedule, expected[schedule.model], device).run()
            except (TimeoutError, OSError, KeyError) as error:
                result = {"seed": seed, "model": schedule.model, "events": schedule.events, "faults": [f"{type(error).__name__}: {error}"]}
            cluster.await_agents()
            done.append(result)
            report.progress(f"{schedule}: {'differs' if result['faults'] else 'same'}, {result.get('seconds', 0)} s, {result.get('effective')}")
            if result["faults"]:
                for fault in result["faults"][:5]:
                    report.progress(f"  {fault}")
                report.progress(f"  again: ./concertina bench elastic --only chaos --first-seed {seed} --schedules 1 --keep FOLDER")
    effective = Counter()
    for each in done:
        effective.update(each.get("effective", {}))
    pauses = [pause for each in done for pause in each.get("pauses", []) if pause]
    figures = {
        "schedules": len(done),
        "asked_for": schedules,
        "first_seed": first_seed,
        "identical": sum(not each["faults"] for each in done),
        "failed_seeds": [each["seed"] for each in done if each["faults"]],
        "models": dict(Counter(each["model"] for each in done)),
        "events": dict(effective),
        "steps_repeated_in_flight": sum(each.get("repeatedInFlight", 0) for each in done),
        "steps_repeated_after_loss_of_all_workers": sum(each.get("repeatedAfterLossOfAllWorkers", 0) for each in done),
        "resumed_from_checkpoint": sum(each.get("resumed", 0) for each in done),
        "begun_again": sum(each.get("begunAgain", 0) for each in done),
        "pause_ms": report.quantiles(pauses) if pauses else None,
        "seconds": round(time.monotonic() - began),
    }
    what = f"schedules with the weights, losses and samples of the undisturbed run, of {len(done)}, {device}"
    return figures, done, [report.target(what, figures["identical"], "≥", len(done), "")]


def show(figures):
    """Prints the table."""
    rows = [[name, value] for name, value in figures.items() if name not in ("events", "models", "pause_ms")]
    report.table(["chaos", ""], rows + [[f"event: {kind}", count] for kind, count in sorted(figures["events"].items())])
