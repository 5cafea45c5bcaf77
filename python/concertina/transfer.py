"""Training state from one worker to others: a frame, the header of `state.pack`, then the bytes of every tensor.

Through the sockets of the generation; between workers of one machine the bytes of a large state go through memory that both see, which
spares the processors two copies for each receiver, and which may be made ready while training goes on. Whoever cannot open that memory,
as from another container, says so and gets them through its socket.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import secrets
import struct
import threading
import zlib
from collections.abc import Callable
from typing import Any

import torch

from concertina.mesh import Group
from concertina.state import LONGEST_HEADER_BYTES, DamagedState, Rooms, decode, pack, unpack_layout, view

# What one sum of the checksum covers, and below which size plain CRC-32 is as fast.
ROW_BYTES = 1 << 12
SHORT_BYTES = 1 << 16
# Below this, sockets are as fast as shared memory.
SHARED_BYTES = 1 << 22
LONGEST_OFFER_BYTES = 1 << 12
TOKEN_BYTES = 16
# After so much of it, whoever makes memory ready looks whether to go on.
TOUCHED_AT_ONCE_BYTES = 1 << 24

_PATH = re.compile(r"/proc/[0-9]+/fd/[0-9]+")
_FRAME = struct.Struct("!QI")
_CHECK = struct.Struct("!I")
_YES, _NO = b"y", b"n"


def checksum(header: bytes, views: list[memoryview]) -> int:
    """CRC-32 of the header and, for every tensor, of the sums of each 4096 bytes, taken as 64-bit words.

    A sum costs a fifth of a CRC's time. What it cannot see, words that changed places within their 4096 bytes, no transport does.
    """
    found = zlib.crc32(header)
    for each in views:
        rows = 0 if len(each) < SHORT_BYTES else len(each) // ROW_BYTES
        if rows:
            words = torch.frombuffer(each, dtype=torch.int64, count=rows * ROW_BYTES // 8)
            sums = words.view(rows, ROW_BYTES // 8).sum(1)
            found = zlib.crc32(view(sums), found)
        found = zlib.crc32(each[rows * ROW_BYTES :], found)
    return found


def send(group: Group, receivers: list[int], value: Any, shared: Shared | None = None) -> None:
    """Stream `value` to the receivers, all at once, through `shared` where that was made ready. Raises GroupBroken."""
    header, tensors = pack(value, copy=False)
    views = [view(tensor) for tensor in tensors]
    beside = group.beside()
    near = [each for each in receivers if each in beside]
    memory = shared or Shared()
    try:
        offer = memory.fill(views) if near else b""
        offers = {each: offer if each in near else b"" for each in receivers}
        frames = {each: memoryview(_FRAME.pack(len(header), len(offers[each])) + header + offers[each]) for each in receivers}
        group.exchange({each: [frame] for each, frame in frames.items()}, {})
        # Meanwhile they read.
        check = memoryview(_CHECK.pack(checksum(header, views)))
        answers = {each: bytearray(1) for each in receivers if offers[each]}
        group.exchange({}, {each: [memoryview(answer)] for each, answer in answers.items()})
        through = [each for each in receivers if answers.get(each) != _YES]
        group.exchange({each: [*views, check] if each in through else [check] for each in receivers}, {})
        # The memory stays until everybody has read it.
        group.exchange({}, {each: [memoryview(bytearray(1))] for each in receivers if each not in through})
    finally:
        # It takes as long as filling it, and longer, and nobody need wait for it.
        threading.Thread(target=memory.close, name="concertina-give-back", daemon=True).start()


def receive(group: Group, source: int, memory: Rooms | None = None) -> Any:
    """The value that `source` streams, its large tensors in `memory` where that fits.

    Raises GroupBroken, or DamagedState when the checksum differs.
    """
    frame = bytearray(_FRAME.size)
    group.exchange({}, {source: [memoryview(frame)]})
    length, offered = _FRAME.unpack(frame)
    if length > LONGEST_HEADER_BYTES or offered > LONGEST_OFFER_BYTES:
        raise DamagedState(f"header of {length} bytes, offer of {offered}")
    header, offer, check = bytearray(length), bytearray(offered), bytearray(_CHECK.size)
    group.exchange({}, {source: [memoryview(header), memoryview(offer)]})
    encoded, rooms, tensors = unpack_layout(bytes(header), memory)
    views = [view(room) for room in rooms]
    shared = _opened(bytes(offer)) if offered else None
    if offered:
        group.exchange({source: [memoryview(_NO if shared is None else _YES)]}, {})
    if shared is None:
        group.exchange({}, {source: [*views, memoryview(check)]})
    else:
        with os.fdopen(shared, "rb", buffering=0) as file:
            _read(file, views)
        group.exchange({source: [memoryview(_YES)]}, {source: [memoryview(check)]})
    if checksum(bytes(header), views) != _CHECK.unpack(check)[0]:
        raise DamagedState("state arrived with a wrong checksum")
    return decode(encoded, tensors)


class Shared:
    """Memory without a name that other processes of this user on this machine can open.

    With a size in bytes it is asked of the system and touched at once: that takes several times as long as filling it afterwards. Where
    `wanted` puts an end to that, or where more has to go in, the rest is asked for when it is filled.
    """

    def __init__(self, size: int = 0, wanted: Callable[[], bool] = lambda: True):
        self._process = os.getpid()
        self._descriptor = -1
        self._token = bytearray(secrets.token_bytes(TOKEN_BYTES))
        self._mapped = torch.empty(0, dtype=torch.uint8)
        self._touched = 0
        if size < SHARED_BYTES or not hasattr(os, "memfd_create"):
            return
        try:
            self._descriptor = os.memfd_create("concertina-state", os.MFD_CLOEXEC)
            os.ftruncate(self._descriptor, TOKEN_BYTES + size)
            self._mapped = torch.frombuffer(mmap.mmap(self._descriptor, TOKEN_BYTES + size), dtype=torch.uint8)
            while self._touched < len(self._mapped) and wanted():
                piece = self._mapped[self._touched : self._touched + TOUCHED_AT_ONCE_BYTES]
                # Touching what the system does not have would end the process.
                os.posix_fallocate(self._descriptor, self._touched, len(piece))
                piece.zero_()
                self._touched += len(piece)
        except OSError:
            self.close()

    def fill(self, views: list[memoryview]) -> bytes:
        """Have these bytes in the memory; where they lie, for others, or nothing where there is no such memory or it is not worth it."""
        size = sum(map(len, views))
        if size < SHARED_BYTES or not hasattr(os, "memfd_create"):
            return b""
        ready = TOKEN_BYTES + size <= self._touched
        try:
            if self._descriptor < 0:
                self._descriptor = os.memfd_create("concertina-state", os.MFD_CLOEXEC)
            at = 0
            for each in (memoryview(self._token), *views):
                if ready and each:
                    self._mapped[at : at + len(each)].copy_(torch.frombuffer(each, dtype=torch.uint8))
                    at += len(each)
                while not ready and each:
                    count = os.pwrite(self._descriptor, each, at)
                    at, each = at + count, each[count:]
            return self._offer()
        except OSError:
            # As where memory is short; the sockets need none.
            self.close()
            return b""

    def _offer(self) -> bytes:
        return json.dumps({"path": f"/proc/{os.getpid()}/fd/{self._descriptor}", "token": self._token.hex()}).encode()

    def close(self) -> None:
        """Give the memory back, though processes that were forked meanwhile have it too. Idempotent."""
        self._mapped, self._touched = torch.empty(0, dtype=torch.uint8), 0
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            if os.getpid() == self._process:
                os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


def _opened(offer: bytes) -> int | None:
    """A descriptor behind the token of the memory that is offered; None where it cannot be opened or is something else."""
    memory = -1
    try:
        content = json.loads(offer)
        token = bytes.fromhex(content["token"])
        if not _PATH.fullmatch(content["path"]):
            return None
        memory = os.open(content["path"], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if os.read(memory, len(token)) == token:
            return memory
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if memory >= 0:
        with contextlib.suppress(OSError):
            os.close(memory)
    return None


def _read(file: Any, views: list[memoryview]) -> None:
    """Raises DamagedState when there is less than the views hold."""
    for each in views:
        while each:
            count = file.readinto(each)
            if not count:
                raise DamagedState("the shared state is shorter than its header says")
            each = each[count:]
