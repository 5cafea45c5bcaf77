"""What every way into an elastic training shares: arguments that are checked, and this process's place in its job."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from concertina import process
from concertina.checkpoints import KEPT, Checkpoints, NoCheckpoints
from concertina.control import Control
from concertina.loading import PATIENCE_SECONDS
from concertina.membership import Membership
from concertina.mesh import Listener
from concertina.watch import Watch

CHECKPOINT_SECONDS = 30.0
# As many as a job can be submitted for.
MOST_LOGICAL_WORKERS = 1024

# Whether this process has trained in a job; its control connection ends with that.
_trained = False


def connect(call: str) -> Control | None:
    """The line to the agent, None where there is no platform. Raises RuntimeError, naming `call`, at the second time in a job, and in a
    process that the script forked."""
    path = os.environ.get("CONCERTINA_CONTROL")
    if not path:
        return None
    global _trained
    if _trained:
        raise RuntimeError(
            f"{call} was called again in this process; accepted is one call in a job, its other workers have ended"
        )
    process.require_own(call)
    _trained = True
    return Control(path, os.environ["CONCERTINA_WORKER"], os.environ.get("CONCERTINA_WORKER_TOKEN", ""))


class Place:
    """This process among the job's workers; without a platform, the only one. `join` begins to take part."""

    def __init__(self, control: Control | None):
        self._control = control
        self.send: Callable[[dict[str, Any]], None] = control.send if control is not None else _discard
        self.results = Path(os.environ.get("RESULT_DIR") or ".").resolve()
        folder = os.environ.get("CHECKPOINT_DIR") or (self.results / "checkpoint" if control is not None else None)
        self.checkpoints = NoCheckpoints() if folder is None else Checkpoints(
            Path(folder),
            _number("CONCERTINA_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS, "a number of seconds, at least 0"),
            kept=_count("CONCERTINA_CHECKPOINTS_KEPT", KEPT),
            hours=_number("CONCERTINA_CHECKPOINT_HOURS", 0.0, "a number of hours, at least 0"),
        )
        self.bucket_bytes = _count("CONCERTINA_BUCKET_BYTES", 0) if os.environ.get("CONCERTINA_BUCKET_BYTES") else None
        self._worker = os.environ.get("CONCERTINA_WORKER", "standalone") if control is not None else "standalone"
        host = os.environ.get("CONCERTINA_LISTEN_HOST") or "127.0.0.1"
        self._listener = Listener(host, os.environ.get("CONCERTINA_JOB_SECRET", ""), self._worker)
        self.membership = Membership(self._worker, self._listener, self.send)
        self.watch = Watch(
            None if control is None else self.send,
            _hang_seconds(),
            _number("CONCERTINA_LONG_WORK_SECONDS", 3600.0, "a number of seconds, at least 0"),
        )

    def join(self, logical_workers: int, steps_per_epoch: int, epochs: int) -> None:
        """Tell the server that everything is loaded and obey it from here on."""
        if self._control is None:
            alone = {"worker": self._worker, "address": self._listener.address}
            self.membership.obey({"type": "generation", "generation": 1, "members": [alone], "source": 0, "immediate": True})
            return
        self._control.start(self.membership.obey)
        self.send(
            {
                "type": "prepared",
                "address": self._listener.address,
                "logicalWorkers": logical_workers,
                "stepsPerEpoch": steps_per_epoch,
                "epochs": epochs,
            }
        )
        self.watch.start()

    def close(self) -> None:
        self.watch.end()
        self._listener.close()


def global_batch(batch_size: int, wanted: int | None, effective: int | None) -> tuple[int, int]:
    """Logical workers, never more than the job was submitted for, and samples of a full step. Raises ValueError for too many."""
    text = os.environ.get("CONCERTINA_LOGICAL_WORKERS") or ""
    most = int(text) if text.isdigit() and int(text) > 0 else None
    if effective is not None:
        needed = -(-effective // batch_size)
        return _bounded(min(needed, most or needed)), effective
    chosen = wanted or most or 1
    logical_workers = _bounded(min(chosen, most or chosen))
    return logical_workers, logical_workers * batch_size


def _bounded(logical_workers: int) -> int:
    if logical_workers > MOST_LOGICAL_WORKERS:
        raise ValueError(f"a step is shared by {logical_workers} logical workers; accepted are at most {MOST_LOGICAL_WORKERS}")
    return logical_workers


def whole(name: str, value: Any, least: int) -> int:
    """`value` as an int; raises ValueError naming it unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < least:
        raise ValueError(f"{name} is {value!r}; accepted is a whole number of at least {least}")
    return int(value.__index__())


def require_callable(name: str, value: Any) -> None:
    if not callable(value):
        raise ValueError(f"{name} is a {type(value).__name__}; accepted is a function")


def loading_patience() -> float:
    """Seconds: a load that hangs in its process is to hang in the training thread before the watch looks there."""
    return min(PATIENCE_SECONDS, _hang_seconds() / 2 or PATIENCE_SECONDS)


def _hang_seconds() -> float:
    return _number("CONCERTINA_HANG_SECONDS", 60.0, "a number of seconds, at least 0")


def _discard(message: dict[str, Any]) -> None:
    """Standing alone, there is no server to tell."""


def _number(name: str, default: float, accepted: str) -> float:
    text = os.environ.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number < float("inf"):
        raise ValueError(f"{name} is {text!r}; accepted is {accepted}")
    return number


def _count(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**9):
        raise ValueError(f"{name} is {text!r}; accepted is a whole number of at least 1")
    return int(text)
