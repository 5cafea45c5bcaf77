"""How long training stands still: a job goes from four workers to one and back many times, then loses workers to KILL."""

import argparse
import os
import sys
import time
from dataclasses import dataclass

from measured import ray_train, report, torchrun, transfer
from measured.cluster import Cluster
from measured.platform import BENCH, HOME, ElasticJob
from measured.window import window

LIMIT_MS = 100
KILL_LIMIT_MS = 1500
EVENTS = ("shrink", "grow", "kill")
# Changes before those that count, in which server and agent compile what they run most.
WARM_RESCALES = 10
# The same measurement while nothing happens: what of a pause is the machine's own unrest.
QUIET = {4: "nothing, 4 workers", 1: "nothing, 1 worker"}


@dataclass(frozen=True)
class Model:
    """What a job trains.

    :param arguments: of the scripts, for this model
    :param batch: samples of each of the four logical workers in a step
    :param steps: in a row after which a job counts as settled
    """

    name: str
    arguments: str
    batch: int
    steps: int

    def megabytes(self):
        """(of its parameters, of the state that a newcomer gets: parameters and momentum), in millions of bytes."""
        sys.path[:0] = [os.path.join(BENCH, "scripts", "elastic"), os.path.join(HOME, "examples", "digits")]
        import models

        parser = argparse.ArgumentParser()
        models.add_arguments(parser)
        made = models.made(parser.parse_args(self.arguments.split()))
        parameters = sum(4 * each.numel() for each in made.parameters())
        return parameters / 1e6, (2 * parameters + sum(each.numel() * each.element_size() for each in made.buffers())) / 1e6


MODELS = {
    "digits": Model("convolutional, 0.2 MB", "--width 32", 16, 25),
    "9mb": Model("dense, 9 MB", "--hidden 1460", 4, 12),
    "100mb": Model("dense, 100 MB", "--hidden 4962", 1, 4),
}


class WideJob(ElasticJob):
    """Shrinks to one worker for a gang of three that computes nothing, and grows to four when that is stopped."""

    def nothing(self, size):
        """Lets the job train."""
        since = time.monotonic()
        return window(self.trace, since, self._settled(size, since))

    def shrink(self):
        since = time.monotonic()
        files = {"main.py": os.path.join(BENCH, "scripts", "filler.py")}
        self._second = self._platform.submit("--exec-start distPyTorch --numWorker 3 --msd-priority 9000", files)
        return window(self.trace, since, self._settled(1, since))


def ours(folder, model, rescales, kills, device="cpu"):
    """(what was measured by event, what the platform says of the same changes) of one job on four slots of one agent.

    With a GPU the slots are those of four agents, which all have the same one.
    """
    measured = {event: [] for event in (*EVENTS, *QUIET.values())}
    gpu = device == "gpu"
    with Cluster(os.path.join(folder, "platform"), 4 if gpu else 1, None if gpu else 4) as platform:
        job = WideJob(platform, os.path.join(folder, "job"), model.arguments, model.batch, model.steps, device)
        for _ in range(WARM_RESCALES // 2):
            job.shrink()
            job.grow()
        for count in range(rescales // 2):
            for event, size in (("shrink", 1), ("grow", 4)):
                measured[event].append(getattr(job, event)())
                measured[QUIET[size]].append(job.nothing(size))
            if count % 10 == 9 or count == rescales // 2 - 1:
                last = [measured[event][-1].pause_ms for event in ("shrink", "grow")]
                report.progress(f"pause: {model.name}, {2 * count + 2} rescales, the last two {last[0]:.0f} and {last[1]:.0f} ms")
        planned = job.pauses_reported()[1 + WARM_RESCALES :]
        for _ in range(kills):
            measured["kill"].append(job.kill())
            report.progress(f"pause: {model.name}, KILL of a worker, a new step after {measured['kill'][-1].resumed_ms:.0f} ms")
        reported = {"planned": planned, "after KILL": job.pauses_reported()[1 + WARM_RESCALES + len(planned) :]}
        platform.stop(job.job)
    return measured, reported


def peer(job, name, repetitions):
    """The same three events of a peer's job, which has one worker at first."""
    measured = {event: [] for event in EVENTS}
    for _ in range(repetitions):
        measured["grow"].append(job.grow(3))
        measured["kill"].append(job.kill())
        measured["shrink"].append(job.shrink(3))
        report.progress(f"pause: {name}: " + ", ".join(f"{event} {each[-1].pause_ms:.0f} ms" for event, each in measured.items()))
    return measured


def peers(folder, model, torchrun_repetitions, ray_repetitions, checkpoint_steps):
    """(name to (measured, what it is and how it was set), what could not be compared and why)."""
    found, missing = {}, {}
    batch = 4 * model.batch
    for every in checkpoint_steps if torchrun_repetitions else ():
        name = "torchrun, " + _checkpoints(every)
        with torchrun.Torchrun(os.path.join(folder, f"torchrun{every}"), every, model.arguments, batch, model.steps) as job:
            job.start(1)
            used = {"version": report.versions("torch")["torch"], "flags": torchrun.FLAGS}
            found[name] = peer(job, name, torchrun_repetitions), used
    try:
        for every in checkpoint_steps if ray_repetitions else ():
            interpreter, version = ray_train.python()
            name = "Ray Train, " + _checkpoints(every)
            with ray_train.RayTrain(interpreter, os.path.join(folder, f"ray{every}"), every, model.arguments, batch, model.steps) as job:
                found[name] = peer(job, name, ray_repetitions), {"version": version, "flags": ray_train.FLAGS}
    except (ray_train.Missing, TimeoutError) as reason:
        missing["Ray Train"] = str(reason)
        report.progress(f"pause: Ray Train is not compared: {reason}")
    return found, missing


def _checkpoints(every):
    return "checkpoint every step" if every == 1 else f"checkpoint every {every} steps"


def figures(measured):
    """Quantiles by event, planned ones also together, with repeated steps in all."""
    found = {}
    events = {**measured, "grow and shrink": measured["grow"] + measured["shrink"]}
    for event, each in events.items():
        if each:
            found[event] = {**report.quantiles([one.pause_ms for one in each]), "repeated_steps": sum(one.repeated for one in each)}
    if measured["kill"]:
        until = report.quantiles([one.resumed_ms for one in measured["kill"]])
        found["kill until a new step"] = {**until, "repeated_steps": found["kill"]["repeated_steps"]}
    return found


def limit(model):
    """(most milliseconds that a planned pause may take, how that comes about)."""
    parameters, state = model.megabytes()
    described = {"parameters_megabytes": round(parameters, 1), "state_megabytes": round(state, 1)}
    if parameters < 10:
        return LIMIT_MS, {**described, "limit_ms": LIMIT_MS}
    taken = transfer.seconds(round(state * 1e6), 3)
    described["transfer_megabytes_per_second"] = round(state / taken)
    described["transfer_ms"] = round(1000 * taken)
    return LIMIT_MS + 1000 * taken, {**described, "limit_ms": round(LIMIT_MS + 1000 * taken)}


def targets(name, found, most):
    """Rows of what is promised."""
    rows = []
    planned = found.get("grow and shrink")
    if planned:
        rows.append(report.target(f"pause of a planned change, p99 of {planned['count']}, {name}", planned["p99"], "≤", round(most), "ms"))
        rows.append(report.target(f"steps repeated by {planned['count']} planned changes, {name}", planned["repeated_steps"], "≤", 0, ""))
    killed = found.get("kill until a new step")
    if killed:
        what = f"from KILL to a step that nobody had begun, greatest of {killed['count']}, {name}"
        rows.append(report.target(what, killed["greatest"], "≤", KILL_LIMIT_MS, "ms"))
        rows.append(report.target(f"steps repeated by {killed['count']} KILLs, {name}", killed["repeated_steps"], "≤", killed["count"], ""))
    return rows


def measure(folder, names, rescales, kills, repetitions, peer_model, checkpoint_steps):
    """Returns (figures, figures of peers, raw, targets).

    :param rescales: name of a model to how many
    :param kills: the same
    :param repetitions: of torchrun and of Ray Train
    """
    found, theirs, raw, goals = {}, {}, {}, []
    for name in names:
        model = MODELS[name]
        since = time.monotonic()
        most, described = limit(model)
        measured, reported = ours(os.path.join(folder, "pause", name), model, rescales[name], kills[name])
        found[model.name] = {**figures(measured), **described, "seconds": round(time.monotonic() - since)}
        for kind, changes in reported.items():
            if changes:
                found[model.name][f"{kind}, as the platform reports"] = report.quantiles([each for _, each in changes])
        goals += targets(model.name, found[model.name], most)
        raw[model.name] = {**report.raw(measured), "reported": reported}
    since = time.monotonic()
    model = MODELS[peer_model]
    others, missing = peers(os.path.join(folder, "pause", "peers"), model, *repetitions, checkpoint_steps)
    for name, (measured, used) in others.items():
        theirs[name] = {"model": model.name, **used, **figures(measured)}
        raw[name] = report.raw(measured)
    theirs.update({name: {"not compared": reason} for name, reason in missing.items()})
    if others:
        found["seconds of the peers"] = round(time.monotonic() - since)
    return found, theirs, raw, goals


def show(found, theirs):
    """Prints the table."""
    rows = []
    sides = {f"concertina, {name}": each for name, each in found.items() if isinstance(each, dict)}
    sides.update({f"{name}, {each['model']}": each for name, each in theirs.items() if "model" in each})
    for side, events in sides.items():
        for event, each in events.items():
            if isinstance(each, dict):
                rows.append([side, event, *(each[key] for key in ("p50", "p99", "greatest", "count")), each.get("repeated_steps", "")])
    report.table(["pause, ms", "event", "p50", "p99", "greatest", "count", "steps repeated"], rows)
    for name, each in found.items():
        if isinstance(each, dict):
            rate = each.get("transfer_megabytes_per_second")
            sums = f" = {LIMIT_MS} ms + {each['state_megabytes']} MB of state at {rate} MB/s to three newcomers at once" if rate else ""
            print(f"{name}: {each['parameters_megabytes']} MB of parameters, limit of a planned pause {each['limit_ms']} ms{sums}")
    for name, each in theirs.items():
        used = f"version {each['version']}, {' '.join(each['flags'])}" if "version" in each else f"not compared, {each['not compared']}"
        print(f"{name}: {used}")
