"""How long does training stand still when a running job grows, shrinks or loses a worker, beside torchrun's elastic launcher?

Both train the same network on the same images with the same global batch, on this machine's processors, and write down every completed
step in the same way. A pause is the longest time in which no process completed a step, less the time of one ordinary step; a step is
repeated when it is completed again. torchrun gets the shortest rendezvous settings that it documents, and a local store for every agent,
without which it hangs when it grows; it runs twice, with a checkpoint every 10 steps and with one after each step.
"""

import argparse
import os
import statistics
import sys
import tempfile
from dataclasses import asdict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measured import report
from measured.platform import ElasticJob, Platform
from measured.torchrun import Torchrun

EVENTS = ("grow", "shrink", "kill")
MODEL = "--width 32"


def concertina(folder, repetitions):
    """Ours: one job through all repetitions."""
    measured = {event: [] for event in EVENTS}
    with Platform(os.path.join(folder, "platform"), 4) as platform:
        job = ElasticJob(platform, os.path.join(folder, "job"), MODEL)
        for count in range(repetitions):
            for event in ("shrink", "grow", "kill"):
                measured[event].append(getattr(job, event)())
                tell("concertina", event, count, measured)
        reported = job.pauses_reported()
        platform.stop(job.job)
    return measured, reported


def torchrun(folder, repetitions, checkpoint_steps):
    """torchrun: two agents become four, one process dies, two agents leave, and again."""
    measured = {event: [] for event in EVENTS}
    with Torchrun(os.path.join(folder, f"torchrun{checkpoint_steps}"), checkpoint_steps, MODEL) as job:
        job.start(2)
        for count in range(repetitions):
            measured["grow"].append(job.grow(2))
            tell(f"torchrun/{checkpoint_steps}", "grow", count, measured)
            measured["kill"].append(job.kill())
            tell(f"torchrun/{checkpoint_steps}", "kill", count, measured)
            measured["shrink"].append(job.shrink(2))
            tell(f"torchrun/{checkpoint_steps}", "shrink", count, measured)
    return measured


def tell(side, event, count, measured):
    last = measured[event][-1]
    report.progress(f"{side} {count + 1}: {event} pause {last.pause_ms:.0f} ms, {last.repeated} steps repeated")


def figures(measured):
    """Medians and spreads by event."""
    found = {}
    for event in EVENTS:
        found[event + "_pause_ms"] = report.spread([each.pause_ms for each in measured[event]])
        found[event + "_repeated_steps"] = statistics.median(each.repeated for each in measured[event])
        found[event + "_until_settled_ms"] = report.spread([each.until_settled_ms for each in measured[event]])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=5, help="of ours")
    parser.add_argument("--peer-repetitions", type=int, default=3, help="of torchrun; 0 leaves it out")
    arguments = parser.parse_args()

    sides = {}
    with tempfile.TemporaryDirectory(prefix="concertina-bench-") as folder:
        sides["concertina"], reported = concertina(folder, arguments.repetitions)
        if arguments.peer_repetitions:
            for checkpoint_steps in (10, 1):
                name = "torchrun, checkpoint " + ("every step" if checkpoint_steps == 1 else f"every {checkpoint_steps} steps")
                sides[name] = torchrun(folder, arguments.peer_repetitions, checkpoint_steps)

    rows = []
    for name, measured in sides.items():
        found = figures(measured)
        for event in EVENTS:
            pause = found[event + "_pause_ms"]
            spread = f"{pause['least']:.0f} … {pause['greatest']:.0f}"
            rows.append([name, event, f"{pause['median']:.0f}", spread, f"{found[event + '_repeated_steps']:.0f}"])
    report.table(["side", "event", "pause ms", "least … greatest", "steps repeated"], rows)
    raw = {name: {event: [asdict(each) for each in measured[event]] for event in EVENTS} for name, measured in sides.items()}
    raw["reported by the platform"] = reported
    peers = {name: figures(measured) for name, measured in sides.items() if name != "concertina"}
    report.finish("rescale", figures(sides["concertina"]), peers, report.versions("torch"), raw)


if __name__ == "__main__":
    main()
