"""Checkpoints of the whole training state, for when every worker is lost at once or the job is stopped for a while."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from concertina import state

KEPT = 2
LEAST_SHARE = 100
WRITER_NICENESS = 10


class Checkpoints:
    """Writes a snapshot at a steady interval, in a thread of its own; only rank 0 writes.

    `offer` costs the training thread one copy of the state and never waits: while a write is going on it does nothing. The interval
    is `interval_seconds`, or 100 times what the last checkpoint cost if that is longer: the copy plus all processor time of the
    writer, so that these two take less than 1 %. An interval of 0 means one after the other.

    Kept are the newest `kept`, and with `hours` the first of every so many hours. One state is held in memory for the copy.
    """

    def __init__(
        self,
        folder: Path,
        interval_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        kept: int = KEPT,
        hours: float = 0.0,
    ):
        self.folder = folder
        self._configured = interval_seconds
        self._clock = clock
        self._kept = kept
        self._hours = hours
        self._last = clock()
        self._written = -1
        self._blocked = 0.0
        self._spent = 0.0
        self._room: list = []
        self._writer: threading.Thread | None = None

    @property
    def interval(self) -> float:
        """Seconds from the beginning of one checkpoint to that of the next, as far as is known now."""
        return max(self._configured, LEAST_SHARE * (self._blocked + self._spent)) if self._configured else 0.0

    def offer(self, step: int, snapshot: Callable[[], Any]) -> None:
        """Write a checkpoint of this step if one is due; `snapshot` yields the state and is called only then."""
        if not self.due():
            return
        self._last = self._clock()
        header = self._copy(snapshot)
        self._writer = threading.Thread(target=self._write, args=(step, header), name="concertina-checkpoint", daemon=True)
        self._writer.start()

    def now(self, step: int, snapshot: Callable[[], Any], spare: bool = False) -> None:
        """Write a checkpoint of this step, unless there is one, and wait for it.

        `spare`: by a worker that is not rank 0. It lacks some of what callbacks remember, so rank 0's own goes before it.
        """
        self.finish()
        if self._written != step and not (spare and self._path(step).exists()):
            self._write(step, self._copy(snapshot), spare)

    def _path(self, step: int, spare: bool = False) -> Path:
        return self.folder / f"step-{step:012d}{'.spare' if spare else ''}.state"

    def due(self) -> bool:
        """Whether `offer` would write now."""
        return self._clock() - self._last >= self.interval and (self._writer is None or not self._writer.is_alive())

    def finish(self) -> None:
        """Wait for a write that is going on."""
        if self._writer is not None:
            self._writer.join()

    def newest(self) -> Any | None:
        """State of the newest checkpoint that is whole; damaged ones are passed over with a line on standard output.

        Raises what `state.short_of_memory` knows: an older one would need as much memory, and the beginning loses everything.
        """
        for path in self._present():
            try:
                return state.read_file(path)
            except (OSError, state.DamagedState) as error:
                if state.short_of_memory(error):
                    raise
                print(f"Checkpoint {path.name} is not usable: {error}", flush=True)
        return None

    def _copy(self, snapshot: Callable[[], Any]) -> bytes:
        began = time.perf_counter()
        header, self._room = state.pack(snapshot(), copy=True, room=self._room)
        self._blocked = time.perf_counter() - began
        return header

    def _write(self, step: int, header: bytes, spare: bool = False) -> None:
        began = time.thread_time()
        path = self._path(step, spare)
        try:
            if threading.current_thread() is self._writer and sys.platform == "linux":
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), WRITER_NICENESS)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            state.write_file(path, header, self._room)
            self._written = step
            for each in self._superfluous():
                each.unlink(missing_ok=True)
        except OSError as error:
            print(f"Checkpoint {path} could not be written: {error.strerror or error}; {self._remaining()}", flush=True)
        self._spent = time.thread_time() - began

    def _remaining(self) -> str:
        present = self._present()
        return f"the newest is {present[0].name}, training goes on" if present else "there is none yet, training goes on"

    def _sweep(self) -> None:
        """Remove what writers left that were killed; a writer's process id ends its file's name."""
        for path in self.folder.glob(".step-*.state.*"):
            process = path.suffix[1:]
            if process.isdigit() and not _runs(int(process)):
                path.unlink(missing_ok=True)

    def _superfluous(self) -> list[Path]:
        present = self._present()
        old = present[self._kept :]
        if not self._hours:
            return old
        seen: set[int] = set()
        chosen: set[Path] = set()
        for path in reversed(present):
            period = int(path.stat().st_mtime // (self._hours * 3600.0))
            if period not in seen:
                seen.add(period)
                chosen.add(path)
        return [path for path in old if path not in chosen]

    def _present(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.state"), reverse=True) if self.folder.is_dir() else []


class NoCheckpoints(Checkpoints):
    """For a script by itself that names no folder for them: what an earlier run left must not decide where this one begins."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull), 0.0)

    def due(self) -> bool:
        return False

    def now(self, step: int, snapshot: Callable[[], Any], spare: bool = False) -> None:
        """Nobody would read it."""


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
