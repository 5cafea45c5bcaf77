"""A loop of the user's own is as elastic as a FabricModel and ends with the same bits; mistakes in it are named."""

import inspect
import json
import random
import re
import sys
import typing
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from harness import Job
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from concertina import ElasticJob, Epoch, elastic

warnings.simplefilter("ignore")


def finished(job):
    job.run()
    assert job.failed is None, (job.failed, job.outputs())
    return job.done["weightsSha256"]


def curve(job):
    """Step → (loss, accuracy), exact; a step that was told twice must have been told alike."""
    steps = {}
    for each in job.of_type("progress"):
        assert steps.setdefault(each["step"], (each["loss"], each["accuracy"])) == (each["loss"], each["accuracy"])
    return steps


def notes(job, name):
    path = job.folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="session")
def undisturbed(nursery, tmp_path_factory):
    """Digest and curve on one worker, by environment."""
    known = {}

    def of(**options):
        key = tuple(sorted(options.items()))
        if key not in known:
            job = Job(nursery, tmp_path_factory.mktemp("undisturbed"), script="script_native.py", **options)
            job.grow_to(1)
            known[key] = (finished(job), curve(job))
            job.close()
        return known[key]

    return of


def test_the_loop_gives_the_weights_and_the_curve_of_the_same_computation_in_a_fabric_model(undisturbed):
    digest, losses = undisturbed()
    assert undisturbed(TEST_API="fabric") == (digest, losses)
    assert undisturbed(TEST_CASE="reported") == (digest, losses)
    assert sorted(losses) == list(range(1, 29))
    assert all(0.0 < loss < 5.0 and 0.0 < accuracy <= 100.0 for loss, accuracy in losses.values())


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("case", ["", "scheduler", "epochs", "several"])
def test_any_number_of_workers_gives_the_same_weights_and_curve(job, undisturbed, workers, case):
    running = job(script="script_native.py", TEST_CASE=case)
    running.grow_to(workers)
    assert (finished(running), curve(running)) == undisturbed(TEST_CASE=case)
    assert [epoch for _, epoch, _ in notes(running, "ends")] == [0, 1, 2, 3]
    assert len(notes(running, "after")) == 1
    assert running.done["testAccuracy"] == 50.0
    if case:
        assert undisturbed(TEST_CASE=case)[0] != undisturbed(TEST_CASE="")[0]


@pytest.mark.parametrize("case", ["", "scheduler", "epochs"])
def test_growing_and_shrinking_changes_nothing_and_calls_no_leader_twice(job, undisturbed, case):
    running = job(script="script_native.py", TEST_CASE=case)
    running.gate(3)
    running.grow_to(1)
    for workers in (4, 2, 3, 1, 2):
        running.resize(workers)
    running.resize(1, keep_first=False)
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed(TEST_CASE=case)
    assert [epoch for _, epoch, _ in notes(running, "ends")] == [0, 1, 2, 3]
    assert all(worker.code == 0 for worker in running.workers.values())


def test_batches_that_are_loaded_ahead_change_nothing(job, undisturbed):
    running = job(script="script_native.py", TEST_CASE="ahead")
    running.gate(3)
    running.grow_to(1)
    for workers in (3, 2):
        running.resize(workers)
    running.kill(running.current[0])
    running.gate(1000)
    assert (finished(running), curve(running)) == undisturbed()
    assert any("loading" in path.read_text() for path in running.folder.glob("loaders.*"))


@pytest.mark.parametrize("seed", range(8))
def test_a_worker_killed_at_a_random_step_changes_nothing(job, undisturbed, seed):
    chance = random.Random(seed)
    workers, step = chance.choice([2, 3, 4]), chance.randrange(28)
    victim = chance.randrange(1, workers + 1)
    print(f"seed {seed}: {workers} workers, worker {victim} dies in step {step}")
    running = job(script="script_native.py", CONCERTINA_FAIL_AT=f"{victim}:{step}", TEST_CASE="scheduler")
    running.grow_to(workers)
    assert (finished(running), curve(running)) == undisturbed(TEST_CASE="scheduler")
    assert running.workers[f"job-{running._number}.{victim}"].code == -9
    assert {epoch: value for _, epoch, value in notes(running, "ends")}.keys() == {0, 1, 2, 3}


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_when_a_leader_dies_at_an_epochs_end_its_successor_does_that_work(job, undisturbed, epoch):
    running = job(script="script_native.py", TEST_DIE_AT_END=f"1:end{epoch}")
    running.grow_to(3)
    assert (finished(running), curve(running)) == undisturbed()
    ends = notes(running, "ends")
    assert [number for _, number, _ in ends] == [0, 1, 2, 3]
    assert {worker for worker, number, _ in ends if number >= epoch} == {"2"}
    assert (running.folder / f"model/train/model_epoch_{epoch + 1}.pth").exists()


def test_a_job_that_loses_every_worker_goes_on_from_its_checkpoint(job, undisturbed):
    running = job(script="script_native.py", CONCERTINA_CHECKPOINT_SECONDS=0, TEST_CASE="scheduler")
    running.gate(13)
    running.grow_to(2)
    running.run(lambda: running.step() >= 13)
    running.run(lambda: list((running.folder / "checkpoint").glob("step-*.state")))
    for name in list(running.current):
        running.kill(name)
    running.run(lambda: all(not worker.alive for worker in running.workers.values()))
    running.gate(1000)
    running.grow_to(3)
    assert (finished(running), curve(running)) == undisturbed(TEST_CASE="scheduler")
    assert any("Resumed from the checkpoint of step" in text for text in running.outputs().values())


@pytest.mark.parametrize(
    "case,message",
    [
        ("raise 9", "ZeroDivisionError: the script is wrong at step 9"),
        ("no backward", "RuntimeError: a batch of step 0 ended without a gradient; accepted is job.backward(loss)"),
        ("no loss", "RuntimeError: a batch of step 0 ended without a loss; accepted is job.backward(loss)"),
        ("own step", "RuntimeError: optimizer.step was called in an elastic loop; accepted is to leave it out"),
        ("several, own step", "RuntimeError: optimizer.step was called in an elastic loop; accepted is to leave it out"),
        ("break", "RuntimeError: the loop over epoch 1 was left early, in step 2 of 7; accepted is"),
        ("exit", "RuntimeError: the training was left after 14 of 28 steps; accepted is to go through every batch"),
    ],
)
def test_a_wrong_loop_fails_the_job_with_the_users_lines(job, case, message):
    running = job(script="script_native.py", TEST_CASE=case)
    running.grow_to(2)
    running.run(lambda: running.failed is not None and all(not worker.alive for worker in running.workers.values()))
    assert running.failed["error"].startswith(message), running.failed
    if case != "exit":
        assert "script_native.py" in running.failed["traceback"]
        assert "/concertina/" not in running.failed["traceback"]
    assert 1 in {worker.code for worker in running.workers.values()}


def test_epochs_is_for_once_and_an_error_after_the_training_is_the_scripts_own(job):
    running = job(script="script_native.py", TEST_CASE="twice")
    running.grow_to(1)
    running.run()
    assert running.done is not None and running.failed == {"error": "exit code 1"}
    assert any("epochs was called again; accepted is one call" in text for text in running.outputs().values())


# By itself, in this process


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in ("CONCERTINA_CONTROL", "CONCERTINA_LOGICAL_WORKERS", "CHECKPOINT_DIR", "LOG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RESULT_DIR", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path


def data(samples=20):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(samples, 4, generator=generator)
    return TensorDataset(x, (x.sum(1) > 0).long())


def made(**options):
    model = options.pop("model", None) or torch.nn.Linear(4, 2)
    optimizer = options.pop("optimizer", None) or torch.optim.SGD(model.parameters(), lr=0.1)
    arguments = {"batch_size": 5, "epochs": 2, **options}
    return model, elastic(model, optimizer, arguments.pop("dataset", data()), **arguments)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


def other_scheduler():
    optimizer = torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"model": 3, "optimizer": 3}, "model is a int; accepted is a torch.nn.Module"),
        ({"optimizer": 3}, "optimizer is a int; accepted is a torch.optim.Optimizer"),
        ({"optimizer": torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=0.1)}, "optimizer holds parameters that are not the"),
        ({"dataset": Stream()}, "dataset is a Stream; accepted is a data set with __len__ and __getitem__"),
        ({"dataset": DataLoader(data())}, "dataset is a DataLoader; accepted is a data set with __len__"),
        ({"dataset": []}, "dataset has 0 samples; accepted is at least 1"),
        ({"batch_size": 0}, "batch_size is 0; accepted is a whole number of at least 1"),
        ({"epochs": 1.5}, "epochs is 1.5; accepted is a whole number"),
        ({"logical_workers": "four"}, "logical_workers is 'four'; accepted is a whole number"),
        ({"collate": 3}, "collate is a int; accepted is a function"),
        ({"lr_scheduler": 3}, "lr_scheduler is a int; accepted is a torch.optim.lr_scheduler.LRScheduler"),
        ({"lr_scheduler": other_scheduler()}, "lr_scheduler ExponentialLR belongs to another optimizer; accepted is one of"),
        ({"lr_scheduler_interval": "hour"}, "lr_scheduler_interval is 'hour'; accepted are 'epoch' and 'step'"),
        ({"clip_gradient_norm": -1}, "clip_gradient_norm is -1; accepted is a number above 0"),
    ],
)
def test_wrong_arguments_are_named_with_value_and_what_is_accepted(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        made(**options)


@pytest.mark.parametrize("folder", ["", "kept"])
def test_a_script_by_itself_goes_on_from_an_earlier_run_only_where_a_folder_for_checkpoints_is_named(place, monkeypatch, capsys, folder):
    monkeypatch.setenv("CONCERTINA_CHECKPOINT_SECONDS", "0")
    if folder:
        monkeypatch.setenv("CHECKPOINT_DIR", str(place / folder))
    for _ in range(2):
        model, job = made()
        for epoch in job.epochs():
            for x, y in epoch:
                job.backward(F.cross_entropy(model(x), y))
                job._place.checkpoints.finish()
    assert ("Resumed from the checkpoint" in capsys.readouterr().out) == bool(folder)
    assert {each.name for each in place.iterdir()} == {"model", *([folder] if folder else [])}


def test_a_plateau_scheduler_is_refused():
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    with pytest.raises(ValueError, match="ReduceLROnPlateau; accepted is a scheduler of torch.optim.lr_scheduler whose step takes no"):
        made(model=model, optimizer=optimizer, lr_scheduler=plateau)


def trained(job, model):
    leaders = []
    for epoch in job.epochs():
        for x, y in epoch:
            job.backward(F.cross_entropy(model(x), y))
        leaders.append((epoch.number, epoch.leader))
    return leaders


def test_by_itself_the_loop_runs_on_one_worker_and_gives_everything_back():
    hook = sys.excepthook
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    job = elastic(model, optimizer, data(), batch_size=5, epochs=3, logical_workers=2)
    before = model.weight.detach().clone()
    assert trained(job, model) == [(0, True), (1, True), (2, True)]
    assert job.step == 6 and not torch.equal(before, model.weight)
    assert sys.excepthook == hook
    job.finish()
    optimizer.step()


def test_figures_outside_of_the_loop_and_out_of_range_are_refused(place):
    model, job = made()
    with job:
        with pytest.raises(RuntimeError, match="backward was called outside of the loop"):
            job.backward(torch.zeros((), requires_grad=True))
        for epoch in job.epochs():
            for x, y in epoch:
                with pytest.raises(ValueError, match=re.escape("loss is a float; accepted is a tensor with one element")):
                    job.backward(0.5)
                with pytest.raises(ValueError, match=re.escape("loss is a tensor of shape (5, 2); accepted")):
                    job.backward(model(x))
                with pytest.raises(ValueError, match=re.escape("accuracy is 101.0; accepted is a percentage, 0 to 100")):
                    job.report(accuracy=101)
                job.backward(F.cross_entropy(model(x), y))
        with pytest.raises(ValueError, match=re.escape("name is '../x'; accepted is a path below")):
            job.save("../x", {})
        assert torch.load(job.save("best/weights.pth", model.state_dict()), weights_only=True).keys() == {"weight", "bias"}
    assert (place / "model/best/weights.pth").exists()


def test_a_with_block_that_is_left_early_says_so():
    with pytest.raises(RuntimeError, match="the training was left after 1 of 8 steps"):
        model, job = made()
        with job:
            for epoch in job.epochs():
                for number, (x, y) in enumerate(epoch):
                    if number == 1:
                        break
                    job.backward(F.cross_entropy(model(x), y))
                break


@pytest.mark.parametrize("part", [elastic, ElasticJob, Epoch])
def test_every_public_name_is_annotated(part):
    public = [part] if inspect.isfunction(part) else [v for k, v in vars(part).items() if not k.startswith("_") or k == "__iter__"]
    for each in public:
        function = each.fget if isinstance(each, property) else each
        hints = typing.get_type_hints(function)
        assert set(hints) == (set(inspect.signature(function).parameters) - {"self"}) | {"return"}, function
    assert (Path(inspect.getfile(ElasticJob)).parent / "py.typed").exists()
