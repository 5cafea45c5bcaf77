"""What both sides of the rescale benchmark share: when is a job settled, and what did an event do to it."""

import os
import statistics
import time
from dataclasses import dataclass

from measured import tracing

LIMIT_SECONDS = 120
SETTLED_STEPS = 25


@dataclass(frozen=True)
class Settled:
    """A job that has done many steps in a row with the same processes.

    :param at: when that was seen
    :param workers: process ids, in the order in which they first completed a step
    :param steps: how many in a row that were, of each process
    """

    at: float
    workers: list
    steps: int


@dataclass(frozen=True)
class Measured:
    """What an event did to the training.

    :param pause_ms: longest time in which no process completed a step, less the time of an ordinary step of the processes that ended it
    :param resumed_ms: from the event until a step was completed that nobody had begun before it
    :param repeated: steps that were completed again: by the same process, or after the longest gap by one that had no part in them
    :param until_settled_ms: from the event until the job ran at its new size
    :param step_ms: an ordinary step after the event
    """

    pause_ms: float
    resumed_ms: float
    repeated: int
    until_settled_ms: float
    step_ms: float


def settled(folder, size, since, steps=SETTLED_STEPS, seconds=LIMIT_SECONDS):
    """Waits until the last steps were completed by exactly `size` processes, all after a moment; raises TimeoutError after a limit."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        records = tracing.read(folder)
        last = records[max(tracing.since(records, since), len(records) - steps * size) :]
        counts = {}
        for _, _, worker in last:
            counts[worker] = counts.get(worker, 0) + 1
        if len(last) == steps * size and len(counts) == size and min(counts.values()) >= steps - 2:
            first = {}
            for at, _, worker in records:
                first.setdefault(worker, at)
            return Settled(time.monotonic(), sorted(counts, key=first.__getitem__), steps)
        time.sleep(0.05)
    raise TimeoutError(f"no {size} processes trained together within {seconds} s, see {os.path.dirname(folder)}")


def window(folder, since, until):
    """Measures the time from an event until the job was settled again.

    :param since: moment of the event
    :param until: the job as it settled
    """
    records = tracing.read(folder)
    records = records[: tracing.since(records, until.at)]
    before = records[: tracing.since(records, since)]
    inside = before[-1:] + records[len(before) :]
    ends = [at for at, _, _ in inside]
    ordinary = ordinary_step(records, until.workers[0], until.steps)
    former = ordinary_step(before, before[-1][2], until.steps)
    turn = _turn({process for _, _, process in before}, inside, until)
    pause, gap_end = max((later - earlier - (ordinary if later >= turn else former), later) for earlier, later in zip(ends, ends[1:]))
    before_gap = max(step for at, step, _ in records if at < gap_end)
    highest, repeated = max(step for _, step, _ in before), set()
    in_flight = highest + 1
    latest = {}
    for _, step, process in before:
        latest[process] = max(step, latest.get(process, 0))
    for at, step, process in inside[1:]:
        # Workers of one step complete it one after the other, on a full machine the last of them long after the first.
        late = process in latest and latest[process] == step - 1
        if not late and (step < highest or (step == before_gap and at >= gap_end)):
            repeated.add(step)
        highest = max(highest, step)
        latest[process] = max(step, latest.get(process, 0))
    resumed = min((at for at, step, _ in inside if step > in_flight), default=until.at)
    first_settled = records[-until.steps * len(until.workers)][0]
    return Measured(
        pause_ms=1000 * max(0.0, pause),
        resumed_ms=1000 * (resumed - since),
        repeated=len(repeated),
        until_settled_ms=1000 * max(0.0, first_settled - since),
        step_ms=1000 * ordinary,
    )


def _turn(former, inside, until):
    """When the first step was completed in which the processes that trained afterwards took part together.

    :param former: those that trained before the event
    """
    newcomers = [(at, step) for at, step, process in inside if process in until.workers and process not in former]
    leaving = [at for at, _, process in inside if process in former and process not in until.workers]
    if not newcomers:
        last = max(leaving, default=0.0)
        return min((at for at, _, _ in inside if at > last), default=until.at)
    at, step = min(newcomers)
    # Another worker may have completed the same step first; after a restart from a checkpoint, others completed it long before.
    together = [each for each, number, _ in inside if number == step and each > max(leaving, default=0.0)]
    return min(at, *together)


def ordinary_step(records, process, steps):
    """Median time from one completed step to the next, in seconds, of a process's latest steps."""
    ends = [at for at, _, each in records if each == process][-steps:]
    return statistics.median(later - earlier for earlier, later in zip(ends, ends[1:]))
