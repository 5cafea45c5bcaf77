"""What a worker holds after a step that did not come to its end is what it held before."""

import json
import threading
import time

import pytest
import torch
from test_mesh import listeners, meshes, together
from torch.utils.data import TensorDataset

from concertina import elastic, membership, process, state, sums, transfer
from concertina.engine import STEPS_OF_GRADIENTS, Trainee
from concertina.membership import Membership, Pending
from concertina.mesh import GroupBroken
from concertina.optimizing import Clipping, Optimizers
from concertina.reduction import Reduction
from concertina.state import DamagedState


def test_bounds_that_an_overflow_raised_do_not_outlive_a_break():
    """A survivor that never heard of the overflow would round on another grid in the next generation."""
    model = torch.nn.Linear(2, 1, bias=False)
    data = TensorDataset(torch.ones(8, 2), torch.ones(8, 1))
    job = elastic(model, torch.optim.SGD(model.parameters(), lr=0.1), data, batch_size=2, epochs=1, logical_workers=2)
    engine, (mesh, other) = job._engine, meshes(2)
    engine._membership.completed = 0

    def survive():
        engine._enter(mesh, Pending({"generation": 1, "members": []}))
        computing = engine._take_step()
        for attempt in range(2):
            next(computing)
            model.weight.grad = torch.full((1, 2), 2.0**20)
        with pytest.raises(GroupBroken):
            next(computing)
        return engine._snapshot()["bounds"]

    def die():
        reduction = Reduction(other, 2, 1, [2], torch.float64)
        reduction.begin(2.0, [torch.zeros(2)])
        verdict = reduction.sum_up(0, 0, 0, b"", [1.0], [0.0], [1.0], torch.zeros(2, dtype=torch.float64), [])
        other.close()
        return verdict.maxima

    try:
        assert together([survive, die]) == [[sums.FIRST_BOUND], [2.0**20]]
    finally:
        job._let_go()


def test_a_state_that_is_not_taken_leaves_the_weights_alone():
    model = torch.nn.Linear(2, 1)
    data = TensorDataset(torch.ones(8, 2), torch.ones(8, 1))
    job = elastic(model, torch.optim.SGD(model.parameters(), lr=0.1), data, batch_size=2, epochs=1)
    try:
        before = job._trainee.weights_digest()
        other = {name: torch.full_like(each, 7.0) for name, each in job._trainee.tensors().items()}
        with pytest.raises(DamagedState, match="other optimizers"):
            job._trainee.load(other, {"optimizers": [], "schedulers": [], "scale": None})
        assert job._trainee.weights_digest() == before
    finally:
        job._let_go()


@pytest.mark.parametrize("large,stateless,overwritten", [(True, True, True), (True, False, False), (False, True, False)])
def test_a_state_that_did_not_arrive_has_overwritten_large_weights_of_a_newcomer_only(large, stateless, overwritten, monkeypatch):
    monkeypatch.setattr(state, "LARGE_BYTES", 1 if large else 1 << 20)
    model = torch.nn.Linear(2, 1)
    data = TensorDataset(torch.ones(8, 2), torch.ones(8, 1))
    job = elastic(model, torch.optim.SGD(model.parameters(), lr=0.1), data, batch_size=2, epochs=1, logical_workers=2)
    engine, formed = job._engine, meshes(2)
    engine._membership.completed = -1 if stateless else 3
    engine._rooms = state.Rooms((), {"tensors": job._trainee.overwritable()})
    sent = {"step": 4, "tensors": {name: torch.full_like(each, 7.0) for name, each in job._trainee.tensors().items()}}
    monkeypatch.setattr(transfer, "checksum", lambda header, views: id(views) % (1 << 32))

    def arrive():
        with pytest.raises(DamagedState):
            engine._enter(formed[1], Pending({"generation": 1, "members": [], "receivers": [1]}))

    try:
        together([lambda: transfer.send(formed[0], [1], sent), arrive])
        assert engine._overwritten == bool((model.weight == 7.0).all()) == overwritten
    finally:
        job._let_go()
        for each in formed:
            each.close()


@pytest.mark.parametrize("keeps", [True, False])
def test_a_worker_touches_the_memory_of_its_steps_once_before_the_first(keeps, monkeypatch):
    touched = []
    monkeypatch.setattr(process, "touch_memory", touched.append)
    model = torch.nn.Linear(2, 1)
    data = TensorDataset(torch.ones(8, 2), torch.ones(8, 1))
    first, second = Pending({"generation": 1, "members": []}), Pending({"generation": 2, "members": []})
    alone = meshes(1)[0]
    second.mesh = alone
    for prepares in (True, False):
        job = elastic(model, torch.optim.SGD(model.parameters(), lr=0.1), data, batch_size=2, epochs=1, logical_workers=2)
        engine = job._engine
        monkeypatch.setattr(engine._membership, "sizes_elsewhere", lambda _: [])
        engine._keeps_memory = keeps
        try:
            if prepares:
                engine._make_room(second)
            engine._enter(alone, second)
            assert engine._rooms is None
            engine._enter(alone, first)
        finally:
            job._let_go()
    assert touched == [STEPS_OF_GRADIENTS * 3 * 4] * (2 * keeps)
    alone.close()


def test_a_state_that_cannot_be_looked_at_just_now_has_no_memory_made_ready(monkeypatch):
    """Whatever it raises, the thread that asks goes on to say that the generation stands."""
    monkeypatch.setattr(transfer, "SHARED_BYTES", 1 << 20)
    model = torch.nn.Linear(2, 1)
    data = TensorDataset(torch.ones(8, 2), torch.ones(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    job = elastic(model, optimizer, data, batch_size=2, epochs=1)
    try:
        monkeypatch.setattr(optimizer, "state_dict", lambda: {}["gone"])
        assert job._engine._memory_to_send(lambda: True)._descriptor < 0
    finally:
        job._let_go()


@pytest.mark.parametrize("end", ["time", "abandon", "break"])
def test_a_source_makes_memory_ready_while_the_generation_stands_and_not_for_long(end, monkeypatch):
    monkeypatch.setattr(membership, "LOADING_SECONDS", 0.2 if end == "time" else 60.0)
    (here, there), members = listeners(2)
    said, begun, given = [], threading.Event(), []
    mine = Membership(members[0][0], here, said.append)
    mine.completed = 5

    def memory(wanted):
        begun.set()
        while wanted():
            time.sleep(0.01)
        given.append(transfer.Shared(transfer.SHARED_BYTES))
        return given[0]

    mine.tell_state(list, memory)
    told = [{"worker": worker, "address": address} for worker, address in members]
    mine.obey({"type": "generation", "generation": 2, "members": told, "receivers": [1]})
    other = there.form(2, members, threading.Event())
    try:
        assert begun.wait(10)
        if end != "time":
            mine.obey({"type": end, "generation": 2})
        until = time.monotonic() + 10
        while not (said if end == "time" else given and given[0]._descriptor < 0):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert [each["type"] for each in said] == {"time": ["formed"], "abandon": [], "break": ["broken"]}[end]
        assert (given[0]._descriptor >= 0) == (end == "time")
        mine.leave()
        assert given[0]._descriptor < 0
    finally:
        other.close()
        here.close()
        there.close()


def test_an_optimizers_state_lies_in_memory_as_where_it_came_from(tmp_path):
    def trainee():
        model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return Trainee(model, Optimizers(torch.optim.Adam(model.parameters())), torch.device("cpu"), Clipping(None, None), None)

    former, newcomer = trainee(), trainee()
    former.mean.fill_(1.0)
    former.descend([1.0, 1.0])
    state.write_file(tmp_path / "state", *state.pack([former.tensors(), former.optimizer_state()], copy=True))
    newcomer.load(*state.read_file(tmp_path / "state"))
    kept, given = (each.optimizer_state()["optimizers"][0]["state"][0]["exp_avg"] for each in (newcomer, former))
    assert kept.stride() == given.stride() == former.parameters[0].stride() != torch.empty(4, 3, 3, 3).stride()
    assert newcomer.weights_digest() == former.weights_digest()


@pytest.mark.parametrize("character", ["x", "ß", "𝄞"])
def test_an_error_of_any_length_fits_into_a_line_for_the_agent(character):
    last, text = process.described(ValueError(character * 1_000_000))
    assert last.startswith("ValueError: " + character)
    assert len(json.dumps({"type": "failed", "error": last, "traceback": text})) < 256 * 1024
