"""Loading micro-batches before they are needed, in processes of their own that forked from the worker.

A process has random generators of its own: user code that draws from torch's, Python's or numpy's global ones meets the numbers of
its micro-batch, and does not disturb those of the step that computes meanwhile, as a thread would. Loading depends on nothing but
(step, logical worker), so whatever goes wrong in such a process, the worker loads that micro-batch itself and gets the same, or the
script's own error. ADR 034.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import io
import os
import pickle
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

Key = tuple[int, int]

# So many waits for data of at least so long are worth a process; four shorter ones make up for one of them.
WORTH_SECONDS = 0.001
WORTH_WAITS = 3
PATIENCE_SECONDS = 30.0
AHEAD_PER_PROCESS = 2
PR_SET_PDEATHSIG = 1
ALIGNMENT = 64

_KEY = struct.Struct("!qq")
_HEAD = struct.Struct("!?qq")
_SIZE = struct.Struct("!q")


class NotCarried(Exception):
    """A batch that would not be the same after its way from process to process."""


class Ahead:
    """Micro-batches that are loaded or being loaded; used by the training thread.

    `load` (step, logical worker) → batch must give the same in any process. Processes are added one by one, up to `processes`, while
    the training thread is kept waiting for data. `patience`: seconds after which it loads a micro-batch itself that a process still
    has not delivered.
    """

    def __init__(self, load: Callable[[int, int], Any], processes: int, patience: float = PATIENCE_SECONDS):
        self._load = load
        self._most = processes if sys.platform == "linux" else 0
        self._patience = patience
        self._changed = threading.Condition()
        self._ready: dict[Key, Any] = {}
        self._asked: dict[Key, _Process] = {}
        self._wrong: dict[Key, str] = {}
        self._wanted: list[Key] = []
        self._processes: list[_Process] = []
        self._waits = 0.0

    @property
    def depth(self) -> int:
        """Micro-batches that may be loaded ahead of the one being computed."""
        return AHEAD_PER_PROCESS * self._most

    def expect(self, keys: list[Key]) -> None:
        """What will be taken next, in order. Anything else is forgotten."""
        known = set(keys)
        with self._changed:
            self._wanted = list(keys)
            for place in (self._ready, self._wrong):
                for key in [key for key in place if key not in known]:
                    del place[key]
        self._feed()

    def hold(self, key: Key) -> bool:
        """Have it at hand, if need be by loading it here and now. Whether it was there already."""
        began = time.perf_counter()
        with self._changed:
            self._changed.wait_for(lambda: key not in self._asked, self._patience)
            if key in self._ready:
                return True
        data = self._load(*key)
        with self._changed:
            self._ready[key] = data
        self._grow(time.perf_counter() - began)
        return False

    def take(self, key: Key) -> Any:
        """The batch, from wherever it is fastest. Raises what the script's own code raises."""
        began = time.perf_counter()
        with self._changed:
            self._changed.wait_for(lambda: key in self._ready or key not in self._asked, self._patience)
            here = key in self._ready
            data = self._ready.pop(key, None)
            reason = self._wrong.pop(key, "")
            stuck = not here and key in self._asked
            self._wanted = [each for each in self._wanted if each != key]
        if not here:
            own = time.perf_counter()
            data = self._load(*key)
            own = time.perf_counter() - own
            if stuck and own > self._patience / 2:
                self._patience = 4 * own
            elif stuck or reason:
                self._give_up(reason or f"a process did not load one in {self._patience:.0f} s, this one did in {own:.1f} s")
        self._grow(time.perf_counter() - began)
        self._feed()
        return data

    def close(self) -> None:
        """End the processes; what they were asked for is loaded here if it is still taken."""
        processes, self._processes, self._most = self._processes, [], 0
        for each in processes:
            each.end()
        with self._changed:
            self._asked.clear()

    def _grow(self, waited: float) -> None:
        """One more process, if the training thread has waited often enough for that."""
        self._waits = self._waits + 1.0 if waited >= WORTH_SECONDS else max(0.0, self._waits - 0.25)
        if self._waits < WORTH_WAITS or len(self._processes) >= self._most:
            return
        self._waits = 0.0
        try:
            self._processes.append(_Process(self._load, self._arrived))
        except OSError as error:
            self._give_up(str(error))

    def _feed(self) -> None:
        if not self._processes:
            return
        room = AHEAD_PER_PROCESS * len(self._processes)
        for key in self._wanted[:room]:
            with self._changed:
                if key in self._ready or key in self._asked or key in self._wrong:
                    continue
                chosen = min(self._processes, key=lambda each: sum(one is each for one in self._asked.values()))
                self._asked[key] = chosen
            chosen.ask(key)

    def _arrived(self, sender: _Process, key: Key | None, data: Any, wrong: str) -> None:
        """Called by a process's reading thread; without a key the process has ended."""
        with self._changed:
            keys = [each for each, asked in self._asked.items() if asked is sender] if key is None else [key]
            for each in keys:
                if self._asked.pop(each, None) is None or each not in self._wanted:
                    continue
                if wrong:
                    self._wrong[each] = wrong
                else:
                    self._ready[each] = data
            self._changed.notify_all()

    def _give_up(self, reason: str) -> None:
        print(f"Micro-batches are loaded between the steps from here on: {reason}", flush=True)
        self.close()


class _Process:
    """One loading process and the thread that takes in what it sends."""

    def __init__(self, load: Callable[[int, int], Any], arrived: Callable[[_Process, Key | None, Any, str], None]):
        self._arrived = arrived
        self._gone = False
        self._socket, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._pid = os.fork()
        if not self._pid:
            try:
                _serve(load, theirs, parent)
            finally:
                os._exit(1)
        theirs.close()
        threading.Thread(target=self._read, name="concertina-loading", daemon=True).start()

    def ask(self, key: Key) -> None:
        try:
            self._socket.sendall(_KEY.pack(*key))
        except OSError:
            self._arrived(self, None, None, "a loading process ended")

    def end(self) -> None:
        """Kill it; its thread notices and reaps it."""
        if not self._gone:
            os.kill(self._pid, signal.SIGKILL)

    def _read(self) -> None:
        try:
            with self._socket:
                while True:
                    key = _KEY.unpack(_received(self._socket, _KEY.size))
                    good, length, count = _HEAD.unpack(_received(self._socket, _HEAD.size))
                    content = _received(self._socket, length)
                    pieces = [self._piece() for _ in range(count)]
                    if good:
                        self._arrived(self, key, _Unpickler(io.BytesIO(content), pieces).load(), "")
                    else:
                        self._arrived(self, key, None, content.decode())
        except Exception as error:
            self.end()
            self._arrived(self, None, None, f"a loading process ended ({error})")
            self._gone = True
            try:
                os.waitpid(self._pid, 0)
            except ChildProcessError:
                pass

    def _piece(self) -> torch.Tensor:
        """Bytes at the same place within a cache line as where they come from, because kernels may add in another order elsewhere."""
        (place,) = _SIZE.unpack(_received(self._socket, _SIZE.size))
        (size,) = _SIZE.unpack(_received(self._socket, _SIZE.size))
        room = torch.empty(size + ALIGNMENT, dtype=torch.uint8)
        start = (place - room.data_ptr()) % ALIGNMENT
        _receive_into(self._socket, _bytes_at(room.data_ptr() + start, size))
        return room[start : start + size]


class _Pickler(pickle.Pickler):
    """Sets tensors aside, to be sent as they lie in memory."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file, protocol=5)
        self.tensors: list[torch.Tensor] = []
        self._numbers: dict[int, int] = {}

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return None
        if id(value) not in self._numbers:
            self._check(value)
            self._numbers[id(value)] = len(self.tensors)
            self.tensors.append(value)
        return self._numbers[id(value)], value.dtype, tuple(value.shape), value.stride()

    def _check(self, value: torch.Tensor) -> None:
        plain = type(value) is torch.Tensor and value.layout == torch.strided and value.device.type == "cpu"
        if not plain or value.requires_grad or value.is_quantized or value.is_conj() or value.is_neg():
            raise NotCarried(f"a batch holds a {type(value).__name__} on {value.device} that is not a plain one in main memory")
        extent = _extent(value)
        if extent > 4 * value.numel() + 1024 or (extent and value.data_ptr() % value.element_size()):
            raise NotCarried("a batch holds a tensor that is a small part of another")
        first, last = value.data_ptr(), value.data_ptr() + extent * value.element_size()
        for other in self.tensors:
            begin = other.data_ptr()
            if extent and first < begin + _extent(other) * other.element_size() and begin < last:
                raise NotCarried("a batch holds tensors that share their memory")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, pieces: list[torch.Tensor]):
        super().__init__(file)
        self._pieces = pieces
        self._made: dict[int, torch.Tensor] = {}

    def persistent_load(self, identity: Any) -> torch.Tensor:
        number, dtype, size, stride = identity
        if number not in self._made:
            piece = self._pieces[number]
            if len(piece):
                self._made[number] = piece.view(dtype).as_strided(size, stride)
            else:
                self._made[number] = torch.empty_strided(size, stride, dtype=dtype)
        return self._made[number]


@contextmanager
def one_thread() -> Iterator[None]:
    """Kernels add in the same order in a loading process, which has one thread, and here."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _serve(load: Callable[[int, int], Any], connection: socket.socket, parent: int) -> None:
    """The whole life of a loading process. It ends with its worker."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    # The worker decides how long it goes on when it is told to stop.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()
    torch.set_num_threads(1)
    _part_with_files(connection.fileno())
    while True:
        request = _received(connection, _KEY.size)
        content, pieces = _loaded(load, *_KEY.unpack(request))
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(request + content)
        for tensor in pieces:
            size = _extent(tensor) * tensor.element_size()
            connection.sendall(_SIZE.pack(tensor.data_ptr() % ALIGNMENT) + _SIZE.pack(size))
            connection.sendall(_bytes_at(tensor.data_ptr(), size))


def _loaded(load: Callable[[int, int], Any], step: int, logical_worker: int) -> tuple[bytes, list[torch.Tensor]]:
    """Head and pickle of a batch, and its tensors; or of what went wrong."""
    try:
        file = io.BytesIO()
        pickler = _Pickler(file)
        pickler.dump(load(step, logical_worker))
        content = file.getvalue()
        return _HEAD.pack(True, len(content), len(pickler.tensors)) + content, pickler.tensors
    except BaseException as error:
        text = f"{type(error).__name__} in a loading process: {error}".encode()
        return _HEAD.pack(False, len(text), 0) + text, []


def _part_with_files(own: int) -> None:
    """Let go of the worker's connections, which end when it does, and read its open files at places of one's own."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor <= 2 or descriptor in (own, nothing):
            continue
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISSOCK(mode):
                os.dup2(nothing, descriptor, inheritable=False)
            elif stat.S_ISREG(mode):
                flags = fcntl.fcntl(descriptor, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND)
                place = os.lseek(descriptor, 0, os.SEEK_CUR)
                again = os.open(f"/proc/self/fd/{descriptor}", flags)
                os.lseek(again, place, os.SEEK_SET)
                os.dup2(again, descriptor, inheritable=False)
                os.close(again)
        except OSError:
            continue


def _extent(tensor: torch.Tensor) -> int:
    """Elements from a tensor's first to its last in memory, both included."""
    if not tensor.numel():
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride()))


def _bytes_at(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B") if size else memoryview(bytearray())


def _received(connection: socket.socket, length: int) -> bytes:
    content = bytearray(length)
    _receive_into(connection, memoryview(content))
    return bytes(content)


def _receive_into(connection: socket.socket, room: memoryview) -> None:
    while len(room):
        count = connection.recv_into(room)
        if not count:
            raise EOFError("connection closed")
        room = room[count:]
