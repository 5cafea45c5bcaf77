"""The test set is shared out over the workers, and what it gives does not depend on how many there are."""

import json
from collections import Counter

import pytest
from test_elastic import finished

SAMPLES, EPOCHS = 61, 3


def figures(job):
    """(what, step) → (loss, accuracy), exact; what was logged twice must have been logged alike."""
    seen = {}
    for line in (job.folder / "figures.jsonl").read_text().splitlines():
        what, step, *values = json.loads(line)
        assert seen.setdefault((what, step), values) == values
    assert [step for what, step in seen if what == "test"] == [4, 8, 12]
    assert len(seen) == 15
    return seen


def loaded_tests(job):
    """How often each sample of the test set was loaded, and by which workers."""
    loads = [json.loads(line) for line in (job.folder / "loads.jsonl").read_text().splitlines()]
    times = Counter(number for use, number, *_ in loads if use == "test")
    return times, {worker for use, _, worker, *_ in loads if use == "test"}


@pytest.fixture(scope="module")
def alone(nursery, tmp_path_factory):
    """Digest and figures of the same script on one worker."""
    from harness import Job

    known = {}

    def of(**options):
        key = tuple(sorted(options.items()))
        if key not in known:
            running = Job(nursery, tmp_path_factory.mktemp("alone"), "script_data.py", **options)
            running.grow_to(1)
            known[key] = (finished(running), figures(running))
            running.close()
        return known[key]

    return of


@pytest.mark.parametrize("check", ["", "apart"])
@pytest.mark.parametrize("workers", [2, 3, 4])
def test_the_workers_share_the_test_set_and_its_figures_stay_the_same(job, alone, workers, check):
    running = job(script="script_data.py", TEST_CHECK=check)
    running.grow_to(workers)
    assert (finished(running), figures(running)) == alone(TEST_CHECK=check)
    times, who = loaded_tests(running)
    assert times == dict.fromkeys(range(SAMPLES), EPOCHS)
    assert len(who) == workers


def test_a_test_function_that_sees_all_batches_runs_on_one_worker_and_the_log_says_so(job, alone):
    running = job(script="script_data.py", TEST_CHECK="whole")
    running.grow_to(3)
    assert (finished(running), figures(running)) == alone(TEST_CHECK="whole")
    times, who = loaded_tests(running)
    assert times == dict.fromkeys(range(SAMPLES), EPOCHS)
    assert len(who) == 1
    assert sum(text.count("fn_test runs on one worker") for text in running.outputs().values()) == 1


def test_growth_and_shrinking_at_the_end_of_an_epoch_leave_the_figures(job, alone):
    running = job(script="script_data.py")
    running.gate(3)
    running.grow_to(1)
    for workers in (3, 2):
        running.resize(workers)
    running.gate(7)
    running.resize(4)
    running.gate(1000)
    assert (finished(running), figures(running)) == alone()
    assert set(loaded_tests(running)[0]) == set(range(SAMPLES))


@pytest.mark.parametrize("victim,sample", [(1, 0), (1, 15), (2, 24), (3, 60), (4, 60)])
def test_a_worker_that_dies_in_a_test_costs_at_most_that_test(job, alone, victim, sample):
    workers = max(3, victim)
    running = job(script="script_data.py", TEST_DIE_IN_TEST=f"{victim}:{sample}")
    running.grow_to(workers)
    assert (finished(running), figures(running)) == alone()
    assert [worker.code for worker in running.workers.values()].count(-9) == 1
    times, _ = loaded_tests(running)
    assert set(times) == set(range(SAMPLES)) and max(times.values()) <= EPOCHS + 1


@pytest.mark.parametrize("count,batches", [(40, 5), (0, 0)])
def test_workers_whose_test_sets_differ_fail_the_job_with_both_numbers(job, count, batches):
    running = job(script="script_data.py")
    started = running.start() + running.start(TEST_COUNT=count)
    running.run(lambda: all(running.workers[name].address for name in started))
    running.want(started)
    running.run(lambda: running.of_type("failed"))
    assert running.failed["error"] == (
        f"ValueError: the test set has {batches} batches in this worker; accepted is as many as in that of rank 0, 8"
    )
