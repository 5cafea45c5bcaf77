"""State as bytes: what goes in comes out, and nothing else than plain data can come out."""

import contextlib
import errno
import json
import math
import os
import threading
import time

import pytest
import torch
from test_mesh import meshes, together

from concertina import state, transfer


def example():
    return {
        "step": 12,
        "bounds": [1024.0, 2.0**-60, math.inf],
        "tensors": {
            "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
            "b": torch.tensor(3, dtype=torch.int64),
            "empty": torch.empty(0, 4),
            "half": torch.ones(3, dtype=torch.bfloat16),
            "flags": torch.tensor([True, False]),
            "slanted": torch.arange(12.0).reshape(3, 4).t(),
            "image": torch.arange(120.0).reshape(2, 3, 4, 5).to(memory_format=torch.channels_last),
            "pixel": torch.arange(6.0).reshape(2, 3, 1, 1).to(memory_format=torch.channels_last),
        },
        "optimizer": {"state": {0: {"step": torch.tensor(4.0)}}, "param_groups": [{"betas": (0.9, 0.999), "lr": 0.1, "x": None}]},
    }


def same(one, other):
    if isinstance(one, torch.Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape and one.stride() == other.stride()
        return alike and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_a_file_gives_back_exactly_what_was_written(tmp_path):
    path = tmp_path / "step-1.state"
    state.write_file(path, *state.pack(example(), copy=True))
    assert same(state.read_file(path), example())
    assert [each.name for each in tmp_path.iterdir()] == ["step-1.state"]


@pytest.mark.parametrize("place", [0, 20, 30, 200, -40, -1])
def test_a_changed_byte_is_noticed(tmp_path, place):
    path = tmp_path / "step-1.state"
    state.write_file(path, *state.pack(example(), copy=True))
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)
    with pytest.raises(state.DamagedState):
        state.read_file(path)


@pytest.mark.parametrize("length", [0, 10, 25, 100, -1])
def test_a_file_that_was_cut_off_is_noticed(tmp_path, length):
    path = tmp_path / "step-1.state"
    state.write_file(path, *state.pack(example(), copy=True))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(state.DamagedState):
        state.read_file(path)


def test_a_stream_reaches_every_receiver_unchanged():
    formed = meshes(3)
    value = example()
    results = together(
        [
            lambda: transfer.send(formed[0], [1, 2], value),
            lambda: transfer.receive(formed[1], 0),
            lambda: transfer.receive(formed[2], 0),
        ]
    )
    assert same(results[1], value) and same(results[2], value)
    for mesh in formed:
        mesh.close()


def large():
    generator = torch.Generator().manual_seed(5)
    count = state.LARGE_BYTES + transfer.ROW_BYTES + 3
    return {
        "bytes": torch.randint(256, (count,), dtype=torch.uint8, generator=generator),
        "half": torch.randn(3, count // 3, generator=generator).half(),
        "last": torch.randn(8, 16, 128, 128, generator=generator).to(memory_format=torch.channels_last),
        "empty": torch.zeros(0, 1 << 20),
    }


real_opened = transfer._opened


def no_memory(*_):
    raise OSError(errno.ENOSPC, "no memory")


@pytest.mark.parametrize("way", ["memory of one machine", "one of two from elsewhere", "another address", "no such memory", "memory full"])
def test_a_large_state_of_every_kind_arrives_unchanged(way, monkeypatch):
    opened = []
    monkeypatch.setattr(transfer, "_opened", lambda offer: opened.append(offer) or (None if refuses(opened) else real_opened(offer)))
    refuses = lambda _: way == "one of two from elsewhere" and len(opened) == 2  # noqa: E731
    formed = meshes(3)
    if way == "another address":
        monkeypatch.setattr(type(formed[0]), "beside", lambda _: set())
    elif way == "no such memory":
        monkeypatch.delattr(os, "memfd_create")
    elif way == "memory full":
        monkeypatch.setattr(os, "memfd_create", no_memory)
    value, before = large(), len(os.listdir("/proc/self/fd"))
    results = together(
        [
            lambda: transfer.send(formed[0], [1, 2], value),
            lambda: transfer.receive(formed[1], 0),
            lambda: transfer.receive(formed[2], 0),
        ]
    )
    assert len(opened) == (2 if way in ("memory of one machine", "one of two from elsewhere") else 0)
    for received in results[1:]:
        assert same(received, value)
        assert received["last"].stride() == value["last"].stride()
        received["half"].mul_(2)
    assert not same(results[1], value) and same(value, large())
    until = time.monotonic() + 10
    while len(os.listdir("/proc/self/fd")) != before:
        assert time.monotonic() < until
        time.sleep(0.01)
    for mesh in formed:
        mesh.close()


def test_what_was_asked_for_beforehand_is_used_once_and_anything_else_is_new():
    rooms = state.Rooms([state.LARGE_BYTES, state.LARGE_BYTES + 8])
    first = rooms.empty([state.LARGE_BYTES // 4], torch.float32)
    assert int(first.view(torch.uint8).max()) == 0
    first.fill_(7)
    again = rooms.empty([2, state.LARGE_BYTES // 4], torch.float16)
    wide = rooms.empty([state.LARGE_BYTES // 8 + 1], torch.float64)
    more = rooms.empty([state.LARGE_BYTES], torch.uint8)
    again.fill_(1), wide.fill_(2), more.fill_(3)
    assert float(first.sum()) == 7 * first.numel() and float(wide.sum()) == 2 * wide.numel()
    assert rooms.empty([0, 5], torch.int8).shape == (0, 5) and rooms.empty([], torch.float32).dim() == 0


def content(offer, views):
    found = [bytearray(len(each)) for each in views]
    with os.fdopen(transfer._opened(offer), "rb", buffering=0) as file:
        transfer._read(file, [memoryview(each) for each in found if each])
    return found


@pytest.mark.parametrize("missing", [-100, 0, 1, 1 << 40])
def test_memory_made_ready_is_used_and_grows_where_more_has_to_go_in(missing):
    value, before = large(), len(os.listdir("/proc/self/fd"))
    _, tensors = state.pack(value, copy=False)
    views = [state.view(each) for each in tensors]
    room = max(0, sum(map(len, views)) - missing)
    with contextlib.closing(transfer.Shared(room)) as shared:
        descriptor = shared._descriptor
        assert shared._touched == (room and transfer.TOKEN_BYTES + room)
        offer = shared.fill(views)
        assert shared._descriptor == descriptor or not room
        assert content(offer, views) == [bytearray(each) for each in views]
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_memory_that_was_not_wanted_to_its_end_is_asked_for_when_it_is_filled(pieces, monkeypatch):
    monkeypatch.setattr(transfer, "TOUCHED_AT_ONCE_BYTES", 1 << 21)
    wanted = iter([True] * pieces + [False])
    given = torch.arange(1 << 20)
    views = [state.view(given)]
    with contextlib.closing(transfer.Shared(len(views[0]), lambda: next(wanted))) as shared:
        assert shared._touched == pieces << 21 == 512 * os.fstat(shared._descriptor).st_blocks
        assert content(shared.fill(views), views) == [bytearray(views[0])]


def test_memory_is_given_back_though_a_forked_process_has_it_too():
    """Processes that load micro-batches live on; one that drops its copy takes nothing from the others."""
    given = torch.arange(1 << 20)
    views = [state.view(given)]
    shared = transfer.Shared(len(views[0]))
    there, here = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(there[1])
        kept = os.dup(shared._descriptor)
        shared.close()
        os.write(here[1], b"%d" % kept)
        os.read(there[0], 1)
        os._exit(0)
    kept = f"/proc/{child}/fd/{int(os.read(here[0], 10))}"
    try:
        assert content(shared.fill(views), views) == [bytearray(views[0])]
        assert os.stat(kept).st_blocks * 512 > len(views[0])
        shared.close()
        assert os.stat(kept).st_blocks == 0
    finally:
        os.write(there[1], b"x")
        os.waitpid(child, 0)
        for each in (*there, *here):
            os.close(each)


def test_memory_that_cannot_be_made_ready_is_none(monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(os, "posix_fallocate", no_memory)
    with contextlib.closing(transfer.Shared(transfer.SHARED_BYTES)) as shared:
        assert (shared._descriptor, shared._touched) == (-1, 0)
    assert len(os.listdir("/proc/self/fd")) == before


def test_large_tensors_arrive_in_the_place_of_those_that_are_like_them():
    def one(fill):
        return {
            "whole": torch.full((state.LARGE_BYTES,), fill, dtype=torch.uint8),
            "wider": torch.full((state.LARGE_BYTES + fill,), fill, dtype=torch.uint8),
            "other": torch.full((state.LARGE_BYTES,), fill).to([torch.int8, torch.uint8][fill]),
            "last": torch.full((8, 16, 128, 128), float(fill)).to(memory_format=torch.channels_last),
            "small": torch.full((3,), fill),
            "turned": torch.full((2048, 2048), fill).t(),
            "either": [torch.zeros(2048, 1024), torch.arange(1.0, (1 << 21) + 1).view(1024, 2048).t()][fill],
        }

    sent = {"step": 3, "weights": one(1), "others": [one(1)["whole"]]}
    mine = {"weights": one(0), "others": [one(0)["whole"]], "whole": one(0)["whole"]}
    formed = meshes(2)
    rooms = state.Rooms([state.LARGE_BYTES] * 3, mine)
    assert not rooms.overwriting and not rooms._free
    _, received = together([lambda: transfer.send(formed[0], [1], sent), lambda: transfer.receive(formed[1], 0, rooms)])
    assert rooms.overwriting and same(received, sent)
    in_place = [name for name, each in mine["weights"].items() if each.data_ptr() == received["weights"][name].data_ptr()]
    assert in_place == ["whole"]
    assert int(mine["weights"]["whole"].min()) == 1 and int(mine["weights"]["small"].max()) == 0
    assert int(mine["others"][0].max()) == 0 and int(mine["whole"].max()) == 0
    for mesh in formed:
        mesh.close()


@pytest.mark.parametrize("offer", [b"", b"[]", b'{"path": "/etc/passwd", "token": ""}', b'{"path": "/proc/1/fd/99999", "token": "00"}', b"\xff"])
def test_an_offer_that_is_none_is_declined(offer):
    assert transfer._opened(offer) is None


def test_memory_with_another_token_is_declined(tmp_path):
    with open(tmp_path / "other", "wb+") as file:
        file.write(b"0" * 100)
        file.flush()
        path = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        assert transfer._opened(json.dumps({"path": path, "token": "31" * 16}).encode()) is None
        descriptor = transfer._opened(json.dumps({"path": path, "token": "30" * 16}).encode())
        os.close(descriptor)


@pytest.mark.parametrize("size", [3, transfer.SHORT_BYTES - 1, transfer.SHORT_BYTES, transfer.SHORT_BYTES + transfer.ROW_BYTES + 5])
def test_the_checksum_depends_on_every_byte_and_on_the_place_of_each_row(size):
    content = bytearray(torch.randint(256, (size,), dtype=torch.uint8).numpy().tobytes())
    found = transfer.checksum(b"header", [memoryview(content)])
    assert found == transfer.checksum(b"header", [memoryview(bytearray(content))])
    assert found != transfer.checksum(b"Header", [memoryview(content)])
    for place in {0, size // 2, transfer.ROW_BYTES % size, size - 1}:
        for bit in (1, 128):
            content[place] ^= bit
            assert transfer.checksum(b"header", [memoryview(content)]) != found
            content[place] ^= bit
    if size > 2 * transfer.ROW_BYTES:
        content[: transfer.ROW_BYTES], content[transfer.ROW_BYTES : 2 * transfer.ROW_BYTES] = (
            content[transfer.ROW_BYTES : 2 * transfer.ROW_BYTES],
            content[: transfer.ROW_BYTES],
        )
        assert transfer.checksum(b"header", [memoryview(content)]) != found


def test_a_stream_with_a_wrong_checksum_is_refused():
    first, second = meshes(2)
    header, tensors = state.pack(example(), copy=True)
    frame = (len(header)).to_bytes(8, "big") + (0).to_bytes(4, "big") + header
    views = [*(state.view(tensor) for tensor in tensors), memoryview((1).to_bytes(4, "big"))]
    thread = threading.Thread(target=lambda: first.exchange({1: [memoryview(frame), *views]}, {}))
    thread.start()
    with pytest.raises(state.DamagedState, match="checksum"):
        transfer.receive(second, 0)
    thread.join(10)


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: 0, b"bytes", {"deep": [torch.nn.Linear(1, 1)]}])
def test_what_is_not_plain_data_cannot_be_packed(value):
    with pytest.raises(ValueError, match="accepted are numbers"):
        state.pack(value, copy=False)


def test_tensors_with_gaps_in_memory_arrive_without(tmp_path):
    value = {"every second": torch.arange(10.0)[::2], "column": torch.arange(12.0).reshape(3, 4)[:, 1], "one": torch.ones(1).expand(4)}
    state.write_file(tmp_path / "state", *state.pack(value, copy=True))
    assert same(state.read_file(tmp_path / "state"), {name: each.clone() for name, each in value.items()})


@pytest.mark.parametrize("strides", [[1000, 1], [-1, 1], ["a", 1], [1], 7])
def test_a_header_whose_strides_lead_out_of_the_tensor_is_refused(strides):
    header = json.dumps({"value": {"tensor": 0}, "tensors": [["torch.float32", [3, 4], strides]]}).encode()
    with pytest.raises(state.DamagedState, match="unreadable header"):
        state.unpack_layout(header)


def test_a_snapshot_does_not_change_with_the_model():
    weights = torch.zeros(3)
    _, tensors = state.pack({"w": weights}, copy=True)
    weights.fill_(5.0)
    assert tensors[0].tolist() == [0.0, 0.0, 0.0]


def test_the_digest_depends_on_values_names_shapes_and_types_but_not_on_order():
    a, b = torch.arange(4.0), torch.ones(2, 2)
    digest = state.weights_digest({"a": a, "b": b})
    assert len(digest) == 64
    assert state.weights_digest({"b": b, "a": a}) == digest
    assert state.weights_digest({"a": a.clone(), "b": b.t()}) == digest
    others = [
        {"a": a + 1e-7, "b": b},
        {"a": a, "c": b},
        {"a": a, "b": b.reshape(4)},
        {"a": a.double(), "b": b},
        {"a": -a, "b": b},
        {"a": a},
    ]
    assert len({digest, *(state.weights_digest(each) for each in others)}) == 7


def test_the_digest_is_the_documented_one():
    import hashlib
    import struct

    expected = hashlib.sha256(b"w\0float32\x002,1\0" + struct.pack("<2f", 1.5, -2.0)).hexdigest()
    assert state.weights_digest({"w": torch.tensor([[1.5], [-2.0]])}) == expected
