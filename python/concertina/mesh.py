"""Connections between the workers of one generation: a full mesh of TCP sockets, standard library only.

`Listener` lives as long as the process; `Listener.form` connects one generation, in any thread, while training goes on in another.
The result is a `Mesh`, which belongs to the training thread except for `abort`, which any thread may call at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Protocol

HANDSHAKE_SECONDS = 10.0
FORMATION_SECONDS = 20.0
ACCEPT_PAUSE_SECONDS = 0.1
SOCKET_BUFFER_BYTES = 1 << 20
LONGEST_HELLO_BYTES = 4096
LONGEST_ANSWER_BYTES = 1 << 20

_STEP = struct.Struct("!q")


class GroupBroken(Exception):
    """The generation cannot finish the exchange: a member died, or somebody aborted it."""


class Group(Protocol):
    """What the engine needs of a generation's connections; another transport implements this.

    All members call `exchange` in the same order with matching lengths, in one thread at a time. `aside` says that it is not the
    training thread, which has work of its own meanwhile and waits for nobody. `beside` gives the ranks that seem to be on this
    machine. `abort` is safe from any thread and makes the present and every later exchange raise GroupBroken. Implementations keep
    no state outside the object.
    """

    generation: int
    rank: int
    size: int
    aside: bool

    def exchange(self, outgoing: dict[int, list[memoryview]], incoming: dict[int, list[memoryview]]) -> None: ...

    def beside(self) -> set[int]: ...

    def abort(self, reason: str) -> None: ...

    def close(self) -> None: ...


class Listener:
    """Accepts connections of other workers of the same job and pairs them with the generation they belong to.

    A peer proves knowledge of the job's secret, and so do we, before either side sends anything else. Threads: one that accepts,
    one short-lived per handshake; `form` runs in its caller's thread.
    """

    def __init__(self, host: str, secret: str, worker: str):
        self._secret = secret.encode()
        self._worker = worker
        self._changed = threading.Condition()
        self._arrived: dict[tuple[int, str], socket.socket] = {}
        self._oldest = 0
        self._closed = False
        self.completed: Callable[[], int] = lambda: -1
        self.sizes: Callable[[], list[int]] = lambda: []
        self._socket = socket.create_server((host, 0), backlog=128)
        self.address = f"{host}:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, name="concertina-accept", daemon=True).start()

    def form(self, generation: int, members: list[tuple[str, str]], cancelled: threading.Event) -> Mesh:
        """Connect to every other member; `members` holds (worker, address) in rank order.

        Raises OSError, saying whom it could not reach, when it does not succeed in time or `cancelled` is set.
        """
        workers = [worker for worker, _ in members]
        rank = workers.index(self._worker)
        limit = time.monotonic() + FORMATION_SECONDS
        sockets: dict[int, socket.socket] = {}
        try:
            for other in range(rank):
                sockets[other] = self._connect(generation, members[other][0], members[other][1], limit, cancelled)
            for other in range(rank + 1, len(workers)):
                sockets[other] = self._await(generation, workers[other], limit, cancelled)
        except OSError:
            for each in sockets.values():
                each.close()
            raise
        mesh = Mesh(generation, rank, sockets)
        mesh.workers = workers
        return mesh

    def ask_step(self, worker: str, address: str) -> int:
        """Completed steps of another worker, as they are now. Raises OSError."""
        with self._call(worker, address, {"ask": "step"}, HANDSHAKE_SECONDS) as connection:
            return int(_STEP.unpack(_receive(connection, _STEP.size))[0])

    def ask_sizes(self, worker: str, address: str) -> list[int]:
        """Sizes in bytes of the large tensors that another worker holds. Raises OSError or ValueError."""
        with self._call(worker, address, {"ask": "sizes"}, HANDSHAKE_SECONDS) as connection:
            return [int(each) for each in json.loads(_receive_frame(connection, LONGEST_ANSWER_BYTES))]

    def forget(self, up_to: int) -> None:
        """Close connections that arrived for generations up to this one and never became part of a mesh."""
        with self._changed:
            self._oldest = max(self._oldest, up_to + 1)
            for key in [key for key in self._arrived if key[0] <= up_to]:
                self._arrived.pop(key).close()
            self._changed.notify_all()

    def wake(self) -> None:
        """Make every waiting `form` look at its `cancelled` event."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Accept nothing more; the thread that does ends."""
        self._closed = True
        with contextlib.suppress(OSError):
            # Closing alone would not wake it.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                if self._closed:
                    return
                # Too many open files, for instance, which passes.
                time.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            threading.Thread(target=self._welcome, args=(connection,), name="concertina-welcome", daemon=True).start()

    def _welcome(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(HANDSHAKE_SECONDS)
            challenge = secrets.token_bytes(16)
            connection.sendall(challenge)
            body = _receive_frame(connection)
            proof = _receive(connection, 32)
            if not hmac.compare_digest(proof, self._proof(b"caller", challenge, body)):
                raise OSError("the caller does not know the job's secret")
            hello = json.loads(body)
            if hello["to"] != self._worker:
                raise OSError("the caller wants another worker")
            connection.sendall(self._proof(b"called", bytes.fromhex(hello["challenge"]), body))
            if "ask" in hello:
                with connection:
                    if hello["ask"] == "sizes":
                        answer = json.dumps(self.sizes()).encode()
                        connection.sendall(struct.pack("!I", len(answer)) + answer)
                    else:
                        connection.sendall(_STEP.pack(self.completed()))
                return
            key = (int(hello["generation"]), str(hello["from"]))
            with self._changed:
                if key[0] < self._oldest:
                    raise OSError("that generation is over")
                replaced = self._arrived.pop(key, None)
                self._arrived[key] = connection
                self._changed.notify_all()
            if replaced is not None:
                replaced.close()
        except (OSError, ValueError, KeyError, TypeError):
            connection.close()

    def _await(self, generation: int, worker: str, limit: float, cancelled: threading.Event) -> socket.socket:
        with self._changed:
            while (generation, worker) not in self._arrived:
                if cancelled.is_set():
                    raise OSError("cancelled")
                left = limit - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"worker {worker} did not connect within {FORMATION_SECONDS:.0f} s")
                self._changed.wait(left)
            return self._arrived.pop((generation, worker))

    def _connect(
        self, generation: int, worker: str, address: str, limit: float, cancelled: threading.Event
    ) -> socket.socket:
        if cancelled.is_set():
            raise OSError("cancelled")
        left = min(HANDSHAKE_SECONDS, limit - time.monotonic())
        if left <= 0:
            raise TimeoutError(f"worker {worker} at {address}: no time left")
        return self._call(worker, address, {"generation": generation}, left)

    def _call(self, worker: str, address: str, content: dict, seconds: float) -> socket.socket:
        """A connection to another worker, each side having proved itself."""
        host, _, port = address.rpartition(":")
        connection: socket.socket | None = None
        try:
            connection = socket.create_connection((host.strip("[]"), int(port)), timeout=seconds)
            theirs = _receive(connection, 16)
            ours = secrets.token_bytes(16)
            hello = {**content, "from": self._worker, "to": worker, "challenge": ours.hex()}
            body = json.dumps(hello).encode()
            connection.sendall(struct.pack("!I", len(body)) + body + self._proof(b"caller", theirs, body))
            if not hmac.compare_digest(_receive(connection, 32), self._proof(b"called", ours, body)):
                raise OSError("it does not know the job's secret")
            return connection
        except (OSError, ValueError) as error:
            if connection is not None:
                connection.close()
            raise OSError(f"worker {worker} at {address}: {error}") from error

    def _proof(self, role: bytes, challenge: bytes, body: bytes) -> bytes:
        return hmac.new(self._secret, role + b"\0" + challenge + body, hashlib.sha256).digest()


def refuse_fork(own: int) -> None:
    """Raises RuntimeError in a process that the script forked while it trained in process `own`."""
    if os.getpid() != own:
        raise RuntimeError(
            f"process {os.getpid()}, which the script has forked, goes on with the training; accepted is the worker's own process, {own}"
        )


class Mesh:
    """One generation's sockets, non-blocking; a `Group`.

    Only the training thread, and while that computes the one that exchanges for it, calls `exchange`; only the training thread calls
    `close`, when no exchange is going on. A peer that is gone is noticed in the exchange that needs it, as
    GroupBroken; a peer that closed after sending everything it owed is no error.
    """

    def __init__(self, generation: int, rank: int, sockets: dict[int, socket.socket]):
        self.generation = generation
        self.rank = rank
        self.size = len(sockets) + 1
        self.aside = False
        self.aborted: str | None = None
        self._process = os.getpid()
        self.workers: list[str] = []
        self.moved = 0
        self._owing: tuple[dict, dict] = ({}, {})
        self._sockets = sockets
        self._lock = threading.Lock()
        self._closed = False
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        self._poll = select.poll()
        self._poll.register(self._wake_reader, select.POLLIN)
        self._ranks = {each.fileno(): other for other, each in sockets.items()}
        for each in sockets.values():
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def exchange(self, outgoing: dict[int, list[memoryview]], incoming: dict[int, list[memoryview]]) -> None:
        """Send and receive whole buffers, all peers at once. Buffers are byte views; received bytes land in them directly.

        Raises GroupBroken when aborted or when a peer ends before it has sent or taken what it owes, RuntimeError in a process that
        the script forked: it shares these sockets.
        """
        refuse_fork(self._process)
        if self.aborted is not None:
            raise GroupBroken(self.aborted)
        sending = {other: _trimmed(views) for other, views in outgoing.items()}
        receiving = {other: _trimmed(views) for other, views in incoming.items()}
        for other in [other for other, views in sending.items() if not views or self._send(other, views)]:
            del sending[other]
        for other in [other for other, views in receiving.items() if not views or self._receive(other, views)]:
            del receiving[other]
        registered: dict[int, int] = {}
        self._owing = (sending, receiving)
        try:
            while sending or receiving:
                self._register(registered, sending, receiving)
                for descriptor, _ in self._poll.poll():
                    self.moved += 1
                    if descriptor == self._wake_reader:
                        raise GroupBroken(self.aborted or "aborted")
                    other = self._ranks[descriptor]
                    if other in receiving and self._receive(other, receiving[other]):
                        del receiving[other]
                    if other in sending and self._send(other, sending[other]):
                        del sending[other]
        finally:
            self._owing = ({}, {})
            for descriptor in registered:
                self._poll.unregister(descriptor)

    def beside(self) -> set[int]:
        """Ranks whose connection has the same address at both ends."""
        try:
            return {other for other, each in self._sockets.items() if each.getpeername()[0] == each.getsockname()[0]}
        except OSError:
            return set()

    def awaited(self) -> list[str]:
        """Names of the workers that the training thread waits for. Any thread; `moved` counts what has arrived meanwhile."""
        if self.aside:
            return []
        sending, receiving = self._owing
        return [self.workers[rank] for rank in sorted({*tuple(sending), *tuple(receiving)})]

    def abort(self, reason: str) -> None:
        """Make the training thread's present or next exchange raise GroupBroken. Any thread, any number of times."""
        with self._lock:
            if self.aborted is None:
                self.aborted = reason
                if not self._closed:
                    os.write(self._wake_writer, b"x")

    def close(self) -> None:
        """Close every connection, which frees members that still wait for this one. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self.aborted is None:
                self.aborted = "closed"
            for each in self._sockets.values():
                each.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)

    def _register(self, registered: dict[int, int], sending: dict, receiving: dict) -> None:
        for other, each in self._sockets.items():
            events = (select.POLLOUT if other in sending else 0) | (select.POLLIN if other in receiving else 0)
            descriptor = each.fileno()
            if registered.get(descriptor, 0) == events:
                continue
            if not events:
                self._poll.unregister(descriptor)
                del registered[descriptor]
            else:
                self._poll.register(descriptor, events)
                registered[descriptor] = events

    def _send(self, other: int, views: list[memoryview]) -> bool:
        try:
            while views:
                _advance(views, self._sockets[other].sendmsg(views[:64]))
        except BlockingIOError:
            return False
        except OSError as error:
            raise GroupBroken(f"rank {other} is gone: {error.strerror or error}") from error
        return True

    def _receive(self, other: int, views: list[memoryview]) -> bool:
        try:
            while views:
                count = self._sockets[other].recvmsg_into(views[:64])[0]
                if not count:
                    raise GroupBroken(f"rank {other} is gone: connection closed")
                _advance(views, count)
        except BlockingIOError:
            return False
        except OSError as error:
            raise GroupBroken(f"rank {other} is gone: {error.strerror or error}") from error
        return True


def _trimmed(views: list[memoryview]) -> list[memoryview]:
    return [view for view in views if len(view)]


def _advance(views: list[memoryview], count: int) -> None:
    while views and count >= len(views[0]):
        count -= len(views.pop(0))
    if count:
        views[0] = views[0][count:]


def _receive(connection: socket.socket, length: int) -> bytes:
    received = bytearray()
    while len(received) < length:
        piece = connection.recv(length - len(received))
        if not piece:
            raise OSError("connection closed during the handshake")
        received += piece
    return bytes(received)


def _receive_frame(connection: socket.socket, most: int = LONGEST_HELLO_BYTES) -> bytes:
    (length,) = struct.unpack("!I", _receive(connection, 4))
    if length > most:
        raise OSError(f"message of {length} bytes, accepted are at most {most}")
    return _receive(connection, length)
