"""What a script reports as it runs, for searches and for people: `report`, of the standard library alone."""

from __future__ import annotations

import atexit
import json
import math
import os
import threading
import time
from typing import Any

REPORTS = "reports.txt"
RESULT = "val_dict_list.json"
MOST_ENTRIES = 10_000
# The result is written anew at each report; long ones so seldom that writing takes about this share of the time at most.
REST = 10


class _Reports:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[dict[str, Any]] = []
        self._unsaved = False
        self._chosen = False
        self._written: tuple[int, int, int] | None = None
        self._next = 0.0
        self._registered = False

    def add(self, step: float, metrics: dict[str, float]) -> None:
        entry = {"steps": step, **metrics}
        with self._lock:
            self._put(entry)
            if not self._leads():
                return
            line(entry)
            if time.monotonic() >= self._next:
                self._save()
            if not self._registered:
                self._registered = True
                atexit.register(self.flush)

    def lead(self) -> None:
        with self._lock:
            self._chosen = True

    def flush(self) -> None:
        with self._lock:
            if self._leads() and self._unsaved:
                self._save()

    def _leads(self) -> bool:
        # Asked late: the warm parent imports this before there is a job.
        return self._chosen or os.environ.get("DLI_IS_ELASTIC") != "true"

    def _put(self, entry: dict[str, Any]) -> None:
        self._unsaved = True
        for position in range(len(self._entries) - 1, -1, -1):
            steps = self._entries[position].get("steps")
            if steps == entry["steps"]:
                self._entries[position] = {**self._entries[position], **entry}
                return
            if steps is None or steps < entry["steps"]:
                self._entries.insert(position + 1, entry)
                break
        else:
            self._entries.insert(0, entry)
        if len(self._entries) > MOST_ENTRIES:
            self._thin()

    def _thin(self) -> None:
        """Half of the entries, with the least and the greatest value of each metric among them."""
        ends: dict[str, tuple[tuple[float, int], tuple[float, int]]] = {}
        for position, entry in enumerate(self._entries):
            for name, value in entry.items():
                if isinstance(value, (int, float)) and math.isfinite(value):
                    here = (value, position)
                    least, greatest = ends.get(name, (here, here))
                    ends[name] = (min(least, here), max(greatest, here))
        kept = {end[1] for both in ends.values() for end in both}
        self._entries = [entry for position, entry in enumerate(self._entries) if position % 2 or position in kept]

    def _save(self) -> None:
        """Replace the result; what somebody else has written there meanwhile, or an earlier leader, is kept."""
        folder = os.environ.get("RESULT_DIR")
        if not folder:
            return
        began = time.monotonic()
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, RESULT)
        if _version(path) not in (None, self._written) and not self._merge(path):
            return
        temporary = os.path.join(folder, f".{RESULT}.{os.getpid()}")
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(self._entries, file)
        os.replace(temporary, path)
        self._written = _version(path)
        self._unsaved = False
        ended = time.monotonic()
        self._next = ended + REST * (ended - began)

    def _merge(self, path: str) -> bool:
        """Take up what the file holds. False for a file that is none of ours to replace."""
        try:
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return False
        entries = found if isinstance(found, list) else [found]
        if not all(isinstance(entry, dict) for entry in entries):
            return False
        known = {entry.get("steps") for entry in self._entries}
        without = []
        for entry in entries:
            steps = entry.get("steps")
            if isinstance(steps, (int, float)):
                if steps not in known:
                    self._put(entry)
            elif entry not in self._entries:
                without.append(entry)
        self._entries = without + self._entries
        return True


def line(entry: dict[str, Any]) -> None:
    """Append to what a search reads that stops trials early; no effect outside of a job."""
    folder = os.environ.get("LOG_DIR")
    if folder:
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, REPORTS), "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _version(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


_reports = _Reports()


def report(step: float, /, **metrics: float) -> None:
    """Tell how the script is doing after `step` epochs, or steps, which grow from call to call: `report(3, loss=0.21, accuracy=0.9)`.

    A search that stops trials early reads it as it comes; RESULT_DIR/val_dict_list.json, a trial's result, is kept up to date by it. In
    an elastic job every worker may call it, and the leader's calls count. Outside the platform it does nothing. Raises TypeError for
    what is no number and ValueError for a step that is not finite.
    """
    number = _number("step", step)
    if not math.isfinite(number):
        raise ValueError(f"step is {step!r}, accepted: a finite number")
    for name in ("step", "steps"):
        if name in metrics:
            raise ValueError(f"metric is named {name!r}, accepted: other names than step and steps")
    _reports.add(number, {name: _number(name, value) for name, value in metrics.items()})


def lead() -> None:
    """This worker of an elastic job has become the leader: from here on its reports count."""
    _reports.lead()


def _number(name: str, value: Any) -> float:
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool) or not isinstance(plain, (int, float)):
        raise TypeError(f"{name} is {value!r}, accepted: a number")
    return plain
