"""What happens to a job when workers die at awkward moments, when all die, and when the script is wrong."""

import json
import os
import signal

import pytest
from test_elastic import assert_each_sample_once, computed, curve, finished, undisturbed  # noqa: F401


def died(job):
    return [worker for worker in job.workers.values() if not worker.alive and worker.code == -9]


def checkpoints(job):
    """Whole checkpoint files, newest first."""
    return sorted((job.folder / "checkpoint").glob("step-*.state"), reverse=True)


def test_a_job_that_loses_every_worker_goes_on_from_its_checkpoint(job, undisturbed):  # noqa: F811
    running = job(CONCERTINA_CHECKPOINT_SECONDS=0)
    running.gate(13)
    running.grow_to(2)
    running.run(lambda: running.step() >= 13)
    running.run(lambda: checkpoints(running))
    for name in list(running.current):
        running.kill(name)
    running.run(lambda: len(died(running)) == 2)
    step = int(checkpoints(running)[0].stem.partition("-")[2])
    running.gate(1000)
    running.grow_to(3)
    assert (finished(running), curve(running)) == undisturbed()
    assert any(f"Resumed from the checkpoint of step {step}." in text for text in running.outputs().values())
    assert assert_each_sample_once(running) <= 4 * (13 - step + 1)


def terminated(job):
    return [worker for worker in job.workers.values() if worker.code == -15]


@pytest.mark.parametrize("workers,step", [(1, 13), (3, 12), (2, 27)])
def test_a_stopped_job_goes_on_after_its_very_last_step(job, undisturbed, workers, step):  # noqa: F811
    running = job()
    running.gate(step)
    running.grow_to(workers)
    running.run(lambda: running.step() >= step)
    for name in list(running.current):
        os.kill(running.workers[name].pid, signal.SIGTERM)
    running.run(lambda: len(list(running.folder.glob("stopped.*"))) == workers)
    running.gate(1000)
    running.run(lambda: len(terminated(running)) == workers)
    (only,) = checkpoints(running)
    stopped = int(only.stem.partition("-")[2])
    assert stopped >= step and max(message["step"] for message in running.of_type("progress")) <= stopped
    running.grow_to(4 - workers)
    assert (finished(running), curve(running)) == undisturbed()
    assert any(f"Resumed from the checkpoint of step {stopped}." in text for text in running.outputs().values())
    assert assert_each_sample_once(running) <= 4


def test_workers_that_wait_for_each_other_leave_a_checkpoint_when_stopped(job, undisturbed):  # noqa: F811
    running = job()
    running.gate(9)
    running.grow_to(2)
    running.run(lambda: running.step() >= 9)
    running.kill(running.current[0])
    survivor = running.current[1]
    running.run(lambda: died(running))
    os.kill(running.workers[survivor].pid, signal.SIGTERM)
    running.gate(1000)
    running.run(lambda: terminated(running))
    assert checkpoints(running)
    running.grow_to(1)
    assert (finished(running), curve(running)) == undisturbed()
    assert assert_each_sample_once(running) <= 8


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(job, undisturbed):  # noqa: F811
    running = job(CONCERTINA_CHECKPOINT_SECONDS=0)
    running.gate(9)
    running.grow_to(1)
    running.run(lambda: running.step() >= 9)
    gate = 9
    while len(checkpoints(running)) < 2:  # a step that ends while the one before is still being written leaves none
        gate += 1
        running.gate(gate)
        running.run(lambda: running.step() >= gate)
    running.kill(running.current[0])
    running.run(lambda: died(running))
    newest, before = checkpoints(running)[:2]
    content = bytearray(newest.read_bytes())
    content[-100] ^= 1
    newest.write_bytes(content)
    running.gate(1000)
    running.grow_to(1)
    assert (finished(running), curve(running)) == undisturbed()
    step = int(before.stem.partition("-")[2])
    assert any(f"Resumed from the checkpoint of step {step}" in text for text in running.outputs().values())


def test_without_a_checkpoint_a_lost_job_begins_again(job, undisturbed):  # noqa: F811
    running = job()
    running.gate(5)
    running.grow_to(2)
    running.run(lambda: running.step() >= 5)
    for name in list(running.current):
        running.kill(name)
    running.run(lambda: len(died(running)) == 2)
    running.gate(1000)
    running.grow_to(2)
    assert finished(running) == undisturbed()[0]


def test_a_newcomer_that_dies_before_the_switch_disturbs_nobody(job, undisturbed):  # noqa: F811
    running = job()
    running.gate(8)
    running.grow_to(2)
    running.run(lambda: running.step() >= 8)
    (newcomer,) = running.start()
    running.run(lambda: running.workers[newcomer].address is not None)
    running.watchers.append(lambda job, name, message: job.kill(newcomer) if message["type"] == "formed" else None)
    running.want(running.desired + [newcomer])
    running.run(lambda: not running.workers[newcomer].alive)
    running.watchers.clear()
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed()
    assert assert_each_sample_once(running) <= 4


def test_a_member_that_dies_while_a_generation_forms_is_survived(job, undisturbed):  # noqa: F811
    running = job()
    running.gate(8)
    running.grow_to(2)
    running.run(lambda: running.step() >= 8)
    (newcomer,) = running.start()
    running.run(lambda: running.workers[newcomer].address is not None)
    victim = running.current[1]
    running.want(running.desired + [newcomer])
    running.kill(victim)
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed()
    assert assert_each_sample_once(running) <= 4


@pytest.mark.parametrize("victim", [1, 2])
def test_a_member_that_dies_in_the_step_of_the_switch_is_survived(job, undisturbed, victim):  # noqa: F811
    running = job(CONCERTINA_FAIL_AT=f"{victim}:9")
    running.gate(8)
    running.grow_to(2)
    running.run(lambda: running.step() >= 8)
    started = running.start(2)
    running.run(lambda: all(running.workers[name].address for name in started))
    running.want(running.desired + started)
    running.run(lambda: running.pending is not None and running.pending["committed"])
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed()
    assert assert_each_sample_once(running) <= 4


@pytest.mark.parametrize("step", [7, 14])
def test_rank_zero_that_dies_after_the_last_step_of_an_epoch_is_replaced(job, undisturbed, step):  # noqa: F811
    running = job(CONCERTINA_FAIL_AT=f"1:{step}")
    running.grow_to(2)
    assert (finished(running), curve(running)) == undisturbed()
    assert (running.folder / f"model/train/model_epoch_{step // 7}.pth").exists()


def test_rank_zero_that_dies_while_it_writes_the_final_files_is_replaced(job, undisturbed):  # noqa: F811
    running = job(TEST_DIE_IN_FINAL_TEST="1")
    running.grow_to(3)
    assert finished(running) == undisturbed()[0]
    assert len(died(running)) == 1
    assert running.done["weightsSha256"] == undisturbed()[0]


def test_one_death_after_another_down_to_the_last_worker(job, undisturbed):  # noqa: F811
    running = job(CONCERTINA_FAIL_AT="1:5,3:11,2:20")
    running.grow_to(4)
    assert (finished(running), curve(running)) == undisturbed()
    assert len(died(running)) == 3
    assert assert_each_sample_once(running) <= 12


@pytest.mark.parametrize("two_rounds", [0, 1])
def test_gradients_beyond_the_bound_are_computed_again_and_sum_alike(job, undisturbed, two_rounds):  # noqa: F811
    options = {"TEST_SPIKE": "1e7", "TEST_OPTIMIZER": "sgd", "TEST_EPOCHS": "2", "TEST_MODEL": "cnn", "TEST_DECAY": "0.9"}
    running = job(TEST_TWO_ROUNDS=two_rounds, **options)
    running.grow_to(3)
    assert (finished(running), curve(running)) == undisturbed(**options)
    assert assert_each_sample_once(running, epochs=2) == 4


def test_plain_sums_compute_no_step_twice_for_a_spike(job):
    running = job(CONCERTINA_SUMS="float", TEST_SPIKE="1e7", TEST_OPTIMIZER="sgd", TEST_EPOCHS="2", TEST_MODEL="cnn")
    running.grow_to(3)
    finished(running)
    assert assert_each_sample_once(running, epochs=2) == 0


def test_workers_that_do_not_agree_on_the_sums_fail_the_job_with_a_line_that_says_so(job):
    running = job()
    running.gate(6)
    running.grow_to(1)
    running.run(lambda: running.step() >= 3)
    (newcomer,) = running.start(CONCERTINA_SUMS="float")
    running.run(lambda: running.workers[newcomer].address is not None)
    running.want(running.desired + [newcomer])
    running.run(lambda: running.pending is not None and running.pending["committed"])
    running.gate(1000)
    running.run(lambda: running.of_type("failed"))
    assert running.of_type("failed")[0]["error"] == "ValueError: sums is 'float' in this worker; accepted is that of rank 0, 'exact'"


def test_workers_that_build_different_models_fail_the_job_with_a_line_that_says_so(job):
    running = job()
    names = running.start() + running.start(TEST_MODEL="cnn")
    running.run(lambda: all(running.workers[name].address for name in names))
    running.want(names)
    running.run(lambda: running.of_type("failed"))
    assert running.failed["error"] == (
        "ValueError: the state is of another model: accepted is a script that builds the same model, optimizers and schedules in every "
        "worker"
    )


@pytest.mark.parametrize("newcomers", [1, 2])
def test_a_newcomer_without_memory_for_the_state_says_so_and_the_others_go_on(job, undisturbed, newcomers):  # noqa: F811
    running = job(TEST_WIDTH=70_000)
    running.gate(5)
    running.grow_to(1)
    running.run(lambda: running.step() >= 5)
    poor = running.start(newcomers, TEST_SHORT_OF_MEMORY="2")
    running.run(lambda: all(running.workers[name].address for name in poor))
    running.want(running.current + poor)
    running.run(lambda: not running.workers[poor[0]].alive)
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed(TEST_WIDTH=70_000)
    (said,) = running.of_type("short")
    assert said["error"] == "OSError: [Errno 12] Cannot allocate memory"
    assert [worker.name for worker in died(running)] == poor[:1]
    assert not any(message["step"] > 0 for message in running.of_type("broken"))
    assert any("has no memory to take part and ends: OSError" in text for text in running.outputs().values())


def test_a_worker_whose_weights_half_a_state_has_overwritten_begins_no_job_with_them(job, undisturbed):  # noqa: F811
    running = job(TEST_LARGE_BYTES=1)
    running.gate(5)
    running.grow_to(2)
    running.run(lambda: running.step() >= 5)
    (spoilt,) = running.start(1, TEST_DAMAGED_STATE="3")
    others = list(running.current)
    running.run(lambda: running.workers[spoilt].address is not None)

    def kill_others(job, name, message):
        # It says so twice: on its own account, and to the break.
        while name == spoilt and message["type"] == "broken" and others:
            job.kill(others.pop())

    running.watchers.append(kill_others)
    running.want(running.desired + [spoilt])
    running.run(lambda: running.pending is not None and running.pending["committed"])
    running.gate(1000)
    running.run(lambda: not running.workers[spoilt].alive)
    assert len(died(running)) == 3
    assert "Half of a state has overwritten the first weights" in "".join(running.outputs().values())
    running.grow_to(1)
    assert finished(running) == undisturbed()[0]


@pytest.mark.parametrize("when", ["2", "2:step"])
def test_a_worker_of_the_first_generation_without_memory_does_not_end_the_job(job, undisturbed, when):  # noqa: F811
    running = job(TEST_WIDTH=70_000)
    running.grow_to(1)
    running.start(1, TEST_SHORT_OF_MEMORY=when)
    running.want(list(running.workers))
    assert (finished(running), curve(running)) == undisturbed(TEST_WIDTH=70_000)
    assert len(running.of_type("short")) == 1


def test_a_stopped_worker_is_told_apart_from_a_slow_one_by_the_server_alone(job, undisturbed):  # noqa: F811
    running = job()
    running.gate(10)
    running.grow_to(3)
    running.run(lambda: running.step() >= 10)
    stopped = running.current[2]
    os.kill(running.workers[stopped].pid, signal.SIGSTOP)
    running.gate(1000)
    running.kill(stopped)
    assert (finished(running), curve(running)) == undisturbed()


@pytest.mark.parametrize("victims", [1, 2])
def test_deaths_at_any_moment_leave_the_same_weights(job, undisturbed, victims):  # noqa: F811
    running = job(TEST_EPOCHS=8, TEST_TWO_ROUNDS=victims - 1)
    running.gate(20)
    running.grow_to(4)
    running.run(lambda: running.step() >= 15)
    for name in running.current[-victims:]:
        running.kill(name)
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed(TEST_EPOCHS=8)
    assert assert_each_sample_once(running, epochs=8) <= 8


def test_an_error_of_the_script_fails_the_job_with_the_users_lines_first(job):
    running = job(TEST_RAISE_AT="5")
    running.grow_to(2)
    running.run(lambda: running.failed is not None and all(not worker.alive for worker in running.workers.values()))
    assert running.failed["error"] == "ZeroDivisionError: the script is wrong at step 5"
    lines = [line.strip() for line in running.failed["traceback"].splitlines()]
    assert lines[0] == "Traceback (most recent call last):"
    assert "script_train.py" in lines[1] and all("concertina" not in line for line in lines if line.startswith("File"))
    assert 1 in [worker.code for worker in running.workers.values()]
    assert any("script_train.py" in text and "ZeroDivisionError" in text for text in running.outputs().values())


def test_only_the_worker_of_rank_zero_runs_the_script_after_train(job):
    running = job()
    running.grow_to(3)
    finished(running)
    assert sum("after train" in text for text in running.outputs().values()) == 1
    assert all(worker.code == 0 for worker in running.workers.values())


def test_a_second_call_of_train_fails_at_once_and_says_why(job):
    running = job(TEST_TWICE="1")
    running.grow_to(2)
    running.run(lambda: len(running.workers) == 2 and all(not worker.alive for worker in running.workers.values()))
    assert sorted(worker.code for worker in running.workers.values()) == [0, 1]
    assert any("RuntimeError: train was called again in this process" in text for text in running.outputs().values())


def test_a_stranger_without_the_secret_is_not_let_in(job, undisturbed):  # noqa: F811
    running = job()
    running.grow_to(1)
    running.gate(6)
    running.run(lambda: running.step() >= 3)
    (stranger,) = running.start(CONCERTINA_JOB_SECRET="another")
    running.run(lambda: running.workers[stranger].address is not None)
    running.want(running.desired + [stranger])
    running.run(lambda: running.of_type("unformed"))
    assert "secret" in running.of_type("unformed")[0]["error"] or "closed" in running.of_type("unformed")[0]["error"]
    running.desired.remove(stranger)
    running.kill(stranger)
    running.gate(1000)
    assert finished(running) == undisturbed()[0]


def test_progress_names_every_figure_and_ends_with_the_last_step(job):
    running = job()
    running.grow_to(2)
    finished(running)
    last = running.of_type("progress")[-1]
    assert (last["step"], last["steps"], last["epoch"]) == (28, 28, 3)
    assert 0.0 <= last["accuracy"] <= 100.0 and last["loss"] > 0.0 and last["stepMillis"] > 0.0
    prepared = running.of_type("prepared")[0]
    assert (prepared["logicalWorkers"], prepared["stepsPerEpoch"], prepared["epochs"]) == (4, 7, 4)
    done = running.of_type("done")[0]
    assert done["model"] == "model/train/model_epoch_final.pth" and (running.folder / done["model"]).exists()
    assert json.dumps(done)
    assert computed(running)[0]
