"""Writes down when each training step of a process was completed, the same way for every system that is compared."""

import json
import os
import time


class Trace:
    """Appends one JSON line for each completed step to `<folder>/<process id>.jsonl`.

    Times are of the monotonic clock, which all processes of one machine share.
    """

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self._file = open(os.path.join(folder, f"{os.getpid()}.jsonl"), "a", buffering=1, encoding="utf-8")

    def completed(self, step):
        """Records that this process has completed a step.

        :param step: number of the step in the whole job, counting from 1
        """
        self._file.write(json.dumps({"at": time.monotonic(), "step": step}) + "\n")


def read(folder):
    """All lines of all processes below a folder, as (at, step, process id), oldest first."""
    lines = []
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    entry = json.loads(line)
                    lines.append((entry["at"], entry["step"], int(name.split(".")[0])))
    return sorted(lines)
