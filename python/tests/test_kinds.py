"""Whatever a model, its optimizers and schedules are made of, weights and rates do not depend on which workers computed them."""

import json

import pytest
from devices import HALF_ON_CPU, needs_half_on_cpu

from test_elastic import finished

KINDS = [
    "buffers",
    "modes",
    "sparse",
    "sparse adam",
    "frozen",
    "several",
    "callback",
    "epochs",
    "norm",
    "value",
    "by hand",
    "bf16",
    pytest.param("fp16", marks=needs_half_on_cpu),
    pytest.param("overflow", marks=needs_half_on_cpu),
    "bfloat16",
]


def rates(job):
    """Step → rates; a step that was logged twice must have been logged alike."""
    path, steps = job.folder / "rates.jsonl", {}
    for line in path.read_text().splitlines() if path.exists() else ():
        step, values = json.loads(line)
        assert steps.setdefault(step, values) == values
    return steps


@pytest.fixture(scope="module")
def alone(nursery, tmp_path_factory):
    """Digest and rates of the same script on one worker."""
    from harness import Job

    known = {}

    def of(**options):
        key = tuple(sorted(options.items()))
        if key not in known:
            running = Job(nursery, tmp_path_factory.mktemp("alone"), "script_kinds.py", **options)
            running.grow_to(1)
            known[key] = (finished(running), rates(running))
            running.close()
        return known[key]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_growth_shrink_and_the_loss_of_rank_zero_change_no_bit(job, alone, kind):
    running = job(script="script_kinds.py", TEST_KIND=kind)
    running.gate(2)
    running.grow_to(1)
    for workers, keep_first in ((3, True), (2, False), (4, True)):
        running.resize(workers, keep_first)
    running.kill(running.current[0])
    running.gate(1000)
    assert (finished(running), rates(running)) == alone(TEST_KIND=kind)
    assert len(rates(running)) == (0 if kind == "sparse adam" else 24)
    assert any(worker.code == -9 for worker in running.workers.values())


@pytest.mark.parametrize("kind", ["several", "callback", pytest.param("fp16", marks=needs_half_on_cpu)])
def test_a_job_that_lost_all_workers_goes_on_with_its_schedules_and_scale(job, alone, kind):
    running = job(script="script_kinds.py", TEST_KIND=kind, CONCERTINA_CHECKPOINT_SECONDS=0)
    running.gate(11)
    running.grow_to(2)
    running.run(lambda: running.step() >= 11 and list(running.folder.glob("checkpoint/*")))
    for name in list(running.current):
        running.kill(name)
    running.gate(1000)
    running.run(lambda: not any(worker.alive for worker in running.workers.values()))
    again = job(script="script_kinds.py", TEST_KIND=kind, CONCERTINA_CHECKPOINT_SECONDS=0)
    again.grow_to(1)
    assert (finished(again), rates(again)) == alone(TEST_KIND=kind)
    assert "Resumed from the checkpoint" in "".join(again.outputs().values())


@pytest.mark.parametrize("samples", [1, 3, 32, 33])
def test_data_sets_that_no_batch_divides_or_smaller_than_the_logical_workers(job, alone, samples):
    options = {"TEST_KIND": "norm", "TEST_SAMPLES": samples}
    running = job(script="script_kinds.py", **options)
    running.grow_to(4)
    assert finished(running) == alone(**options)[0]


def test_kinds_differ(alone):
    kinds = ["epochs", "callback", "norm", "value", "by hand", "bf16", "frozen", *(["fp16"] if HALF_ON_CPU else [])]
    assert len({alone(TEST_KIND=kind)[0] for kind in kinds}) == len(kinds)
