"""How close to the least value do our samplers come, beside Optuna's, after 10, 25, 50 and 100 trials, and what does a suggestion cost?

Both sides search the same functions, which this process evaluates, with the same seeds and no setting that depends on the function; each
search is one trial after the other. The last landscape is the training of a small network on images of digits: its regret is the
validation loss. Costs are processor time of one thread, so that a busy machine counts little, after random trials on Hartmann's
function. Ours passes where its median regret is nowhere above that of Optuna's TPE or Gaussian process and its mean is below both.
"""

import argparse
import itertools
import os
import statistics
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measured import report, searches
from measured.landscapes import BY_NAME, LANDSCAPES

AT = (10, 25, 50, 100)
PEERS = {"optuna tpe": "tpe", "optuna tpe multivariate": "tpe-multivariate", "optuna gp": "gp"}
# Regrets below this share of the median first one count as equal.
CLOSE = 1e-5


def quality(arguments, path, python):
    """Losses by landscape, side and seed."""
    kinds = {"concertina auto": (lambda: searches.Ours(path), "auto")}
    if arguments.all_ours:
        kinds |= {f"concertina {name}": (lambda: searches.Ours(path), name) for name in ("bayesian", "tpe", "sobol")}
    if not arguments.no_peers:
        kinds |= {name: (lambda: searches.Optuna(python), sampler) for name, sampler in PEERS.items()}
    found = {name: {side: {} for side in kinds} for name in arguments.functions}
    own = threading.local()

    def one(work):
        name, seed, side = work
        make, sampler = kinds[side]
        if not hasattr(own, "processes"):
            own.processes = {}
        kind = side.split()[0]
        if kind not in own.processes:
            own.processes[kind] = make()
            opened.append(own.processes[kind])
        found[name][side][seed] = own.processes[kind].search(BY_NAME[name], sampler, seed, arguments.trials)
        report.progress(f"{name} {side} seed {seed}: {min(found[name][side][seed]['losses']) - BY_NAME[name].least:.4g}")

    opened = []
    with ThreadPoolExecutor(arguments.parallel) as pool:
        list(pool.map(one, itertools.product(arguments.functions, range(arguments.seeds), kinds)))
    for process in opened:
        process.close()
    return found


def regrets(search, least, at):
    return [min(search["losses"][:count]) - least for count in at]


def summary(found, at):
    """Median and mean regret by landscape and side, one number for each count of trials."""
    figures = {}
    for name, sides in found.items():
        figures[name] = {}
        for side, seeds in sides.items():
            columns = list(zip(*(regrets(search, BY_NAME[name].least, at) for search in seeds.values())))
            figures[name][side] = {
                "median": [statistics.median(column) for column in columns],
                "mean": [statistics.fmean(column) for column in columns],
            }
    return figures


def judge(figures, found, at):
    """For each landscape the counts of trials at which ours fails, median or mean."""
    failures = {}
    for name, sides in figures.items():
        start = statistics.median(search["losses"][0] - BY_NAME[name].least for search in found[name]["concertina auto"].values())
        failures[name] = []
        for peer, theirs in sides.items():
            if not peer.startswith("optuna"):
                continue
            for kind, place in itertools.product(("median", "mean"), range(len(at))):
                ours = sides["concertina auto"][kind][place]
                if ours > theirs[kind][place] and ours > CLOSE * start:
                    failures[name].append(f"{kind} at {at[place]} against {peer}: {ours:.4g}, not {theirs[kind][place]:.4g}")
    return failures


def show(figures, at):
    rows = []
    for name, sides in figures.items():
        for side, each in sides.items():
            for kind in ("median", "mean"):
                ratios = [
                    f"{value / ours:.2g}" if ours > 0 else "-" for value, ours in zip(each[kind], sides["concertina auto"][kind])
                ]
                rows.append([name, side, kind, *(f"{value:.4g}" for value in each[kind]), " ".join(ratios)])
    report.table(["landscape", "sampler", "regret", *(f"at {count}" for count in at), "ratio to ours"], rows)


def costs(arguments, path, python):
    """Milliseconds of a suggestion by the Gaussian process after 200 trials and by TPE after 1,000; ours warmed up by a first round."""
    found = {}
    questions = 10 if arguments.quick else 40
    for sampler, trials, theirs in (("bayesian", 200, "gp"), ("tpe", 1000, "tpe")):
        ours = searches.Ours(path)
        landscape = BY_NAME["hartmann-6"]
        ours.cost(landscape, sampler, trials, 200)
        found[f"concertina {sampler} at {trials}"] = [1000 * each for each in ours.cost(landscape, sampler, trials, questions)]
        ours.close()
        if not arguments.no_peers:
            optuna = searches.Optuna(python)
            found[f"optuna {theirs} at {trials}"] = [1000 * each for each in optuna.cost(theirs, trials, questions)]
            optuna.close()
    return found


def memory(arguments, path):
    """Bytes kept after 1,000 and after 100,000 trials."""
    found = {}
    for sampler in ("bayesian", "tpe", "auto"):
        for trials in (1000, 10_000 if arguments.quick else 100_000):
            ours = searches.Ours(path)
            found[f"{sampler} at {trials}"] = ours.memory(BY_NAME["hartmann-6"], sampler, trials)
            ours.close()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", help="which landscapes, with commas between them", default=",".join(BY_NAME))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=os.cpu_count(), help="searches at a time")
    parser.add_argument("--quick", action="store_true", help="3 seeds, 50 trials, fewer suggestions timed")
    parser.add_argument("--no-peers", action="store_true", help="leave Optuna out")
    parser.add_argument("--all-ours", action="store_true", help="also our samplers that are not auto")
    parser.add_argument("--no-costs", action="store_true", help="regrets alone")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seeds, arguments.trials = min(arguments.seeds, 3), min(arguments.trials, 50)
    arguments.functions = arguments.functions.split(",")
    for name in arguments.functions:
        if name not in BY_NAME:
            parser.error(f"functions is '{name}', accepted: {', '.join(each.name for each in LANDSCAPES)}")
    at = [count for count in AT if count <= arguments.trials] or [arguments.trials]

    path = searches.classes()
    python = None if arguments.no_peers else searches.optuna_python()
    found = quality(arguments, path, python)
    figures = summary(found, at)
    show(figures, at)
    if not arguments.no_peers:
        for name, failures in judge(figures, found, at).items():
            print(f"{name}: " + ("no worse on the median, better on the mean" if not failures else "; ".join(failures)))
    measured = {} if arguments.no_costs else costs(arguments, path, python)
    kept = {} if arguments.no_costs else memory(arguments, path)
    rows = [[name, f"{statistics.median(times):.2f}", f"{statistics.fmean(times):.2f}", f"{max(times):.2f}"] for name, times in measured.items()]
    report.table(["suggestion, processor ms", "median", "mean", "greatest"], rows)
    report.table(["kept", "MiB"], [[name, f"{size / 2**20:.1f}"] for name, size in kept.items()])
    ours = {"regrets": {name: {side: each for side, each in sides.items() if side.startswith("concertina")} for name, sides in figures.items()}}
    ours |= {"cost_ms": {name: report.spread(times) for name, times in measured.items() if name.startswith("concertina")}, "memory": kept}
    peers = {}
    if not arguments.no_peers:
        peers["optuna"] = {"regrets": {name: {side: sides[side] for side in PEERS} for name, sides in figures.items()}}
        peers["optuna"]["cost_ms"] = {name: report.spread(times) for name, times in measured.items() if name.startswith("optuna")}
    used = {**report.versions("torch", "numpy"), **(searches.optuna_versions(python) if python else {}), "java flags": " ".join(searches.Ours.FLAGS)}
    each = {
        name: {side: {seed: regrets(search, BY_NAME[name].least, at) for seed, search in seeds.items()} for side, seeds in sides.items()}
        for name, sides in found.items()
    }
    report.finish("search", ours, peers, used, {"trials": at, "regrets": each, "suggestion_ms": measured})


if __name__ == "__main__":
    main()
