"""Do elastic jobs keep their promises: same bits whatever happens, short pauses, and the speed of a job that cannot change its size?

chaos   seeded schedules of growth, shrink and KILL of workers, agents and the server; weights, every loss and the sample ids of every
        committed step are compared with the undisturbed run on one worker
pause   a job goes between one and four workers, then loses workers to KILL: how long no step is completed, beside torchrun's elastic
        launcher with the shortest settings it documents and a checkpoint after every step
steady  a step at a size that does not change, beside DistributedDataParallel over gloo, and beside a plain loop with one worker

Times mean something on an otherwise idle machine only: the load average before each part stands among the figures.
"""

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import asdict

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measured import chaos, pauses, report, steady

PARTS = ("chaos", "pause", "steady")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--chaos-seconds", type=int, default=3600, help="begin no schedule after that time")
    parser.add_argument("--rescales", type=int, default=100)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--peer-repetitions", type=int, default=3, help="of torchrun; 0 leaves it out")
    parser.add_argument("--blocks", type=int, default=5, help="of each side in the steady state")
    parser.add_argument("--steps", type=int, default=48, help="of each block")
    parser.add_argument("--keep", metavar="FOLDER", help="work there and leave everything")
    arguments = parser.parse_args()
    parts = tuple(arguments.only or PARTS)
    if arguments.rescales < 2 or arguments.rescales % 2 or arguments.steps < 16 or arguments.blocks < 1 or arguments.schedules < 1:
        parser.error("accepted are an even number of rescales, 16 steps or more, and at least one block and schedule")

    # As Ctrl-C does: server, agents and workers are taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    figures, peers, raw, loads = {}, {}, {}, {}
    with tempfile.TemporaryDirectory(prefix="concertina-bench-") as scratch:
        folder = os.path.abspath(arguments.keep) if arguments.keep else scratch
        if "chaos" in parts:
            loads["before chaos"] = os.getloadavg()[0]
            figures["chaos"], raw["chaos"] = chaos.measure(folder, arguments.schedules, arguments.first_seed, arguments.chaos_seconds)
            rows = [[name, value] for name, value in figures["chaos"].items() if name not in ("events", "models", "pause_ms")]
            rows += [[f"event: {kind}", count] for kind, count in sorted(figures["chaos"]["events"].items())]
            report.table(["chaos", ""], rows)
        if "pause" in parts:
            loads["before pause"] = os.getloadavg()[0]
            measured, reported = pauses.ours(folder, arguments.rescales, arguments.kills)
            sides = {"concertina": measured}
            if arguments.peer_repetitions:
                sides["torchrun, checkpoint every step"] = pauses.torchrun(folder, arguments.peer_repetitions)
            found = {side: pauses.figures(each) for side, each in sides.items()}
            figures["pause"] = found.pop("concertina")
            for kind, changes in reported.items():
                figures["pause"][f"{kind}, as the platform reports"] = report.quantiles([each for _, each in changes] or [0.0])
            peers["pause"] = found
            raw["pause"] = {side: {event: [asdict(one) for one in each] for event, each in events.items()} for side, events in sides.items()}
            raw["pause"]["reported"] = reported
            rows = []
            for side, events in {"concertina": figures["pause"], **found}.items():
                for event, each in events.items():
                    rows.append([side, event, *(each[key] for key in ("p50", "p99", "greatest", "count")), each.get("repeated_steps", "")])
            report.table(["pause, ms", "event", "p50", "p99", "greatest", "count", "steps repeated"], rows)
        if "steady" in parts:
            loads["before steady"] = os.getloadavg()[0]
            figures["steady"], raw["steady"] = steady.measure(folder, arguments.blocks, arguments.steps)
            rows = [[name, *each.values()] for name, each in figures["steady"].items()]
            report.table(["steady state", "parameters", "exact ms", "float ms", "torch ms", "exact ratio", "float ratio", "against"], rows)
    figures["load_average"] = loads
    name = "elastic" if parts == PARTS else "elastic-" + "-".join(sorted(parts))
    report.finish(name, figures, peers, report.versions("torch"), raw)
    return 1 if figures.get("chaos", {}).get("failed_seeds") else 0


if __name__ == "__main__":
    sys.exit(main())
