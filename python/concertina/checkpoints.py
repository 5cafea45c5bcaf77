"""Checkpoints of the whole training state, for when every worker is lost at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from concertina import state

KEPT = 2


class Checkpoints:
    """Writes a snapshot at a steady interval, in a thread of its own; only rank 0 writes.

    `offer` costs the training thread one copy of the state and never waits: while a write is going on it does nothing.
    """

    def __init__(self, folder: Path, interval_seconds: float, clock: Callable[[], float] = time.monotonic):
        self.folder = folder
        self._interval = interval_seconds
        self._clock = clock
        self._last = clock()
        self._writer: threading.Thread | None = None

    def offer(self, step: int, snapshot: Callable[[], Any]) -> None:
        """Write a checkpoint of this step if one is due; `snapshot` yields the state and is called only then."""
        if not self.due():
            return
        self._last = self._clock()
        header, tensors = state.pack(snapshot(), copy=True)
        self._writer = threading.Thread(
            target=self._write, args=(step, header, tensors), name="concertina-checkpoint", daemon=True
        )
        self._writer.start()

    def due(self) -> bool:
        """Whether `offer` would write now."""
        return self._clock() - self._last >= self._interval and (self._writer is None or not self._writer.is_alive())

    def finish(self) -> None:
        """Wait for a write that is going on."""
        if self._writer is not None:
            self._writer.join()

    def newest(self) -> Any | None:
        """State of the newest checkpoint that is whole; damaged ones are passed over with a line on standard output."""
        for path in self._present():
            try:
                return state.read_file(path)
            except (OSError, state.DamagedState) as error:
                print(f"Checkpoint {path.name} is not usable: {error}", flush=True)
        return None

    def _write(self, step: int, header: bytes, tensors: list) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            state.write_file(self.folder / f"step-{step:012d}.state", header, tensors)
            for path in self._present()[KEPT:]:
                path.unlink(missing_ok=True)
        except OSError as error:
            print(f"Checkpoint of step {step} could not be written: {error}", flush=True)

    def _present(self) -> list[Path]:
        return sorted(self.folder.glob("step-*.state"), reverse=True) if self.folder.is_dir() else []
