"""Searches with functions of this file as objectives, and prints what came of it as JSON."""

import json
import time

import concertina

OFFSET = 0.25


def objective(trial):
    rate = trial.real("rate", 0.0, 1.0)
    kind = trial.choice("kind", ["near", "far"])
    trial.report((rate - OFFSET) ** 2 + 10, 1)
    return (rate - OFFSET) ** 2 + (kind == "far")


def failing(trial):
    raise KeyError(f"no column {trial.whole('column', 1, 3)}")


def reporting(trial):
    """The first trial is good and short, others are bad and long."""
    trial.real("rate", 0.0, 1.0)
    for step in range(1, 3 if trial.number == 0 else 600):
        trial.report(float(trial.number), step)
        time.sleep(0.1)
    return float(trial.number)


result = concertina.search(objective, trials=6, parallel=2, settings={"RandomSeed": 3})
try:
    concertina.search(failing, trials=2)
    failure = ""
except concertina.SearchFailed as error:
    failure = str(error)
early = concertina.search(reporting, {"rate": concertina.Real(0, 1)}, trials=2, early_stopping={"rule": "median", "trials": 1})
print(
    json.dumps(
        {
            "state": result.state,
            "trials": [[each.number, each.job, each.value, each.parameters] for each in result.trials],
            "best": result.best.value,
            "importance": sorted(result.importance()),
            "lines": result.to_csv().count("\n"),
            "failure": failure,
            "early": [each.state for each in early.trials],
        }
    )
)
