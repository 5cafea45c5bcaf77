"""How long a search with early stopping takes to its target, with trials that grow into freed slots and with trials of one slot each.

Both sides are the same search: the same points in the same order, stopping rule, script and slots; the elastic trials may have as many
workers as there are slots, the others one. Since a machine for tests has fewer processors than slots, the device that computes is imitated:
a micro-batch waits a fixed time for each of its samples. What is measured is the time from the search's submission until a trial's test
loss is at the target, as the trials' own notes say. The target is the least loss that both sides reach in the end.
"""

import glob
import json
import os
import statistics
import time

from measured import report
from measured.cluster import Cluster

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = os.environ.get("CONCERTINA_HOME") or os.path.dirname(BENCH)
SLOTS = 4
TRIALS = 9
EPOCHS = 81
FIRST_RUNG = 3
SAMPLES = 256
SAMPLE_MILLISECONDS = 1.25
ETA = 3
TARGET_RATIO = 1.5
LIMIT_SECONDS = 300
SIDES = {"elastic": SLOTS, "one slot each": 1}
IMITATED = f"{SAMPLE_MILLISECONDS} ms for each sample, in which a worker waits"
SPACE = [
    {"name": "rate", "type": "Range", "dataType": "DOUBLE", "minDbVal": 0.001, "maxDbVal": 0.03, "scale": "log"},
    {"name": "momentum", "type": "Range", "dataType": "DOUBLE", "minDbVal": 0.0, "maxDbVal": 0.9},
    {"name": "decay", "type": "Range", "dataType": "DOUBLE", "minDbVal": 1e-6, "maxDbVal": 0.01, "scale": "log"},
]


def description(name, seed, workers, trace, epochs):
    script = f"--epochs {epochs} --samples {SAMPLES} --milliseconds {SAMPLE_MILLISECONDS} --trace {trace}"
    return {
        "hpoName": name,
        "modelSpec": {"args": f"--exec-start edtPyTorch --numWorker {workers} --model-dir bench --model-main main.py {script}"},
        "algoDef": {
            "algorithm": "Random",
            "algoParams": [{"name": "RandomSeed", "value": str(seed)}],
            "maxJobNum": TRIALS,
            "maxParalleJobNum": SLOTS,
            "objectiveMetric": "test_loss",
            "objective": "minimize",
            "earlyStopping": {"rule": "asha", "minSteps": FIRST_RUNG, "maxSteps": epochs, "eta": ETA},
        },
        "hyperParams": SPACE,
    }


def tests(trace):
    """Every test that a trial noted, in order of time."""
    found = []
    for path in glob.glob(os.path.join(trace, "*")):
        with open(path, encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("\n")]
        found += [{"trial": int(os.path.basename(path)), **json.loads(line)} for line in lines]
    return sorted(found, key=lambda each: each["at"])


def run(platform, folder, name, seed, workers, epochs):
    """One search to its end: when it was submitted, every test, and what the platform says of the trials."""
    trace = os.path.join(folder, name)
    os.makedirs(trace)
    files = {"main.py": os.path.join(BENCH, "scripts", "growing", "main.py")}
    files |= {each: os.path.join(HOME, "examples", "digits", each) for each in ("network.py", "digits.csv.gz")}
    since = time.monotonic()
    platform.search(description(name, seed, workers, trace, epochs), files)
    search = platform.ended(name, LIMIT_SECONDS)
    found = [{**each, "at": round(each["at"] - since, 3)} for each in tests(trace)]
    if search["state"] != "FINISHED" or not found:
        raise RuntimeError(f"search {name} is {search['state']}: {search['reason']}")
    platform.finish(name)
    return {"tests": found, "states": [trial["state"] for trial in search["trials"]]}


def to_target(search, target):
    """When and where a search reached a loss, and what it had cost by then."""
    reached = next(each for each in search["tests"] if each["loss"] <= target)
    before = [each for each in search["tests"] if each["at"] <= reached["at"]]
    own = [each["workers"] for each in before if each["trial"] == reached["trial"]]
    return {
        "seconds": round(reached["at"], 2),
        "trial": reached["trial"],
        "epoch": reached["epoch"],
        "epochs_by_workers": {count: own.count(count) for count in sorted(set(own))},
        "epochs_of_all_trials": len(before),
        "stopped_in_the_end": search["states"].count("STOPPED"),
    }


def measure(folder, seeds, epochs=EPOCHS):
    """(Figures, every search, targets); the target counts with the usual number of epochs alone."""
    every, reached = {side: {} for side in SIDES}, {side: {} for side in SIDES}
    place = os.path.join(folder, "growing")
    with Cluster(place, 1, SLOTS) as platform:
        # Only its first job meets an agent that has not imported torch.
        run(platform, place, "warm-up", 0, 1, epochs)
        for seed in seeds:
            sides = list(SIDES.items())
            for side, workers in sides if seed % 2 else reversed(sides):
                every[side][seed] = run(platform, place, f"{side.replace(' ', '-')}-{seed}", seed, workers, epochs)
            target = max(min(each["loss"] for each in every[side][seed]["tests"]) for side in SIDES)
            for side in SIDES:
                reached[side][seed] = {"target_loss": round(target, 4), **to_target(every[side][seed], target)}
                report.progress(f"elastic: seed {seed}, {side}: {reached[side][seed]}")
    ratios = [reached["one slot each"][seed]["seconds"] / reached["elastic"][seed]["seconds"] for seed in seeds]
    figures = {
        "imitated_device_time": IMITATED,
        "search": f"{TRIALS} trials of {epochs} epochs at most, {SLOTS} at a time on {SLOTS} slots, stopped by ASHA with eta {ETA}",
        **{f"{side}, seconds": report.spread([each["seconds"] for each in reached[side].values()]) for side in SIDES},
        "times_shorter": {"median": round(statistics.median(ratios), 2), "of each seed": [round(ratio, 2) for ratio in ratios]},
        "to_target": reached,
    }
    name = "time to target, one slot each against elastic"
    goals = [report.target(name, figures["times_shorter"]["median"], "≥", TARGET_RATIO, "×")] if epochs == EPOCHS else []
    return figures, every, goals


def show(figures):
    print(f"{figures['search']}; imitated device: {figures['imitated_device_time']}")
    rows = [
        [f"seed {seed}, {side}", each["target_loss"], each["seconds"], each["trial"], each["epoch"]]
        + [" ".join(f"{count}:{epochs}" for count, epochs in each["epochs_by_workers"].items()), each["epochs_of_all_trials"]]
        for side, searches in figures["to_target"].items()
        for seed, each in searches.items()
    ]
    report.table(["time to target", "loss", "s", "trial", "epoch", "its epochs by workers", "epochs of all"], rows)
