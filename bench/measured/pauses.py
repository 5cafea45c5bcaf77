"""How long training stands still: a job goes from four workers to one and back many times, then loses workers to KILL."""

import os
import time

from measured import report
from measured.platform import BENCH, ElasticJob, Platform
from measured.torchrun import Torchrun
from measured.window import settled, window

WIDTH = 32


class WideJob(ElasticJob):
    """Shrinks to one worker for a gang of three that computes nothing, and grows to four when that is stopped."""

    def shrink(self):
        since = time.monotonic()
        files = {"main.py": os.path.join(BENCH, "scripts", "filler.py")}
        self._second = self._platform.submit("--exec-start distPyTorch --numWorker 3 --msd-priority 9000", files)
        return window(self.trace, since, settled(self.trace, 1, since))


def ours(folder, rescales, kills):
    measured = {"shrink": [], "grow": [], "kill": []}
    with Platform(os.path.join(folder, "pause"), 4) as platform:
        job = WideJob(platform, os.path.join(folder, "pause", "job"), WIDTH)
        for count in range(rescales // 2):
            for event in ("shrink", "grow"):
                measured[event].append(getattr(job, event)())
            if count % 10 == 9:
                report.progress(f"pause: {2 * count + 2} rescales, the last two {measured['shrink'][-1].pause_ms:.0f} and {measured['grow'][-1].pause_ms:.0f} ms")
        planned = job.pauses_reported()
        for _ in range(kills):
            measured["kill"].append(job.kill())
            report.progress(f"pause: KILL of a worker, {measured['kill'][-1].pause_ms:.0f} ms")
        reported = {"planned": planned, "after KILL": job.pauses_reported()[len(planned) :]}
        platform.stop(job.job)
    return measured, reported


def torchrun(folder, repetitions):
    """From one to four and back, with the shortest settings it documents and a checkpoint after every step, in its favour."""
    measured = {"shrink": [], "grow": [], "kill": []}
    with Torchrun(os.path.join(folder, "torchrun"), 1, WIDTH) as job:
        job.start(1)
        for _ in range(repetitions):
            measured["grow"].append(job.grow(3))
            measured["kill"].append(job.kill())
            measured["shrink"].append(job.shrink(3))
            report.progress("pause: torchrun " + ", ".join(f"{event} {each[-1].pause_ms:.0f} ms" for event, each in measured.items()))
    return measured


def figures(measured):
    """Quantiles by event, planned ones also together, with repeated steps in all."""
    found = {}
    events = {**measured, "grow and shrink": measured["grow"] + measured["shrink"]}
    for event, each in events.items():
        if each:
            found[event] = {**report.quantiles([one.pause_ms for one in each]), "repeated_steps": sum(one.repeated for one in each)}
    return found
