"""The same promises with CUDA workers, several of which share one GPU: bits, pauses, and the time of a step beside PyTorch alone.

Each worker is a process of its own on the GPU: four agents of this machine offer the same one as a slot of theirs. Chosen is the first
that CUDA_VISIBLE_DEVICES names, else the first of the machine.
"""

import json
import os
import subprocess
import sys

from measured import chaos, pauses, report, steady
from measured.cluster import Cluster

LOGICAL_WORKERS = 4
ASK = """
import json, torch
found = None
if torch.cuda.is_available():
    described = torch.cuda.get_device_properties(0)
    found = {"name": described.name, "memory_gigabytes": round(described.total_memory / 1e9), "cuda": torch.version.cuda}
print(json.dumps(found))
"""


def at_hand():
    """What GPU there is, None without one. Asked in a process of its own, which leaves the GPU as it was."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def measure(folder, schedules, first_seed, rescales, kills, blocks, steps, device="gpu"):
    """Returns (figures, raw, targets).

    :param device: `cpu` computes there instead, to try this part on a machine without a GPU
    """
    folder = os.path.join(folder, "gpu")
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = (before or "0").split(",")[0]
    try:
        figures, raw, goals = {}, {}, []
        figures["chaos"], raw["chaos"], promised = chaos.measure(os.path.join(folder, "chaos"), schedules, first_seed, 900, device)
        goals += promised
        figures["pause"] = {}
        for name in ("digits", "9mb"):
            model = pauses.MODELS[name]
            most, described = pauses.limit(model)
            measured, reported = pauses.ours(os.path.join(folder, "pause", name), model, rescales, kills, device)
            figures["pause"][model.name] = {**pauses.figures(measured), **described}
            raw[f"pause, {model.name}"] = {**report.raw(measured), "reported": reported}
            goals += pauses.targets(f"{model.name}, {device}", figures["pause"][model.name], most)
        figures["steady"], raw["steady"] = {}, {}
        with Cluster(os.path.join(folder, "steady", "platform"), 1, None if device == "gpu" else 1) as platform:
            comparison = steady.Comparison(os.path.join(folder, "steady", "sides"), platform, blocks, steps)
            for model in steady.MODELS:
                series = steady.Series(model, 1, LOGICAL_WORKERS, device, {
                    "a plain loop over the same micro-batches": f"--micro-batches {LOGICAL_WORKERS}",
                    "a plain loop over whole batches": "--batch {whole}",
                })  # fmt: skip
                figures["steady"][str(series)], raw["steady"][str(series)] = comparison.measure(series)
        return figures, raw, goals
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def show(figures):
    """Prints the tables, and what was run."""
    chaos.show(figures["chaos"])
    pauses.show(figures["pause"], {})
    steady.show(figures["steady"])
    print(
        f"Ran on {figures['device']}: {figures['chaos']['schedules']} schedules and the pauses with up to four workers, each a process, on one GPU; "
        f"steady steps with one worker that computes {LOGICAL_WORKERS} micro-batches a step."
    )
