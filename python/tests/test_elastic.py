"""A job's weights, loss curve and samples do not depend on which workers computed it."""

import json
import random

import pytest


def finished(job):
    job.run()
    assert job.failed is None, (job.failed, job.outputs())
    return job.done["weightsSha256"]


def curve(job):
    """Step → (loss, accuracy), exact; a step that was logged twice must have been logged alike."""
    steps = {}
    for line in (job.folder / "curve.jsonl").read_text().splitlines():
        step, batch, loss, accuracy, seen = json.loads(line)
        assert steps.setdefault(step, (batch, loss, accuracy)) == (batch, loss, accuracy)
        assert seen <= step
    assert sorted(steps) == list(range(1, len(steps) + 1))
    return steps


def computed(job):
    """(step, logical worker) → sample ids, and how many micro-batches were computed more than once."""
    seen, repeated = {}, 0
    for path in job.folder.glob("computed.*"):
        for line in path.read_text().splitlines():
            step, logical_worker, ids = json.loads(line)
            repeated += (step, logical_worker) in seen
            assert seen.setdefault((step, logical_worker), ids) == ids
    return seen, repeated


def assert_each_sample_once(job, samples=203, epochs=4):
    seen, repeated = computed(job)
    steps = 1 + max(step for step, _ in seen)
    for epoch in range(epochs):
        first, last = steps // epochs * epoch, steps // epochs * (epoch + 1)
        ids = [each for (step, _), ids in seen.items() if first <= step < last for each in ids]
        assert sorted(ids) == list(range(samples))
    return repeated


@pytest.fixture(scope="session")
def undisturbed(nursery, tmp_path_factory):
    """Digest and curve of the same job on one worker, by model and optimizer."""
    from harness import Job

    known = {}

    def of(**options):
        key = tuple(sorted(options.items()))
        if key not in known:
            job = Job(nursery, tmp_path_factory.mktemp("undisturbed"), **options)
            job.grow_to(1)
            known[key] = (finished(job), curve(job))
            job.close()
        return known[key]

    return of


@pytest.mark.parametrize("two_rounds", [0, 1])
@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("model,optimizer", [("mlp", "adam"), ("cnn", "sgd")])
def test_any_number_of_workers_gives_the_same_weights_and_curve(job, undisturbed, workers, model, optimizer, two_rounds):
    options = {"TEST_MODEL": model, "TEST_OPTIMIZER": optimizer}
    running = job(TEST_TWO_ROUNDS=two_rounds, **options)
    running.grow_to(workers)
    assert (finished(running), curve(running)) == undisturbed(**options)
    assert assert_each_sample_once(running) == 0


def test_a_job_without_a_server_gives_the_same_weights(job, undisturbed):
    running = job()
    running.environment["CONCERTINA_CONTROL"] = ""
    running.start()
    running.run(lambda: not running.workers[list(running.workers)[0]].alive)
    import torch

    from concertina import weights_digest

    weights = torch.load(running.folder / "model/train/model_epoch_final.pth", weights_only=True)
    assert weights_digest(weights) == undisturbed()[0]


@pytest.mark.parametrize("model,optimizer", [("mlp", "adam"), ("cnn", "sgd")])
def test_growing_and_shrinking_changes_nothing_and_repeats_nothing(job, undisturbed, model, optimizer):
    options = {"TEST_MODEL": model, "TEST_OPTIMIZER": optimizer, "TEST_EPOCHS": 8}
    running = job(TEST_TWO_ROUNDS=int(model == "cnn"), **options)
    running.gate(3)
    running.grow_to(1)
    for workers in (4, 2, 4, 3, 1, 2):
        running.resize(workers)
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed(**options)
    assert assert_each_sample_once(running, epochs=8) == 0
    pauses = [message["pauseMillis"] for message in running.of_type("switched")]
    print("pauses of planned switches, ms:", pauses)
    assert all(worker.code == 0 for worker in running.workers.values())


def transfers(job):
    return {path.name.partition(".")[2]: path.read_text().split("\n")[:-1] for path in job.folder.glob("transfers.*")}


@pytest.mark.parametrize("model,optimizer", [("mlp", "adam"), ("cnn", "sgd")])
def test_a_large_state_goes_through_memory_made_ready_straight_into_the_weights(job, undisturbed, model, optimizer):
    options = {"TEST_MODEL": model, "TEST_OPTIMIZER": optimizer}
    running = job(TEST_LARGE_BYTES=1, **options)
    running.gate(3)
    running.grow_to(1)
    running.resize(3)
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed(**options)
    found = transfers(running)
    weights = {"mlp": 6, "cnn": 9}[model]
    assert found["1"][-1] == "filled"
    # Steps, counts and momenta have no place before.
    assert [found[name].count("in place") for name in ("2", "3")] == [weights, weights]


@pytest.mark.parametrize("model,optimizer", [("mlp", "adam"), ("cnn", "sgd")])
def test_plain_sums_repeat_for_a_number_of_workers_and_stay_near_the_exact_ones(job, undisturbed, model, optimizer):
    options = {"TEST_MODEL": model, "TEST_OPTIMIZER": optimizer}
    runs = []
    for number in range(2):
        running = job(f"job{number}", CONCERTINA_SUMS="float", TEST_TWO_ROUNDS=int(model == "cnn"), **options)
        running.grow_to(3)
        runs.append((finished(running), curve(running)))
        assert assert_each_sample_once(running) == 0
    assert runs[0] == runs[1]
    exact = undisturbed(**options)[1]
    first, wanted = float.fromhex(runs[0][1][2][1]), float.fromhex(exact[2][1])
    assert runs[0][1][1] == exact[1] and first == pytest.approx(wanted, rel=1e-5)


def test_plain_sums_survive_growth_shrinking_and_death(job, undisturbed):
    running = job(CONCERTINA_SUMS="float", TEST_EPOCHS="8", CONCERTINA_FAIL_AT="2:40", TEST_OPTIMIZER="sgd", TEST_MODEL="cnn")
    running.gate(3)
    running.grow_to(1)
    for workers in (4, 2, 3):
        running.resize(workers)
    running.gate(1000)
    finished(running)
    assert assert_each_sample_once(running, epochs=8) <= 4
    exact = undisturbed(TEST_EPOCHS="8", TEST_OPTIMIZER="sgd", TEST_MODEL="cnn")[1]
    for step, (_, loss, _) in curve(running).items():
        assert float.fromhex(loss) == pytest.approx(float.fromhex(exact[step][1]), rel=1e-2, abs=1e-3)


def test_rank_zero_may_leave(job, undisturbed):
    running = job()
    running.gate(10)
    running.grow_to(2)
    running.resize(1, keep_first=False)
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed()
    assert assert_each_sample_once(running) == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_killed_at_a_random_step_changes_nothing(job, undisturbed, seed):
    chance = random.Random(seed)
    workers, victim, step = chance.choice([2, 3, 4]), 0, chance.randrange(1, 27)
    victim = chance.randrange(1, workers + 1)
    print(f"seed {seed}: {workers} workers, worker {victim} dies in step {step}")
    running = job(CONCERTINA_FAIL_AT=f"{victim}:{step}", TEST_TWO_ROUNDS=seed % 2)
    running.grow_to(workers)
    assert (finished(running), curve(running)) == undisturbed()
    assert running.workers[f"job-{running._number}.{victim}"].code == -9
    assert assert_each_sample_once(running) <= 4
    recovered = [message["pauseMillis"] for message in running.of_type("switched") if message["generation"] == 2]
    print("pauses after the death, ms:", recovered)
