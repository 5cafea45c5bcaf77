"""What a suggestion costs, ours beside Optuna's, and what our samplers keep of many trials."""

import statistics

from measured import report, searches
from measured.landscapes import BY_NAME

# Processor milliseconds that a suggestion may take.
LIMITS = {"concertina bayesian at 200": 20, "concertina tpe at 1000": 0.5}
# What the samplers may keep of each further trial: nothing that grows without end, so what 99,000 more leave behind is this at most.
GROWTH_MEBIBYTES = 4


def costs(path, python, questions):
    """(Figures, those of Optuna, every time, targets): milliseconds after 200 and 1,000 trials; ours is warmed up by a first round.

    :param python: that has Optuna, or None to leave it out
    """
    ours, theirs = {}, {}
    landscape = BY_NAME["hartmann-6"]
    for sampler, trials, peer in (("bayesian", 200, "gp"), ("tpe", 1000, "tpe")):
        process = searches.Ours(path)
        process.cost(landscape, sampler, trials, 200)
        ours[f"concertina {sampler} at {trials}"] = [1000 * each for each in process.cost(landscape, sampler, trials, questions)]
        process.close()
        if python:
            process = searches.Optuna(python)
            theirs[f"optuna {peer} at {trials}"] = [1000 * each for each in process.cost(peer, trials, questions)]
            process.close()
    goals = [
        report.target(f"suggestion of {name} trials, median processor time", round(statistics.median(times), 3), "≤", LIMITS[name], "ms")
        for name, times in ours.items()
    ]
    measured = ours | theirs
    rows = [[name, *(f"{kind(times):.2f}" for kind in (statistics.median, statistics.fmean, max))] for name, times in measured.items()]
    report.table(["suggestion, processor ms", "median", "mean", "greatest"], rows)
    spreads = {name: report.spread(times) for name, times in measured.items()}
    return {name: spreads[name] for name in ours}, {name: spreads[name] for name in theirs}, measured, goals


def memory(path, few, many):
    """(MiB in use in a process that is asked, by sampler and count of trials; targets)."""
    found, goals = {}, []
    for sampler in ("bayesian", "tpe", "auto", "cma-es"):
        for trials in (few, many):
            process = searches.Ours(path)
            found[f"{sampler} at {trials}"] = process.memory(BY_NAME["hartmann-6"], sampler, trials) / 2**20
            process.close()
            report.progress(f"{sampler} at {trials}: {found[f'{sampler} at {trials}']:.1f} MiB")
        grown = found[f"{sampler} at {many}"] - found[f"{sampler} at {few}"]
        goals.append(report.target(f"{sampler}: kept at {many} trials more than at {few}", round(grown, 2), "≤", GROWTH_MEBIBYTES, "MiB"))
    report.table(["in use after", "MiB"], [[name, f"{size:.1f}"] for name, size in found.items()])
    return {name: round(size, 2) for name, size in found.items()}, goals
