"""How good are the samplers, and what do searches cost?

quality   how close our samplers and Optuna's come to the least value of functions after 10, 25, 50 and 100 trials: the same functions and
          seeds, no setting that depends on the function, one trial after the other. The last landscape is the training of a small
          network on images of digits, its regret the validation loss. Ours passes where its median regret is nowhere above that of
          Optuna's TPE or Gaussian process and its mean is below both. With --keep it goes on where an earlier run was interrupted
costs     processor time of one thread for a suggestion, so that a busy machine counts little, after random trials on Hartmann's function
memory    what samplers keep of 1,000 and of 100,000 trials
dispatch  how long 1,000 trials that do nothing take through REST, beside Ray Tune; whether each is durable, and how soon the server answers
          others meanwhile
elastic   time to a target loss of a search with early stopping whose trials grow into freed slots, beside the same search with trials of
          one slot each; the device that computes is imitated by waiting

Times of the last two mean something on an otherwise idle machine only: the load average before each part stands among the figures.
"""

import argparse
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measured import dispatch, growing, quality, report, searches, suggestions
from measured.landscapes import BY_NAME

PARTS = ("quality", "costs", "memory", "dispatch", "elastic")


def read():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be repeated")
    parser.add_argument("--functions", help="which landscapes, with commas between them", default=",".join(BY_NAME))
    parser.add_argument("--seeds", type=int, default=10, help="how many from each first seed on")
    parser.add_argument("--first-seed", type=int, nargs="+", default=[0], help="one, or several of the quality")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--sides", help=f"of the quality, with commas between them: ours, peers, {', '.join(quality.SIDES)}", default="ours,peers")
    parser.add_argument("--keep", metavar="FOLDER", help="keep there each single search of the quality and take from there what ran before")
    parser.add_argument("--parallel", type=int, default=os.cpu_count(), help="searches of the quality at a time")
    parser.add_argument("--quick", action="store_true", help="3 seeds, 50 trials, fewer suggestions timed, memory at 10,000")
    parser.add_argument("--no-peers", action="store_true", help="leave Optuna out")
    parser.add_argument("--all-ours", action="store_true", help="also our samplers that are not auto")
    parser.add_argument("--no-costs", action="store_true", help="regrets alone")
    parser.add_argument("--dispatched", type=int, default=dispatch.TARGET_TRIALS, help="empty trials of each dispatched search")
    at_a_time = "empty trials under way at most; several are measured one after the other"
    parser.add_argument("--at-a-time", type=int, nargs="+", default=[4, 1000], help=at_a_time)
    parser.add_argument("--ray-trials", type=int, default=40, help="empty trials of Ray Tune; 0 leaves it out")
    parser.add_argument("--elastic-seeds", type=int, default=5, help="how many searches of each side are timed to their target")
    parser.add_argument("--elastic-epochs", type=int, default=growing.EPOCHS, help=f"of their trials at most, {growing.FIRST_RUNG} or more")
    parser.add_argument("--results", metavar="FOLDER", help="put the results there, not below bench/results")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.trials = min(arguments.seeds, 3), min(arguments.trials, 50)
    least = min(arguments.seeds, arguments.trials, arguments.parallel, arguments.elastic_seeds, arguments.dispatched, *arguments.at_a_time)
    if least < 1 or min(*arguments.first_seed, arguments.ray_trials) < 0:
        parser.error("accepted are numbers of at least 1, and a first seed and trials of Ray Tune of at least 0")
    if arguments.elastic_epochs < growing.FIRST_RUNG:
        parser.error(f"elastic-epochs is {arguments.elastic_epochs}, accepted: a whole number from {growing.FIRST_RUNG}")
    arguments.functions = arguments.functions.split(",")
    for name in arguments.functions:
        if name not in BY_NAME:
            parser.error(f"functions is '{name}', accepted: {', '.join(BY_NAME)}")
    try:
        sides = quality.chosen(arguments.sides)
    except ValueError as error:
        parser.error(str(error))
    if arguments.all_ours:
        sides += [side for side in quality.OURS if side not in sides]
    arguments.sides = [side for side in sides if not arguments.no_peers or side not in quality.PEERS]
    if not arguments.sides:
        parser.error("sides are of Optuna alone, which --no-peers leaves out")
    return arguments


def compare(arguments, path, python, results):
    at = [count for count in quality.AT if count <= arguments.trials] or [arguments.trials]
    seeds = sorted({seed for first in arguments.first_seed for seed in range(first, first + arguments.seeds)})
    found, whole = quality.measure(
        arguments.functions, seeds, arguments.sides, arguments.trials, arguments.parallel, arguments.keep, path, python
    )
    found = quality.common(found)
    figures = quality.summary(found, at)
    failures = quality.judge(figures, found, at)
    quality.show(figures, failures, at)
    ran = {name: len(next(iter(sides.values()))) for name, sides in found.items()}
    results.figures["seeds"] = {"first": arguments.first_seed, "of each landscape": ran, "all of them": whole}
    results.figures["regrets"] = {name: {side: sides[side] for side in sides if side in quality.OURS} for name, sides in figures.items()}
    results.figures["worse than a peer"] = failures
    if python:
        theirs = {name: {side: sides[side] for side in sides if side in quality.PEERS} for name, sides in figures.items()}
        results.peers.setdefault("optuna", {})["regrets"] = theirs
    each = {
        name: {side: {seed: quality.regrets(search, BY_NAME[name].least, at) for seed, search in seeds.items()} for side, seeds in sides.items()}
        for name, sides in found.items()
    }
    results.raw |= {"trials": at, "regrets": each}
    return whole


def costs(arguments, path, python, results):
    ours, theirs, measured, goals = suggestions.costs(path, python, 10 if arguments.quick else 40)
    results.figures["cost_ms"] = ours
    if python:
        results.peers.setdefault("optuna", {})["cost_ms"] = theirs
    results.raw["suggestion_ms"] = measured
    results.targets += goals


def memory(arguments, path, results):
    results.figures["memory_mebibytes"], goals = suggestions.memory(path, 1000, 10_000 if arguments.quick else 100_000)
    results.targets += goals


def dispatched(arguments, folder, results):
    ray_trials = 0 if arguments.no_peers else arguments.ray_trials
    figures, ray, goals = dispatch.measure(folder, arguments.dispatched, arguments.at_a_time, ray_trials)
    dispatch.show(figures, ray)
    results.figures["dispatch"] = figures
    results.targets += goals
    if ray:
        results.peers["ray tune"] = ray


def elastic(arguments, folder, results):
    seeds = range(1 + arguments.first_seed[0], 1 + arguments.first_seed[0] + arguments.elastic_seeds)
    figures, every, goals = growing.measure(folder, seeds, arguments.elastic_epochs)
    growing.show(figures)
    results.figures["elastic"] = figures
    results.raw["elastic"] = every
    results.targets += goals


def main():
    arguments = read()
    parts = [part for part in PARTS if part in (arguments.only or PARTS) and (part == "quality" or not arguments.no_costs)]
    # As Ctrl-C does: what was found until then is shown and kept.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = set(arguments.sides) if "quality" in parts else set()
    asked |= set(quality.SIDES) if {"costs", "memory"} & set(parts) else set()
    path = searches.classes() if asked & set(quality.OURS) else None
    python = searches.optuna_python() if asked & set(quality.PEERS) and not arguments.no_peers else None
    results, whole = report.Results(), []
    if "quality" in parts:
        results.run("quality", lambda: whole.append(compare(arguments, path, python, results)))
    if "costs" in parts and all(whole):
        results.run("costs", lambda: costs(arguments, path, python, results))
    if "memory" in parts and all(whole):
        results.run("memory", lambda: memory(arguments, path, results))
    with tempfile.TemporaryDirectory(prefix="concertina-bench-") as folder:
        if "dispatch" in parts and all(whole):
            results.run("dispatch", lambda: dispatched(arguments, folder, results))
        if "elastic" in parts and all(whole):
            results.run("elastic", lambda: elastic(arguments, folder, results))
    if results.targets:
        report.show_targets(results.targets)
    results.figures.update(targets=results.targets, load_average=results.loads, seconds=results.seconds)
    used = {**report.versions("torch", "numpy"), **(searches.optuna_versions(python) if python else {}), "java flags": " ".join(searches.Ours.FLAGS)}
    if path:
        used["search classes"] = quality.search_classes(path)
    name = "search" if not arguments.only else "search-" + "-".join(sorted(parts))
    report.finish(name, results.figures, results.peers, used, results.raw, arguments.results)
    return 0 if all(whole) else 130


if __name__ == "__main__":
    sys.exit(main())
