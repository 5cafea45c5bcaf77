"""Do elastic jobs keep their promises: same bits whatever happens, short pauses, and the speed of a job that cannot change its size?

chaos   seeded schedules of growth, shrink and KILL of workers, agents and the server; weights, every loss and the sample ids of every
        committed step are compared with the undisturbed run on one worker
pause   a job goes between one and four workers, then loses workers to KILL: how long no step is completed, for models of 9 and 100 MB
        and, when asked for, 0.2, beside torchrun's elastic launcher and Ray Train's elastic trainer with the shortest settings they
        document; the peers take long, so they repeat each change a few times only
steady  a step at a size that does not change, beside DistributedDataParallel over gloo, and beside a plain loop with one worker
gpu     where there is a GPU: the same bits and pauses with up to four workers on it, and a step beside a plain loop of PyTorch

Times mean something on an otherwise idle machine only: the load average before each part stands among the figures.
"""

import argparse
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measured import chaos, gpu, pauses, report, steady

PARTS = ("chaos", "pause", "steady", "gpu")


def read():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--chaos-seconds", type=int, default=3600, help="begin no schedule after that time")
    parser.add_argument("--models", choices=sorted(pauses.MODELS), nargs="+", default=["9mb", "100mb"], help="of the pauses")
    parser.add_argument("--rescales", type=int, default=100, help="of models below 10 MB")
    parser.add_argument("--large-rescales", type=int, default=20, help="of larger models")
    parser.add_argument("--kills", type=int, default=20, help="of models below 10 MB; of larger ones a quarter")
    parser.add_argument("--peer-model", choices=sorted(pauses.MODELS), default="9mb", help="that torchrun and Ray Train train")
    parser.add_argument("--peer-repetitions", type=int, default=3, help="of torchrun; 0 leaves it out")
    parser.add_argument("--ray-repetitions", type=int, default=3, help="of Ray Train; 0 leaves it out")
    every = "from one checkpoint of a peer to the next; several are compared one after the other"
    parser.add_argument("--peer-checkpoints", type=int, nargs="+", default=[1], metavar="STEPS", help=every)
    parser.add_argument("--blocks", type=int, default=4, help="of each side in the steady state")
    parser.add_argument("--steps", type=int, default=80, help="of each block")
    parser.add_argument("--gpu-schedules", type=int, default=20)
    parser.add_argument("--gpu-on-cpu", action="store_true", help="try the GPU's part without one; its figures mean nothing")
    parser.add_argument("--keep", metavar="FOLDER", help="work there and leave everything")
    parser.add_argument("--results", metavar="FOLDER", help="put the results there, not below bench/results")
    arguments = parser.parse_args()
    rescales = (arguments.rescales, arguments.large_rescales)
    if min(rescales) < 2 or any(each % 2 for each in rescales) or arguments.steps < 30 or arguments.blocks < 1 or arguments.schedules < 1:
        parser.error("accepted are even numbers of rescales, 30 steps or more, and at least one block and schedule")
    least = min(*arguments.peer_checkpoints, arguments.gpu_schedules, 1)
    if min(arguments.kills, arguments.peer_repetitions, arguments.ray_repetitions) < 0 or least < 1:
        parser.error("accepted are kills and repetitions of at least 0, steps between checkpoints and GPU schedules of at least 1")
    return arguments


class Results(report.Results):
    """Parts that each find figures, raw numbers and targets."""

    def run(self, part, measure):
        self.figures[part], self.raw[part], goals = super().run(part, measure)
        self.targets += goals


def main():
    arguments = read()
    parts = tuple(part for part in PARTS if part in (arguments.only or PARTS))
    # As Ctrl-C does: server, agents and workers are taken down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = Results()
    with tempfile.TemporaryDirectory(prefix="concertina-bench-") as scratch:
        folder = os.path.abspath(arguments.keep) if arguments.keep else scratch
        if "chaos" in parts:
            results.run("chaos", lambda: chaos.measure(folder, arguments.schedules, arguments.first_seed, arguments.chaos_seconds))
            chaos.show(results.figures["chaos"])
        if "pause" in parts:
            results.run("pause", lambda: pause(folder, arguments, results.peers))
            pauses.show(results.figures["pause"], results.peers)
        if "steady" in parts:
            results.run("steady", lambda: steady.measure(folder, arguments.blocks, arguments.steps))
            steady.show(results.figures["steady"])
        if "gpu" in parts:
            graphics(folder, arguments, results)
    report.show_targets(results.targets)
    results.figures.update(targets=results.targets, load_average=results.loads, seconds=results.seconds)
    name = "elastic" if not arguments.only else "elastic-" + "-".join(sorted(parts))
    report.finish(name, results.figures, results.peers, report.versions("torch"), results.raw, arguments.results)
    compared = results.figures.get("chaos", {}), results.figures.get("gpu", {}).get("chaos", {})
    return 1 if any(each.get("failed_seeds") for each in compared) else 0


def pause(folder, arguments, peers):
    small = {name: pauses.MODELS[name].megabytes()[0] < 10 for name in pauses.MODELS}
    rescales = {name: arguments.rescales if small[name] else arguments.large_rescales for name in small}
    kills = {name: arguments.kills if small[name] else arguments.kills // 4 for name in small}
    repetitions = (arguments.peer_repetitions, arguments.ray_repetitions)
    figures, theirs, raw, goals = pauses.measure(
        folder, arguments.models, rescales, kills, repetitions, arguments.peer_model, arguments.peer_checkpoints
    )
    peers.update(theirs)
    return figures, raw, goals


def graphics(folder, arguments, results):
    device = gpu.at_hand()
    if device is None and not arguments.gpu_on_cpu:
        print("no GPU: not run")
        results.figures["gpu"] = {"device": "no GPU: not run"}
        return
    on = "gpu" if device and not arguments.gpu_on_cpu else "cpu"
    few = arguments.rescales, arguments.kills
    results.run("gpu", lambda: gpu.measure(folder, arguments.gpu_schedules, arguments.first_seed, *few, arguments.blocks, arguments.steps, on))
    results.figures["gpu"]["device"] = device if on == "gpu" else "the processor, to try this part"
    gpu.show(results.figures["gpu"])


if __name__ == "__main__":
    sys.exit(main())
