"""Training state as bytes: one JSON header, then the raw bytes of every tensor in the header's order.

The same form travels between workers (`transfer`) and lies in checkpoint files. Nothing in it is code: reading it can yield numbers, strings,
containers and tensors, whoever wrote it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import math
import mmap
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

MAGIC = b"concertina state 1\n"
LONGEST_HEADER_BYTES = 1 << 28
PIECE_BYTES = 1 << 20
# A tensor of this size has memory of its own.
LARGE_BYTES = 1 << 22
_DTYPES = {str(dtype): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}


class DamagedState(Exception):
    """Bytes that are not a complete, unaltered state."""


def short_of_memory(error: BaseException) -> bool:
    """Whether the system, or a device, had no memory to give; torch says so in words only."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    words = ("allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(each in str(error) for each in words))


def view(tensor: torch.Tensor) -> memoryview:
    """The bytes of a contiguous CPU tensor, writable, without a copy. The caller keeps the tensor alive."""
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        raise ValueError("only contiguous tensors in main memory have a byte view")
    size = tensor.numel() * tensor.element_size()
    if not size:
        return memoryview(bytearray())
    return memoryview((ctypes.c_char * size).from_address(tensor.data_ptr())).cast("B")


def encode(value: Any, tensors: list[torch.Tensor]) -> Any:
    """`value` as JSON; tensors are appended to `tensors` and referred to by position.

    Raises ValueError for anything that is not a number, string, None, tensor, list, tuple or dict of such.
    """
    if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
        return value
    if isinstance(value, torch.Tensor):
        tensors.append(value.detach())
        return {"tensor": len(tensors) - 1}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__ if type(value) is tuple else "list": [encode(each, tensors) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key, tensors), encode(each, tensors)] for key, each in value.items()]}
    if hasattr(value, "item"):
        return encode(value.item(), tensors)
    raise ValueError(f"state holds {type(value).__name__}; accepted are numbers, strings, tensors, lists, tuples and dicts")


def decode(value: Any, tensors: list[torch.Tensor]) -> Any:
    """Inverse of `encode`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "list":
        return [decode(each, tensors) for each in content]
    if kind == "tuple":
        return tuple(decode(each, tensors) for each in content)
    if kind == "dict":
        return {decode(key, tensors): decode(each, tensors) for key, each in content}
    raise DamagedState(f"unknown kind {kind!r} in a state's header")


def pack(value: Any, copy: bool, room: Sequence[torch.Tensor] = ()) -> tuple[bytes, list[torch.Tensor]]:
    """Header bytes and the tensors that follow it, in main memory and contiguous; `copy` makes them independent of training.

    A tensor whose dimensions lie in another order in memory, as with channels_last, has that order afterwards too: optimizers compute
    with other kernels, or more slowly, where their state does not lie as the weights do.

    `room`: tensors of an earlier copy that nobody reads any more; those of the same type and shape are filled again.
    """
    tensors: list[torch.Tensor] = []
    encoded = encode(value, tensors)
    kept: list[torch.Tensor] = []
    layout: list[list[Any]] = []
    for position, given in enumerate(tensors):
        tensor, strides = _in_memory_order(given)
        layout.append([str(given.dtype), list(given.shape), *strides])
        free = room[position] if copy and position < len(room) else None
        if free is not None and free.dtype == tensor.dtype and free.shape == tensor.shape:
            kept.append(free.copy_(tensor))
            continue
        there = tensor.to("cpu").contiguous()
        kept.append(there.clone() if copy and there.data_ptr() == tensor.data_ptr() else there)
    return json.dumps({"value": encoded, "tensors": layout}).encode(), kept


def _in_memory_order(tensor: torch.Tensor) -> tuple[torch.Tensor, list[list[int]]]:
    """The tensor with its dimensions as they lie in memory, and its strides in a list unless they are those of a new tensor."""
    usual, step = [], 1
    for size in reversed(tensor.shape):
        usual.append(step)
        step *= max(1, size)
    if list(tensor.stride()) == usual[::-1]:
        return tensor, []
    ordered = tensor.permute(sorted(range(tensor.dim()), key=tensor.stride, reverse=True))
    return (ordered, [list(tensor.stride())]) if ordered.is_contiguous() else (tensor, [])


def unpack_layout(header: bytes, memory: Rooms | None = None) -> tuple[Any, list[torch.Tensor], list[torch.Tensor]]:
    """The header's value, still encoded, empty tensors to be filled with the bytes that follow, and the tensors that these make.

    Raises DamagedState, or what `short_of_memory` knows.
    """
    try:
        content = json.loads(header)
        memory = memory or Rooms()
        places = memory.places(content["value"])
        rooms = [
            memory.empty(shape, _DTYPES[dtype], None if strides else places.get(position))
            for position, (dtype, shape, *strides) in enumerate(content["tensors"])
        ]
        tensors = [
            room.as_strided(room.shape, strides[0]) if strides else room
            for room, (_, _, *strides) in zip(rooms, content["tensors"])
        ]
        return content["value"], rooms, tensors
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        if short_of_memory(error):
            raise
        raise DamagedState(f"unreadable header: {error}") from error


class Rooms:
    """Memory for large tensors that are about to arrive: asked of the system, and touched, while there is time. `sizes` in bytes.

    `alike`: a value like the one that arrives as far as it goes; large tensors in dicts of it are overwritten with those that come in
    their place, and once that may have begun, `overwriting` says so. Raises OSError where there is not so much memory.
    """

    def __init__(self, sizes: Iterable[int] = (), alike: Any = None):
        self._alike = alike
        self.overwriting = False
        self._free: dict[int, list[mmap.mmap]] = {}
        needed = Counter(sizes)
        needed.subtract(_bytes(each) for each in _tensors(alike) if _fit(each))
        for size in needed.elements():
            memory = _memory(size)
            torch.frombuffer(memory, dtype=torch.uint8).zero_()
            self._free.setdefault(size, []).append(memory)

    def places(self, encoded: Any) -> dict[int, torch.Tensor]:
        """Of an encoded value's tensors, by position, those of `alike` that are to hold them."""
        return dict(_matched(encoded, self._alike))

    def empty(self, shape: list[int], dtype: torch.dtype, place: torch.Tensor | None = None) -> torch.Tensor:
        """A tensor without content: `place` where that is one like it, else in such memory where there is some of its size."""
        if place is not None and _fit(place) and place.dtype == dtype and list(place.shape) == shape:
            self.overwriting = True
            return place
        if min(shape, default=0) > 0:
            count = math.prod(shape)
            size = count * torch.empty((), dtype=dtype).element_size()
            if size >= LARGE_BYTES:
                free = self._free.get(size)
                memory = free.pop() if free else _memory(size)
                return torch.frombuffer(memory, dtype=dtype, count=count).view(shape)
        return torch.empty(shape, dtype=dtype)


def sizes(value: Any) -> list[int]:
    """Bytes of each tensor in a value that `encode` takes."""
    found: list[torch.Tensor] = []
    encode(value, found)
    return [_bytes(each) for each in found]


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _fit(tensor: torch.Tensor) -> bool:
    return _bytes(tensor) >= LARGE_BYTES and tensor.device.type == "cpu" and tensor.is_contiguous()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)


def _matched(encoded: Any, alike: Any) -> Iterator[tuple[int, torch.Tensor]]:
    kind, content = next(iter(encoded.items())) if isinstance(encoded, dict) else ("", None)
    if kind == "tensor" and isinstance(alike, torch.Tensor):
        yield content, alike
    elif kind == "dict" and isinstance(alike, dict):
        for key, each in content:
            if isinstance(key, str) and key in alike:
                yield from _matched(each, alike[key])


def _memory(size: int) -> mmap.mmap:
    """Memory of its own, in large pages where the system has them: new memory of ordinary ones costs more than its bytes' arrival."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def write_file(path: Path, header: bytes, tensors: list[torch.Tensor]) -> None:
    """Write a packed state so that `path` either has all of it or does not change, even when the machine stops.

    Raises OSError after removing what it had written of it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    digest = hashlib.sha256()
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            for piece in (MAGIC, struct.pack("!Q", len(header)), header, *(view(tensor) for tensor in tensors)):
                for start in range(0, len(piece), PIECE_BYTES):
                    part = memoryview(piece)[start : start + PIECE_BYTES]
                    digest.update(part)
                    _write(file, part)
            _write(file, memoryview(digest.digest()))
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(file: int, bytes_left: memoryview) -> None:
    while bytes_left:
        bytes_left = bytes_left[os.write(file, bytes_left) :]


def read_file(path: Path) -> Any:
    """The value written by `write_file`. Raises DamagedState when anything is missing or altered, OSError when unreadable."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:

        def take(length: int) -> bytes:
            piece = file.read(length)
            if len(piece) != length:
                raise DamagedState("file is shorter than its header says")
            digest.update(piece)
            return piece

        if take(len(MAGIC)) != MAGIC:
            raise DamagedState("not a checkpoint of this version")
        (length,) = struct.unpack("!Q", take(8))
        if length > LONGEST_HEADER_BYTES:
            raise DamagedState(f"header of {length} bytes")
        encoded, rooms, tensors = unpack_layout(take(length))
        for room in rooms:
            target = view(room)
            if file.readinto(target) != len(target):
                raise DamagedState("file is shorter than its header says")
            digest.update(target)
        if file.read() != digest.digest():
            raise DamagedState("checksum differs")
    return decode(encoded, tensors)


def weights_digest(state_dict: dict[str, torch.Tensor]) -> str:
    """SHA-256, in hexadecimal, of a model's weights and buffers, independent of device, file format and insertion order.

    Hashed for each name in sorted order: name, NUL, dtype without "torch.", NUL, sizes joined by commas, NUL, the elements' bytes in
    row-major order, little-endian. Entries that are not tensors are left out.
    """
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        tensor = state_dict[name]
        if not isinstance(tensor, torch.Tensor):
            continue
        there = tensor.detach().to("cpu").contiguous()
        sizes = ",".join(map(str, there.shape))
        digest.update(f"{name}\0{str(there.dtype)[len('torch.'):]}\0{sizes}\0".encode())
        digest.update(view(there))
    return digest.hexdigest()
