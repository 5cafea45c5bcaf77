"""Whether the training thread gets on: a thread that tells the server, and says where the script stands when it does not.

A *beat* goes out at regular intervals and whenever something became late or ceased to be. The watch judges its own worker only; what
to make of workers that fall silent, or that wait for each other, is the server's to decide (docs/protocol.md, rule 10).
"""

from __future__ import annotations

import collections
import os
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable

from concertina import process
from concertina.mesh import Mesh

IDLE, STATE, BETWEEN, FIRST, COMPUTING, WAITING = "idle", "state", "between steps", "first step", "computing", "waiting"
STEPS_REMEMBERED = 50
USUAL_STEPS = 20
FIRST_STEP = 10
MOST_PLACES = 4


class Watch:
    """`enter`, `stepped` and `computed` are the training thread's and cost next to nothing; the rest runs in the watch's thread.

    `floor` (ten times that for the process's first step, which may compile) and `long_work` are seconds, 0 for no limit; without
    `send`, or with a floor of 0, nothing is watched. Time counts only while this process runs: one that was stopped and goes on is
    not late by that.
    """

    def __init__(self, send: Callable[[dict], None] | None, floor: float, long_work: float):
        self._send = send if floor > 0 else None
        self._floor = floor
        self._long_work = long_work
        self._tick = min(1.0, floor / 4)
        self._interval = floor / 3
        self._thread = threading.get_ident()
        self._now: tuple[int, str, Mesh | None, int] = (0, IDLE, None, -1)
        self._steps: collections.deque[float] = collections.deque(maxlen=STEPS_REMEMBERED)
        self._micro_batches: collections.deque[float] = collections.deque(maxlen=STEPS_REMEMBERED)
        self._ended = threading.Event()

    def start(self) -> None:
        if self._send is not None:
            threading.Thread(target=self._run, name="concertina-watch", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def enter(self, phase: str, mesh: Mesh | None, step: int) -> None:
        """The training thread begins something: computing `step` (or its process's first one), or what lies between steps."""
        if phase == COMPUTING and not self._steps:
            phase = FIRST
        self._now = (self._now[0] + 1, phase, mesh, step)

    def stepped(self, seconds: float) -> None:
        self._steps.append(seconds)

    def computed(self, seconds: float) -> None:
        """Seconds this worker's last micro-batches took, each."""
        self._micro_batches.append(seconds)

    def _run(self) -> None:
        seen: tuple = ()
        elapsed, since_beat, was_late = 0.0, self._interval, False
        before = time.monotonic()
        while not self._ended.wait(self._tick):
            now = time.monotonic()
            passed, before = min(now - before, 2 * self._tick), now
            count, phase, mesh, step = self._now
            awaited = [] if mesh is None else mesh.awaited()
            if awaited:
                phase = WAITING
            token = (count, phase, 0 if mesh is None else mesh.moved)
            elapsed = elapsed + passed if token == seen else 0.0
            seen = token
            since_beat += passed
            limit = self._limit(phase)
            late = 0 < limit <= elapsed
            if late != was_late or since_beat >= self._interval:
                since_beat = 0.0
                self._beat(phase, mesh, step, elapsed, late, awaited, late and not was_late)
                was_late = late

    def _limit(self, phase: str) -> float:
        if phase in (COMPUTING, WAITING):
            steps = list(self._steps)
            return max(self._floor, USUAL_STEPS * statistics.median(steps)) if steps else self._floor
        if phase == FIRST:
            return FIRST_STEP * self._floor
        return 0.0 if phase == IDLE else self._long_work

    def _beat(
        self, phase: str, mesh: Mesh | None, step: int, elapsed: float, late: bool, awaited: list[str], anew: bool
    ) -> None:
        micro_batches = list(self._micro_batches)
        message = {
            "type": "beat",
            "generation": 0 if mesh is None else mesh.generation,
            "step": step,
            "phase": phase,
            "seconds": int(elapsed),
            "late": late,
            "for": awaited,
            "microMillis": round(1000 * statistics.median(micro_batches), 3) if micro_batches else None,
        }
        if late and phase != WAITING:
            message["where"] = self._where(phase, step, elapsed, anew)
        self._send(message)

    def _where(self, phase: str, step: int, elapsed: float, aloud: bool) -> str:
        """The script's innermost lines, innermost first; the whole stack goes to the worker's own log once."""
        frame = sys._current_frames().get(self._thread)
        if frame is None:
            return ""
        if aloud:
            stack = "".join(traceback.format_stack(frame))
            text = f"Step {step + 1} is late ({phase} for {elapsed:.0f} s). The script stands here:\n{stack}"
            print(text, file=sys.stderr, flush=True)
        places = traceback.extract_stack(frame)[::-1]
        own = [each for each in places if not process.is_runtime(each.filename) and not _is_library(each.filename)]
        return ", called from ".join(
            f"{os.path.basename(each.filename)}:{each.lineno} in {each.name}" for each in (own or places)[:MOST_PLACES]
        )


def _is_library(file: str) -> bool:
    return "site-packages" in file or file.startswith((sys.base_prefix + os.sep, "<frozen"))
