"""What the server says about generations, and what the training thread may rely on.

`Membership` is written by the control thread, by forming threads and by the training thread; its one lock is `_changed`. The answer
to a `break` is given at once, by the control thread, except while a finished step is being applied.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

from concertina.mesh import GroupBroken, Listener, Mesh, refuse_fork
from concertina.transfer import Shared

# How long a newcomer that still loads its first micro-batches, or a source that makes memory ready, keeps the others from switching.
LOADING_SECONDS = 10.0
PREPARING_NICENESS = 10


class Stopped(Exception):
    """This process is to end, and the job with it, for now."""


class Pending:
    """A generation that is announced and not yet trained in. `mesh` stands once this worker's connections do."""

    def __init__(self, command: dict):
        self.generation = int(command["generation"])
        self.members = [(str(each["worker"]), str(each["address"])) for each in command["members"]]
        self.source = int(command.get("source", 0))
        self.receivers = [int(each) for each in command.get("receivers", [])]
        self.immediate = bool(command.get("immediate", False))
        self.committed = False
        self.mesh: Mesh | None = None
        self.memory: Shared | None = None
        self.cancelled = threading.Event()
        self.loaded = threading.Event()

    def has(self, worker: str) -> bool:
        return any(each == worker for each, _ in self.members)


class Membership:
    """The present generation, the pending one, and how many steps this worker has completed (-1: it holds no state)."""

    def __init__(self, worker: str, listener: Listener, send: Callable[[dict], None]):
        self.worker = worker
        self.completed = -1
        self.stopped = False
        self._listener = listener
        self._send = send
        self._changed = threading.Condition()
        self._current: Mesh | None = None
        self._pending: Pending | None = None
        self._heard = -1
        self._broken = -1
        self._abandoned = -1
        self._applying = False
        self._owed: int | None = None
        listener.completed = lambda: self.completed
        self._process = os.getpid()
        self._memory: Callable[[Callable[[], bool]], Shared] = lambda wanted: Shared()

    def obey(self, command: dict) -> None:
        """Carry out one command of the server; called by the control thread."""
        kind, generation = command.get("type"), int(command.get("generation", -1))
        if kind == "generation":
            self._announce(Pending(command))
        elif kind == "commit":
            with self._changed:
                if self._pending is not None and self._pending.generation == generation:
                    self._pending.committed = True
                    self._changed.notify_all()
        elif kind == "abandon":
            with self._changed:
                if self._pending is not None and self._pending.generation == generation:
                    self._drop_pending("abandoned")
                elif self._current is not None and self._current.generation == generation and self.completed < 0:
                    self._abandoned = generation
                    self._current.abort("abandoned")
        elif kind == "break":
            self._break(generation)
        elif kind == "notice":
            print(command.get("text", ""), flush=True)

    def stop(self) -> None:
        """Whoever waits for a generation raises Stopped, now and from here on; the training thread looks at `stopped` itself."""
        self.stopped = True
        with self._changed:
            self._changed.notify_all()

    def vote(self) -> int:
        """Number of the generation this worker is ready to switch to, 0 for none."""
        pending = self._pending
        return pending.generation if pending is not None and pending.committed else 0

    def following(self, mesh: Mesh) -> tuple[int, int]:
        """Size and this worker's rank in the generation that will compute the next steps, as far as is known now."""
        pending = self._pending
        if pending is None or not pending.committed or pending.mesh is None:
            return mesh.size, mesh.rank
        return pending.mesh.size, pending.mesh.rank

    def step_elsewhere(self, pending: Pending) -> int:
        """Completed steps of the worker whose state this one is to receive; -1 when it does not say."""
        try:
            return self._listener.ask_step(*pending.members[pending.source])
        except OSError:
            return -1

    def tell_state(self, sizes: Callable[[], list[int]], memory: Callable[[Callable[[], bool]], Shared]) -> None:
        """Both are called by other threads: `sizes` whenever a newcomer wants to know what large tensors it is to receive, `memory` when
        this worker is to hand the state to others of this machine at a switch, with a function that says whether to go on."""
        self._listener.sizes = sizes
        self._memory = memory

    def sizes_elsewhere(self, pending: Pending) -> list[int]:
        """Bytes of each large tensor of the worker whose state this one is to receive; none when it does not say."""
        try:
            return self._listener.ask_sizes(*pending.members[pending.source])
        except (OSError, ValueError):
            return []

    def await_commit(self, pending: Pending, seconds: float) -> bool:
        """Wait for so long; whether there is something else to do than to wait for this generation's commit."""
        with self._changed:
            return self._changed.wait_for(
                lambda: pending.committed or pending.cancelled.is_set() or self.stopped, seconds
            )

    def await_formed(self) -> Pending:
        """Wait until a generation stands that this worker may enter without a switch, or one that goes on without it.

        Whoever has trained waits for an immediate one: the others cannot switch to a planned generation once the present one broke.
        """
        with self._changed:
            while True:
                if self.stopped:
                    raise Stopped
                pending = self._pending
                if pending is not None and (pending.immediate or self.completed < 0):
                    if pending.mesh is not None or not pending.has(self.worker):
                        return pending
                self._changed.wait()

    def enter(self, generation: int) -> Pending:
        """Make the pending generation the present one; it must still be the one given. The former mesh is closed."""
        with self._changed:
            pending, former = self._pending, self._current
            if pending is None or pending.generation != generation or generation <= self._broken:
                raise GroupBroken(f"generation {generation} is not to be entered any more")
            self._pending = None
            self._current = pending.mesh
        if former is not None:
            former.close()
        self._listener.forget(generation)
        return pending

    def apply(self, change: Callable[[], int]) -> None:
        """Run `change`, which alters the training state and returns the new number of completed steps.

        Raises GroupBroken without running it when the present generation was broken before, RuntimeError in a forked process.
        """
        refuse_fork(self._process)
        with self._changed:
            if self._current is not None and self._current.aborted is not None:
                raise GroupBroken(self._current.aborted)
            self._applying = True
        completed = self.completed
        try:
            completed = change()
        finally:
            with self._changed:
                self.completed = completed
                self._applying = False
                if self._owed is not None:
                    self._answer(self._owed, "told to stop")
                    self._owed = None

    def broken(self, mesh: Mesh, error: str) -> None:
        """This worker stopped in `mesh`: close it and tell the server, unless the server told us."""
        with self._changed:
            mesh.abort(error)
            if self._current is mesh:
                self._current = None
            if mesh.generation > self._broken and mesh.generation != self._abandoned:
                self._answer(mesh.generation, error)
        mesh.close()

    def leave(self) -> None:
        """Close every connection; the worker takes part in nothing from here on."""
        with self._changed:
            current, self._current = self._current, None
            self._drop_pending("leaving")
        if current is not None:
            current.close()

    def _announce(self, pending: Pending) -> None:
        with self._changed:
            if pending.generation <= max(self._broken, self._heard):
                return
            self._heard = pending.generation
            self._drop_pending("replaced")
            self._pending = pending
            self._changed.notify_all()
        if pending.has(self.worker):
            threading.Thread(target=self._form, args=(pending,), name="concertina-form", daemon=True).start()

    def _form(self, pending: Pending) -> None:
        try:
            mesh = self._listener.form(pending.generation, pending.members, pending.cancelled)
        except OSError as error:
            if not pending.cancelled.is_set():
                self._send({"type": "unformed", "generation": pending.generation, "error": str(error)})
            return
        with self._changed:
            if pending.cancelled.is_set():
                mesh.close()
                return
            pending.mesh = mesh
            self._changed.notify_all()
        if not pending.immediate:
            if self.completed < 0:
                pending.loaded.wait(LOADING_SECONDS)
            elif mesh.rank == pending.source and mesh.beside() & set(pending.receivers):
                self._prepare(pending)
        with self._changed:
            if not pending.cancelled.is_set():
                self._send({"type": "formed", "generation": pending.generation})

    def _prepare(self, pending: Pending) -> None:
        with contextlib.suppress(OSError):
            # This thread, which ends soon, is to leave the processors to the training.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), PREPARING_NICENESS)
        until = time.monotonic() + LOADING_SECONDS
        memory = self._memory(lambda: not pending.cancelled.is_set() and time.monotonic() < until)
        with self._changed:
            if not pending.cancelled.is_set():
                pending.memory, memory = memory, Shared()
        memory.close()

    def _break(self, generation: int) -> None:
        with self._changed:
            self._broken = max(self._broken, generation)
            if self._current is not None and self._current.generation <= generation:
                self._current.abort("told to stop")
            if self._pending is not None and self._pending.generation <= generation:
                self._drop_pending("told to stop")
            if self._applying:
                self._owed = generation
            else:
                self._answer(generation, "told to stop")
        self._listener.forget(generation)

    def _drop_pending(self, reason: str) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.cancelled.set()
            pending.loaded.set()
            self._changed.notify_all()
            self._listener.wake()
            if pending.memory is not None:
                pending.memory.close()
            if pending.mesh is not None:
                pending.mesh.abort(reason)
                pending.mesh.close()

    def _answer(self, generation: int, error: str) -> None:
        self._send({"type": "broken", "generation": generation, "step": self.completed, "error": error})
