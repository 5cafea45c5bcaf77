"""Micro-batches that are loaded ahead, in processes of their own, are the same as those that are loaded in the step."""

import json
from pathlib import Path
from collections import namedtuple

import pytest
import torch
from test_elastic import finished
from test_evaluation import alone, figures  # noqa: F401

from concertina import loading, partition
from concertina.loading import Ahead

Pair = namedtuple("Pair", "x y")


def loads(job):
    """(sample, worker, whether in the worker's own process, that process) of the training set, in the order of loading."""
    lines = [json.loads(line) for line in (job.folder / "loads.jsonl").read_text().splitlines()]
    return [tuple(rest) for use, *rest in lines if use == "train"]


def samples_of(step):
    start = 32 * (step % 4)
    return set(partition.order(0, step // 4, 101)[start : start + 32].tolist())


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_loading_ahead_changes_no_bit(job, alone, workers, threads):  # noqa: F811
    running = job(script="script_data.py", TEST_THREADS=threads)
    running.grow_to(workers)
    assert (finished(running), figures(running)) == alone()
    seen = loads(running)
    assert {number for number, *_ in seen} == set(range(101))
    elsewhere = sum(not own for _, _, own, _ in seen)
    assert elsewhere > len(seen) / 2
    assert not any("between the steps from here on" in text for text in running.outputs().values())


def test_growth_shrinking_and_death_change_no_bit_of_what_is_loaded_ahead(job, alone):  # noqa: F811
    running = job(script="script_data.py", TEST_THREADS=4)
    running.gate(2)
    running.grow_to(1)
    for workers, keep_first in ((3, True), (2, False), (4, True)):
        running.resize(workers, keep_first)
    running.kill(running.current[0])
    running.gate(1000)
    assert (finished(running), figures(running)) == alone()


def test_the_following_step_is_loaded_while_a_step_computes(job, alone):  # noqa: F811
    running = job(script="script_data.py", TEST_THREADS=4)
    running.gate(5)
    running.grow_to(1)
    running.run(lambda: running.step() >= 5 and samples_of(6) & {number for number, _, own, _ in loads(running)[5 * 26 :] if not own})
    assert running.step() == 5
    running.gate(1000)
    assert (finished(running), figures(running)) == alone()


@pytest.mark.parametrize("case", ["die", "stuck"])
def test_a_loading_process_that_dies_or_hangs_costs_the_loading_ahead_and_nothing_else(job, alone, case):  # noqa: F811
    running = job(script="script_data.py", TEST_THREADS=2, TEST_CASE=f"{case} 77", CONCERTINA_HANG_SECONDS=2)
    running.grow_to(2)
    assert (finished(running), figures(running)) == alone()
    assert any("Micro-batches are loaded between the steps from here on" in text for text in running.outputs().values())


def runs(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_no_loading_process_outlives_its_worker(job):
    second = int(partition.order(0, 0, 101)[32 + 8])
    running = job(script="script_data.py", TEST_THREADS=2, TEST_CASE=f"stuck {second}")
    running.gate(1)
    running.grow_to(1)
    running.run(lambda: running.step() >= 1 and second in {number for number, _, own, _ in loads(running) if not own})
    processes = {process for _, _, own, process in loads(running) if not own}
    assert any(map(runs, processes))
    running.kill(running.current[0])
    running.run(lambda: not any(map(runs, processes)))


def test_an_error_in_a_loading_process_is_the_scripts_own(job):
    running = job(script="script_data.py", TEST_THREADS=2, TEST_CASE="raise 77")
    running.grow_to(1)
    running.run(lambda: running.of_type("failed"))
    assert running.failed["error"] == "ZeroDivisionError: sample 77 is wrong"
    lines = [line.strip() for line in running.failed["traceback"].splitlines()]
    assert lines[0] == "Traceback (most recent call last):" and "script_data.py" in lines[1]
    assert all("concertina" not in line for line in lines if line.startswith("File"))


def test_a_sample_that_blocks_is_named_by_the_watch(job):
    running = job(script="script_data.py", TEST_THREADS=2, TEST_CASE=f"hang {min(samples_of(2))}", CONCERTINA_HANG_SECONDS=1)
    running.grow_to(1)
    running.run(lambda: any(beat["late"] for beat in running.of_type("beat")))
    (beat, *_) = [beat for beat in running.of_type("beat") if beat["late"]]
    assert beat["step"] == 2 and beat["phase"] == "computing"
    assert "in meet, called from script_data.py" in beat["where"]


@pytest.mark.parametrize("threads", [0, 4])
def test_a_newcomer_has_its_first_micro_batches_before_the_switch(job, alone, threads):  # noqa: F811
    running = job(script="script_data.py", TEST_THREADS=threads)
    running.gate(5)
    running.grow_to(1)
    running.run(lambda: running.step() >= 5)
    (newcomer,) = running.start()
    running.run(lambda: running.workers[newcomer].address is not None)
    running.want(running.desired + [newcomer])

    def loaded():
        return [number for number, worker, *_ in loads(running) if worker == "2"]

    order = partition.order(0, 1, 101).tolist()
    first = order[64 + 16 : 96]
    running.run(lambda: running.pending is not None and running.pending["committed"])
    assert set(first) <= set(loaded())

    def began():
        return [message["step"] for name, message in running.messages if name == newcomer and message["type"] == "switched"]

    assert running.step() == 5 and not began()
    # Whoever hears the commit late votes one step later.
    while not began():
        running.gate(running.held + 1)
        running.run(lambda: began() or running.step() >= running.held)
    if began() == [6] and not threads:
        assert loaded()[:16] == first and loaded()[16:32] != first
    running.gate(1000)
    assert (finished(running), figures(running)) == alone()


def test_a_newcomer_that_loads_for_ever_holds_nobody_up(job, alone):  # noqa: F811
    order = partition.order(0, 1, 101).tolist()
    running = job(script="script_data.py", TEST_LOADING_SECONDS="0.2")
    running.gate(5)
    running.grow_to(1)
    running.run(lambda: running.step() >= 5)
    (newcomer,) = running.start(TEST_CASE=f"hang {order[64 + 16]}", CONCERTINA_HANG_SECONDS="0.3")
    running.run(lambda: running.workers[newcomer].address is not None)
    running.want(running.desired + [newcomer])
    running.run(lambda: [m for n, m in running.messages if n == newcomer and m["type"] == "beat" and m["late"]])
    running.kill(newcomer)
    running.gate(1000)
    assert (finished(running), figures(running)) == alone()


# Without a job


def through_a_process(monkeypatch, load, keys, processes=1):
    """What `load` gives for each key, loaded in a process of its own."""
    monkeypatch.setattr(loading, "WORTH_SECONDS", 0.0)
    ahead = Ahead(load, processes)
    try:
        for _ in range(loading.WORTH_WAITS):
            ahead.take((0, 0))
        ahead.expect(keys)
        return [ahead.take(key) for key in keys]
    finally:
        ahead.close()


def test_what_a_batch_may_hold_arrives_as_it_was(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(4, 3, 5, 5, generator=generator)
    same = torch.arange(7)
    batch = {
        "channels last": image.contiguous(memory_format=torch.channels_last),
        "turned": torch.randn(6, 3, generator=generator).t(),
        "expanded": torch.ones(1, 3).expand(5, 3),
        "one": torch.tensor(3.5, dtype=torch.float64),
        "none": torch.empty(0, 4),
        "half": torch.randn(9, generator=generator).bfloat16(),
        "truth": torch.tensor([True, False, True]),
        "complex": torch.randn(3, generator=generator).to(torch.complex64),
        "shifted": torch.randn(33, generator=generator)[1:],
        "pair": Pair(same, same),
        "text": ["a", b"b", None, 1.5],
    }
    (arrived,) = through_a_process(monkeypatch, lambda step, worker: batch if step else None, [(1, 0)])
    assert list(arrived) == list(batch) and arrived["text"] == batch["text"]
    assert type(arrived["pair"]) is Pair and arrived["pair"].x is arrived["pair"].y
    for name in list(batch)[:9]:
        mine, theirs = batch[name], arrived[name]
        assert torch.equal(mine, theirs) and mine.dtype == theirs.dtype and mine.stride() == theirs.stride(), name
        assert not mine.numel() or mine.data_ptr() % 64 == theirs.data_ptr() % 64, name


@pytest.mark.parametrize(
    "batch,reason",
    [
        (torch.nn.Parameter(torch.ones(2)), "not a plain one"),
        (torch.eye(3).to_sparse(), "not a plain one"),
        ((lambda x: [x[:3], x[2:]])(torch.ones(5)), "share their memory"),
        (torch.ones(5000, 100)[:, 0], "a small part of another"),
        (lambda: 0, "in a loading process"),
    ],
)
def test_what_would_not_arrive_as_it_was_is_loaded_by_the_worker(monkeypatch, capsys, batch, reason):
    (arrived,) = through_a_process(monkeypatch, lambda step, worker: batch if step else None, [(1, 0)])
    assert arrived is batch and reason in capsys.readouterr().out


def test_an_open_file_is_read_at_each_processs_own_place(monkeypatch, tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in range(100_000)))
    with open(path, "rb") as file:
        file.read(12)

        def load(step, worker):
            values = []
            for number in range(step * 900, step * 900 + 900, 3):
                file.seek(4 * number)
                values.append(int.from_bytes(file.read(4), "big"))
            return values

        keys = [(step, 0) for step in range(1, 100)]
        assert through_a_process(monkeypatch, load, keys, processes=4) == [
            list(range(step * 900, step * 900 + 900, 3)) for step, _ in keys
        ]
