"""Writes down when each training step of a process was completed, the same way for every system that is compared."""

import bisect
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


class Reader:
    """The completed steps of all processes below a folder. Looks at what was added since the last time only, so that looking often disturbs
    nothing that is being measured."""

    def __init__(self, folder):
        self._folder = folder
        self._read = {}
        self._records = []

    def records(self):
        """All whole lines, as (at, step, process id), oldest first; the same list every time, with more at its end."""
        for entry in os.scandir(self._folder):
            offset = self._read.get(entry.name, 0)
            if entry.stat().st_size == offset:
                continue
            with open(entry.path, "rb") as file:
                file.seek(offset)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            process = int(entry.name.split(".")[0])
            for line in whole.splitlines():
                told = json.loads(line)
                bisect.insort(self._records, (told["at"], told["step"], process))
            self._read[entry.name] = offset + len(whole)
        return self._records


_readers = {}


def read(folder):
    """All whole lines of all processes below a folder, as (at, step, process id), oldest first."""
    if folder not in _readers:
        _readers[folder] = Reader(folder)
    return _readers[folder].records()


def since(records, moment):
    """The place of the first record after a moment."""
    return bisect.bisect_right(records, (moment, float("inf")))
