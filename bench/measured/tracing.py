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


# Whole lines that were read already, so that a long trace is read once: folder and name to (bytes read, records).
_known = {}


def read(folder):
    """All whole lines of all processes below a folder, as (at, step, process id), oldest first."""
    lines = []
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        offset, records = _known.get(path, (0, []))
        with open(path, "rb") as file:
            file.seek(offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        for line in whole.splitlines():
            entry = json.loads(line)
            records.append((entry["at"], entry["step"], int(name.split(".")[0])))
        _known[path] = (offset + len(whole), records)
        lines += records
    return sorted(lines)
