"""Training state from one worker to others: a frame, the header of `state.pack`, then the bytes of every tensor.

Through the sockets of the generation; between workers of one machine the bytes of a large state go through memory that both see, which
spares the processors two copies for each receiver. Whoever cannot open that memory, as from another container, says so and gets them
through its socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import struct
import zlib
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

_PATH = re.compile(r"/proc/[0-9]+/fd/[0-9]+")
_FRAME = struct.Struct("!QII")
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


def send(group: Group, receivers: list[int], value: Any) -> None:
    """Stream `value` to the receivers, all at once. Raises GroupBroken."""
    header, tensors = pack(value, copy=False)
    views = [view(tensor) for tensor in tensors]
    beside = group.beside()
    near = [each for each in receivers if each in beside]
    with _Shared(views if near else []) as shared:
        offers = {each: shared.offer if each in near else b"" for each in receivers}
        check = checksum(header, views)
        frames = {each: memoryview(_FRAME.pack(len(header), check, len(offers[each])) + header + offers[each]) for each in receivers}
        group.exchange({each: [frame] for each, frame in frames.items()}, {})
        answers = {each: bytearray(1) for each in receivers if offers[each]}
        group.exchange({}, {each: [memoryview(answer)] for each, answer in answers.items()})
        through = [each for each in receivers if answers.get(each) != _YES]
        group.exchange({each: list(views) for each in through}, {})
        # The memory stays until everybody has read it.
        group.exchange({}, {each: [memoryview(bytearray(1))] for each in receivers if each not in through})


def receive(group: Group, source: int, memory: Rooms | None = None) -> Any:
    """The value that `source` streams, its large tensors in `memory` where that fits.

    Raises GroupBroken, or DamagedState when the checksum differs.
    """
    frame = bytearray(_FRAME.size)
    group.exchange({}, {source: [memoryview(frame)]})
    length, expected, offered = _FRAME.unpack(frame)
    if length > LONGEST_HEADER_BYTES or offered > LONGEST_OFFER_BYTES:
        raise DamagedState(f"header of {length} bytes, offer of {offered}")
    header, offer = bytearray(length), bytearray(offered)
    group.exchange({}, {source: [memoryview(header), memoryview(offer)]})
    encoded, rooms, tensors = unpack_layout(bytes(header), memory)
    views = [view(room) for room in rooms]
    shared = _opened(bytes(offer)) if offered else None
    if offered:
        group.exchange({source: [memoryview(_NO if shared is None else _YES)]}, {})
    if shared is None:
        group.exchange({}, {source: list(views)})
    else:
        with os.fdopen(shared, "rb", buffering=0) as file:
            _read(file, views)
        group.exchange({source: [memoryview(_YES)]}, {})
    if checksum(bytes(header), views) != expected:
        raise DamagedState("state arrived with a wrong checksum")
    return decode(encoded, tensors)


class _Shared:
    """Bytes in memory without a name that other processes of this user on this machine can open; as a context, closed at its end.

    `offer` tells how, empty where there is no such memory or it is not worth it.
    """

    def __init__(self, views: list[memoryview]):
        self.offer = b""
        self._memory = -1
        if sum(map(len, views)) < SHARED_BYTES or not hasattr(os, "memfd_create"):
            return
        token = secrets.token_bytes(16)
        try:
            self._memory = os.memfd_create("concertina-state", os.MFD_CLOEXEC)
            for each in (memoryview(token), *views):
                while each:
                    each = each[os.write(self._memory, each) :]
            self.offer = json.dumps({"path": f"/proc/{os.getpid()}/fd/{self._memory}", "token": token.hex()}).encode()
        except OSError:
            # As where memory is short; the sockets need none.
            self.__exit__()

    def __enter__(self) -> _Shared:
        return self

    def __exit__(self, *_: object) -> None:
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1


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
