"""What user code meets: arguments, callbacks in both forms, log lines, files, and the helpers for metrics."""

import json
import re
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import IterableDataset, TensorDataset

import emetrics
from callbacks import Callback, LoggerCallback
from concertina import metrics, reports
from concertina.optimizing import Optimizers, Precision
from devices import HALF_ON_CPU, needs_half_on_cpu
from fabric_model import FabricModel

warnings.simplefilter("ignore")


def datasets(samples=50):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(samples, 4, generator=generator)
    y = (x.sum(1) > 0).long()
    return TensorDataset(x, y), TensorDataset(x[:20], y[:20])


def fabric(**options):
    model = torch.nn.Linear(4, 2)
    optimizer = options.pop("optimizer", torch.optim.SGD(model.parameters(), lr=0.1))
    return FabricModel(
        options.pop("model", model), options.pop("datasets", datasets), F.cross_entropy, optimizer, **options
    )


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name in ("CONCERTINA_CONTROL", "CONCERTINA_LOGICAL_WORKERS", "CHECKPOINT_DIR", "LOG_DIR", "SUBID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RESULT_DIR", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path


def test_the_environment_chooses_the_sums_unless_the_script_does(monkeypatch):
    monkeypatch.setenv("CONCERTINA_SUMS", "quick")
    with pytest.raises(ValueError, match=re.escape("CONCERTINA_SUMS is 'quick'; accepted are exact and float")):
        fabric().train(1, 8)
    fabric().train(1, 8, sums="float")


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"epochs": 0}, "epochs is 0; accepted is a whole number of at least 1"),
        ({"epochs": 1.5}, "epochs is 1.5; accepted"),
        ({"batch_size": 0}, "batch_size is 0; accepted"),
        ({"batch_size": True}, "batch_size is True; accepted"),
        ({"engines_number": 0}, "engines_number is 0; accepted"),
        ({"engines_number": "four"}, "engines_number is 'four'; accepted"),
        ({"engines_number": -1}, "engines_number is -1; accepted"),
        ({"validation_freq": -1}, "validation_freq is -1; accepted is a whole number of at least 0"),
        ({"checkpoint_freq": None}, "checkpoint_freq is None; accepted"),
        ({"num_dataloader_threads": -2}, "num_dataloader_threads is -2; accepted"),
        ({"engines_number": 2, "effective_batch_size": 64}, "engines_number is 2 and effective_batch_size is 64; accepted"),
        ({"effective_batch_size": 0}, "effective_batch_size is 0; accepted"),
        ({"sums": "fast"}, "sums is 'fast'; accepted are exact and float"),
        ({"sums": 1}, "sums is 1; accepted are exact and float"),
        ({"scaleup_function": 3}, "scaleup_function is a int; accepted is a function"),
        ({"engines_number": 10**9}, "a step is shared by 1000000000 logical workers; accepted are at most 1024"),
        ({"effective_batch_size": 10**20}, "logical workers; accepted are at most 1024"),
    ],
)
def test_wrong_arguments_of_train_are_named_with_value_and_what_is_accepted(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fabric().train(**{"epochs": 1, "batch_size": 8, **arguments})


@pytest.mark.parametrize(
    "options,message",
    [
        ({"learning_rate": 1}, "FabricModel has no argument 'learning_rate'; accepted are model, datasets_function"),
        ({"model": 3}, "model is a int; accepted is a torch.nn.Module or a Keras 3 model"),
        ({"datasets": 3}, "datasets_function is a int; accepted is a function"),
        ({"fn_test": "x"}, "fn_test is a str; accepted is a function"),
        ({"fn_test_per_batch": True}, "fn_test_per_batch is True without fn_test; accepted is that with a function"),
        ({"metrics": 5}, "metrics is a int; accepted is a function"),
        ({"keras_custom_objects": {"a": 1}}, "keras_custom_objects is for Keras models"),
    ],
)
def test_wrong_arguments_of_the_model_are_named(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fabric(**options)


def test_optimizers_that_cannot_work_are_refused():
    model = torch.nn.Linear(4, 2)
    with pytest.raises(ValueError, match="LBFGS"):
        fabric(model=model, optimizer=torch.optim.LBFGS(model.parameters()))
    with pytest.raises(ValueError, match="not the model's"):
        fabric(optimizer=torch.optim.SGD(torch.nn.Linear(4, 2).parameters(), lr=0.1)).train(1, 8)


def odd(**tensors):
    model = torch.nn.Sequential(torch.nn.Linear(4, 2))
    for name, each in tensors.items():
        (model.register_parameter if isinstance(each, torch.nn.Parameter) else model.register_buffer)(name, each)
    return model


@pytest.mark.parametrize(
    "model,message",
    [
        (torch.nn.Sequential(torch.nn.LazyLinear(2)), "parameter 0.weight has no shape yet; accepted is a model that was called once"),
        (odd(w=torch.nn.Parameter(torch.zeros(2, dtype=torch.complex64))), "parameter w is complex64; accepted are parameters of real numbers"),
        (odd(b=torch.eye(3).to_sparse()), "buffer b is sparse_coo; accepted are dense tensors"),
        (odd(b=torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)), "buffer b is qint8; accepted are dense tensors"),
    ],
)
def test_tensors_that_cannot_be_summed_or_carried_are_refused_by_name(model, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fabric(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1)).train(1, 8)


def test_a_buffer_that_overlaps_itself_becomes_one_that_does_not():
    wide = torch.arange(2.0).expand(3, 2)
    model = odd(wide=wide, complex=torch.ones(2, dtype=torch.complex64))
    fabric(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1)).train(2, 8)
    assert model.wide.is_contiguous() and torch.equal(model.wide, wide)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    "returned,message",
    [
        (None, "datasets_function returned a NoneType; accepted is a tuple"),
        ((Stream(), None), "returned a Stream for training; accepted is a data set with __len__ and __getitem__"),
        ((TensorDataset(torch.empty(0, 4), torch.empty(0)), None), "a training set with 0 samples"),
    ],
)
def test_data_that_cannot_be_reached_by_number_is_refused(returned, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fabric(datasets=lambda: returned).train(1, 8)


def test_an_error_in_user_code_shows_only_the_users_frames():
    def wrong():
        raise KeyError("missing file")

    with pytest.raises(KeyError) as caught:
        fabric(datasets=wrong).train(1, 8)
    assert not [str(entry.path) for entry in caught.traceback if "/concertina/" in str(entry.path)]


class Recorder(LoggerCallback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self):
        self.calls.append("begin")

    def on_train_end(self):
        self.calls.append("end")

    def log_train_metrics(self, loss, acc, completed_batch, worker=0):
        self.calls.append(("train", loss, acc, completed_batch))

    def log_test_metrics(self, loss, acc, completed_batch, worker=0):
        self.calls.append(("test", loss, acc, completed_batch))


class LaterRecorder(LoggerCallback):
    def __init__(self):
        self.calls = []

    def log_train_metrics(self, metrics, iteration, epoch, workers):
        self.calls.append((metrics, iteration, epoch, workers))

    def log_test_metrics(self, metrics, iteration, epoch):
        self.calls.append((metrics, iteration, epoch))


def test_the_logger_hears_percent_and_batches_that_restart_every_epoch():
    logger = Recorder()
    fabric(driver_logger=logger).train(2, 5, 2, validation_freq=1)
    assert logger.calls[0] == "begin" and logger.calls[-1] == "end"
    trained = [call for call in logger.calls if call[0] == "train"]
    assert [call[3] for call in trained] == [1, 2, 3, 4, 5] * 2
    assert all(0.0 <= call[2] <= 100.0 for call in trained) and max(call[2] for call in trained) > 1.0
    assert len([call for call in logger.calls if call[0] == "test"]) == 2


def test_the_later_form_of_the_logger_is_recognised():
    logger = LaterRecorder()
    fabric(driver_logger_callback=logger).train(2, 5, 2)
    metrics, iteration, epoch, workers = logger.calls[0]
    assert set(metrics) == {"loss", "accuracy"} and (iteration, epoch, workers) == (1, 0, 1)
    assert logger.calls[-1][1:] == (5, 1)


def test_callbacks_see_epochs_model_and_optimizer_and_may_change_the_rate():
    class Halver(Callback):
        seen = []

        def on_train_begin(self):
            self.seen.append(("begin", self.params["epochs"]))

        def on_epoch_begin(self, epoch):
            for group in self.params["optimizer"].param_groups:
                group["lr"] *= 0.5
            self.seen.append(("epoch", epoch))

        def on_epoch_end(self, epoch, save_model=False):
            self.seen.append(("ended", epoch, save_model, isinstance(self.model, torch.nn.Linear)))

        def on_train_end(self):
            self.seen.append("end")

    instance = fabric(user_callback=[Halver()])
    instance.train(2, 25, 1)
    expected = [("begin", 2), ("epoch", 0), ("ended", 0, True, True), ("epoch", 1), ("ended", 1, True, True), "end"]
    assert Halver.seen == expected
    assert instance.get_optimizer().param_groups[0]["lr"] == 0.025


def test_the_training_log_has_the_exact_form_and_starts_with_a_train_line(place, monkeypatch):
    monkeypatch.setenv("LOG_DIR", str(place / "log" / "task1.node"))
    fabric().train(2, 10, 2)
    lines = (place / "log/task1.node/stdout").read_text().splitlines()
    number = r"-?\d+(\.\d+)?(e-?\d+)?"
    train = rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\] Train,\tTimestamp: \d{{13}},\tGlobal steps: \d+,\tIteration: \d+,\tLoss: {number},\tAccuracy: {number}"
    test = rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\] Test,\tTimestamp: \d{{13}},\tLoss: {number},\tAccuracy: {number}"
    assert re.fullmatch(train, lines[0])
    assert all(re.fullmatch(train, line) or re.fullmatch(test, line) for line in lines)
    fields = [line.replace(":", ",").split(",") for line in lines]
    assert len(fields[0]) == 13 and max(map(len, fields)) == 13
    trains = [each for each, line in zip(fields, lines) if " Train," in line]
    assert [int(each[6]) for each in trains] == list(range(1, 7)) and [int(each[8]) for each in trains] == [1, 2, 3] * 2
    assert all(0.0 <= float(each[12]) <= 1.0 for each in trains)


def test_a_test_line_waits_for_the_first_train_line_of_its_file(tmp_path):
    log = reports.TrainingLog(str(tmp_path))
    log.on_train_begin()
    log.log_test_metrics(0.5, 50.0, 1)
    log.log_train_metrics(0.123456789, 12.3456789, 1)
    log.on_train_end()
    lines = (tmp_path / "stdout").read_text().splitlines()
    assert "Train" in lines[0] and "Test" in lines[1]
    assert lines[0].endswith("Loss: 0.12346,\tAccuracy: 0.12346")


def test_files_of_epochs_and_the_final_ones_are_written(place):
    fabric().train(4, 10, 2, checkpoint_freq=2)
    names = {path.name for path in (place / "model/train").iterdir()}
    assert names == {
        f"model_epoch_{part}{kind}.pth" for part in ("2", "4", "final") for kind in ("", "_optimizer_state")
    }
    weights = torch.load(place / "model/train/model_epoch_final.pth", weights_only=True)
    torch.nn.Linear(4, 2).load_state_dict(weights)


def test_no_files_of_epochs_without_checkpoint_frequency(place):
    fabric().train(2, 10, 2, checkpoint_freq=0)
    assert {path.name for path in (place / "model/train").iterdir()} == {
        "model_epoch_final.pth",
        "model_epoch_final_optimizer_state.pth",
    }


def test_standard_output_has_the_lines_tools_look_for(capsys):
    fabric().train(2, 10, 2)
    out = capsys.readouterr().out
    assert "Using pytorch backend." in out and "START TRAINING" in out and "Waiting the job to stop..." in out
    assert re.search(r"^Timestamp \d{13}, Iteration 1$", out, re.M)
    assert re.search(r"^batches :1 \d+\.\d+", out, re.M)
    assert re.search(r"^Iteration 3: tag train_accuracy, simple_value \d", out, re.M)
    assert re.search(r"^Iteration 3: tag train_loss, simple_value \d", out, re.M)
    assert re.search(r"^--------END TRAINING: completed epoch 2 in time \d+\.\d\d --------$", out, re.M)


@pytest.mark.parametrize(
    "most,engines,effective,batch,expected",
    [
        (None, 4, None, 8, (4, 32)),
        ("2", 4, None, 8, (2, 16)),
        ("8", 4, None, 8, (4, 32)),
        ("3", None, None, 8, (3, 24)),
        (None, None, None, 8, (1, 8)),
        (None, None, 100, 8, (13, 100)),
        ("4", None, 100, 8, (4, 100)),
    ],
)
def test_logical_workers_are_clamped_and_the_effective_batch_is_kept(monkeypatch, most, engines, effective, batch, expected):
    from concertina import launch

    if most is not None:
        monkeypatch.setenv("CONCERTINA_LOGICAL_WORKERS", most)
    assert launch.global_batch(batch, engines, effective) == expected


def test_a_custom_collate_function_and_a_custom_step_see_what_they_should():
    seen = {}

    def collate(samples):
        return {"x": torch.stack([x for x, _ in samples]), "y": torch.stack([y for _, y in samples])}

    def step(model, data, eva, train_loader, fn_args):
        seen.update(fn_args, length=len(train_loader), keys=set(data))
        assert model.training and model.get_optimizer() is not None
        outputs = model(data["x"])
        loss = model.get_loss_function()(outputs, data["y"])
        loss.backward()
        return eva(outputs, data["y"]), loss

    def check(model, test_iter, fn_args):
        assert not model.training
        return sum(float(F.cross_entropy(model(data["x"]), data["y"])) for data in test_iter)

    fabric(fn_batch_collate=collate, fn_step_train=step, fn_test=check).train(1, 10, 2)
    assert seen["keys"] == {"x", "y"} and seen["length"] == 3 and seen["epoch"] == 0


def test_a_custom_step_that_returns_something_else_is_told_so():
    with pytest.raises(ValueError, match="fn_step_train returned a NoneType; accepted is a tuple"):
        fabric(fn_step_train=lambda *_: None).train(1, 10)


def test_metrics_are_recorded_in_the_exact_form(place, monkeypatch):
    monkeypatch.setenv("LOG_DIR", str(place / "log"))
    monkeypatch.setenv("TRAINING_ID", "abc")
    with emetrics.EMetrics.open("7") as record:
        record.record(emetrics.EMetrics.TEST_GROUP, 3, {"loss": 0.25, "accuracy": torch.tensor(0.5), "count": 4, "note": "x"})
        record.record(emetrics.EMetrics.TRAIN_GROUP, 4, {"loss": 0.125})
    lines = (place / "log/7/evaluation-metrics.txt").read_text().splitlines()
    first = json.loads(lines[0])
    assert list(first) == ["meta", "grouplabel", "etimes", "values"]
    assert first["meta"]["training_id"] == "abc" and first["meta"]["rindex"] == 1 and first["meta"]["subid"] == "7"
    assert first["grouplabel"] == "test" and first["etimes"]["iteration"] == {"type": 2, "value": "3"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+", first["etimes"]["time_stamp"]["value"])
    assert first["values"] == {
        "loss": {"type": 3, "value": "0.25"},
        "accuracy": {"type": 3, "value": "0.5"},
        "count": {"type": 2, "value": "4"},
        "note": {"value": "x"},
    }
    assert len(lines) == 2
    summary = json.loads((place / "val_dict_list.json").read_text())
    assert summary == [{"steps": 3, "loss": 0.25, "accuracy": 0.5, "count": 4, "note": "x"}]


def test_a_trial_has_its_test_figures_as_result_by_itself(place, monkeypatch):
    monkeypatch.setattr(metrics, "_reports", metrics._Reports())
    monkeypatch.setenv("SUBID", "3")
    monkeypatch.setenv("DLI_IS_ELASTIC", "true")
    fabric().train(3, 10)
    metrics._reports.flush()
    summary = json.loads((place / "val_dict_list.json").read_text())
    assert [list(entry) for entry in summary] == [["steps", "test_loss", "test_accuracy"]] * 3
    assert [entry["steps"] for entry in summary] == [1, 2, 3]
    assert all(0 <= entry["test_accuracy"] <= 1 for entry in summary)


def test_without_a_subid_no_summary_is_written(place, monkeypatch):
    monkeypatch.setenv("LOG_DIR", str(place / "log"))
    record = emetrics.EMetrics.open()
    record.record(record.TEST_GROUP, 1, {"loss": 1.0})
    record.close()
    record.close()
    assert not (place / "val_dict_list.json").exists()
    assert "subid" not in json.loads((place / "log/evaluation-metrics.txt").read_text())["meta"]


def two_optimizers(model):
    return [torch.optim.SGD([model.weight], lr=0.1), torch.optim.Adam([model.bias], lr=0.1)]


@pytest.mark.parametrize(
    "options,message",
    [
        ({"max_grad_norm": 0}, "max_grad_norm is 0; accepted is a number above 0"),
        ({"clip_grad_value": float("nan")}, "clip_grad_value is nan; accepted"),
        ({"max_grad_norm": 1.0, "clip_grad_value": 1.0}, "max_grad_norm is 1.0 and clip_grad_value is 1.0; accepted is one"),
        ({"mixed_precision": "fp8"}, "mixed_precision is 'fp8'; accepted are None, 'bf16' and 'fp16'"),
        ({"lr_scheduler_freq": "batch"}, "lr_scheduler_freq is 'batch'; accepted are 'epoch' and 'step'"),
        ({"lr_scheduler": 3}, "lr_scheduler is a int; accepted is"),
        ({"optimizer": [3]}, "optimizer is a int; accepted is a torch.optim.Optimizer"),
        ({"optimizer": {}}, "optimizer is empty; accepted is a torch.optim.Optimizer or a list, tuple or dict"),
    ],
)
def test_wrong_ways_of_optimizing_are_named(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        fabric(**options)


def test_optimizers_and_schedules_that_do_not_fit_are_refused():
    model = torch.nn.Linear(4, 2)
    first, second = torch.optim.SGD(model.parameters(), lr=0.1), torch.optim.Adam([model.bias])
    with pytest.raises(ValueError, match="a parameter in two optimizers"):
        fabric(model=model, optimizer=[first, second])
    with pytest.raises(ValueError, match="StepLR belongs to another optimizer"):
        fabric(model=model, optimizer=first, lr_scheduler=torch.optim.lr_scheduler.StepLR(second, 1))
    with pytest.raises(ValueError, match="ReduceLROnPlateau; accepted is one whose step takes no metric"):
        fabric(model=model, optimizer=first, lr_scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau(first))


@pytest.mark.parametrize("form", [list, tuple, lambda pair: dict(zip(("a", "b"), pair))])
def test_several_optimizers_come_back_as_given_and_leave_their_states(place, form):
    model = torch.nn.Linear(4, 2)
    given = form(two_optimizers(model))
    seen = []

    def step(wrapped, data, eva, train_loader, fn_args):
        seen.append(wrapped.get_optimizer())
        loss = F.cross_entropy(wrapped(data[0]), data[1])
        loss.backward()
        return 0.0, loss

    before = [each.detach().clone() for each in model.parameters()]
    instance = fabric(model=model, optimizer=given, fn_step_train=step)
    instance.train(2, 10, 2)
    assert instance.get_optimizer() is given and all(each is given for each in seen)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters()))
    # Before torch 2.0 the loader of weights alone knows no floating-point numbers.
    only = not torch.__version__.startswith("1.")
    saved = torch.load(place / "model/train/model_epoch_final_optimizer_state.pth", weights_only=only)
    assert len(saved) == 2 and type(saved) is (dict if isinstance(given, dict) else list)
    again = form(two_optimizers(model))
    Optimizers(again).load_state_dicts(saved)
    assert str(Optimizers(again).state()) == str(Optimizers(given).state())


def one_step(**options):
    """Weights after one step on all 50 samples, by the engine; and the model as it was."""
    torch.manual_seed(3)
    model = torch.nn.Linear(4, 2)
    start = {name: each.clone() for name, each in model.state_dict().items()}
    fabric(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=1.0), **options).train(1, 50, 1)
    return start, model


@pytest.mark.parametrize("options", [{"max_grad_norm": 0.01}, {"max_grad_norm": 100.0}, {"clip_grad_value": 0.02}])
def test_clipping_is_that_of_torch(options):
    start, trained = one_step(**options)
    plain = torch.nn.Linear(4, 2)
    plain.load_state_dict(start)
    training, _ = datasets()
    F.cross_entropy(plain(training.tensors[0]), training.tensors[1]).backward()
    if "max_grad_norm" in options:
        torch.nn.utils.clip_grad_norm_(plain.parameters(), options["max_grad_norm"])
    else:
        torch.nn.utils.clip_grad_value_(plain.parameters(), options["clip_grad_value"])
    torch.optim.SGD(plain.parameters(), lr=1.0).step()
    for mine, theirs in zip(trained.parameters(), plain.parameters()):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


def test_schedules_are_stepped_by_epoch_or_by_step():
    for frequency, expected in (("epoch", 0.1 * 0.5**2), ("step", 0.1 * 0.5**6)):
        model = torch.nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        fabric(model=model, optimizer=optimizer, lr_scheduler=schedule, lr_scheduler_freq=frequency).train(2, 10, 2)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "precision,dtype",
    [(None, torch.float32), ("bf16", torch.bfloat16), pytest.param("fp16", torch.float16, marks=needs_half_on_cpu)],
)
def test_mixed_precision_computes_in_its_type_and_keeps_float32_weights(precision, dtype):
    class Watched(torch.nn.Linear):
        seen = set()

        def forward(self, x):
            outputs = super().forward(x)
            self.seen.add(outputs.dtype)
            return outputs

    model = Watched(4, 2)
    Watched.seen.clear()
    before = model.weight.detach().clone()
    fabric(model=model, mixed_precision=precision, optimizer=torch.optim.SGD(model.parameters(), lr=0.1)).train(1, 10, 2)
    assert Watched.seen == {dtype} and model.weight.dtype == torch.float32
    assert not torch.equal(before, model.weight)


@pytest.mark.skipif(HALF_ON_CPU and torch.cuda.is_available(), reason="every device here computes float16")
def test_a_precision_that_the_device_does_not_have_is_refused():
    device = "cuda" if HALF_ON_CPU else "cpu"
    with pytest.raises(ValueError, match=f"mixed_precision is 'fp16', which torch .* does not compute on {device}; accepted there is"):
        Precision("fp16", torch.device(device))


@needs_half_on_cpu
def test_fp16_wants_the_scaled_backward():
    def step(model, data, eva, train_loader, fn_args):
        loss = F.cross_entropy(model(data[0]), data[1])
        loss.backward()
        return 0.0, loss

    with pytest.raises(ValueError, match=re.escape("fn_step_train did not call model.backward(loss)")):
        fabric(fn_step_train=step, mixed_precision="fp16").train(1, 10)


def test_a_loss_scale_falls_with_an_overflow_and_grows_again():
    from concertina.optimizing import FIRST_SCALE, GROWTH_STEPS, LossScale

    scale = LossScale()
    assert not scale.accept(torch.tensor([1.0, float("inf")])) and scale.value == FIRST_SCALE / 2
    other = LossScale()
    other.load(scale.state())
    assert all(other.accept(torch.ones(2)) for _ in range(GROWTH_STEPS)) and other.value == FIRST_SCALE


def test_freezing_in_a_callback_is_refused():
    class Freezer(Callback):
        def on_epoch_begin(self, epoch):
            self.model.bias.requires_grad_(epoch == 0)

    with pytest.raises(ValueError, match="a callback changed requires_grad"):
        fabric(user_callback=[Freezer()]).train(2, 10)


def test_a_parameter_frozen_at_the_beginning_cannot_thaw():
    model = torch.nn.Linear(4, 2)
    model.bias.requires_grad_(False)

    def step(wrapped, data, eva, train_loader, fn_args):
        wrapped.bias.requires_grad_(True)
        loss = F.cross_entropy(wrapped(data[0]), data[1])
        loss.backward()
        return 0.0, loss

    with pytest.raises(ValueError, match="frozen when train was called"):
        fabric(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), fn_step_train=step).train(1, 10)


class Squares(IterableDataset):
    """A stream of 20 samples."""

    def __iter__(self):
        return iter((torch.full((4,), float(number)), torch.tensor(number % 2)) for number in range(20))


@pytest.mark.parametrize("test,count", [(None, 0), (TensorDataset(torch.empty(0, 4), torch.empty(0).long()), 0), (Squares(), 2)])
def test_a_test_set_may_be_missing_empty_or_a_stream(test, count):
    logger = Recorder()
    fabric(datasets=lambda: (datasets()[0], test), driver_logger=logger).train(2, 10, 2)
    assert len([call for call in logger.calls if call[0] == "test"]) == count


@pytest.mark.parametrize("name", ["driver_logger", "worker_logger", "driver_logger_callback", "worker_logger_callback"])
@pytest.mark.parametrize("kind", [Recorder, LaterRecorder])
def test_every_spelling_of_the_logger_takes_both_forms(name, kind):
    logger = kind()
    fabric(**{name: logger}).train(3, 10, 2, validation_freq=2)
    if kind is Recorder:
        kinds = [call if isinstance(call, str) else call[0] for call in logger.calls]
        assert kinds == ["begin", *["train"] * 6, "test", *["train"] * 3, "test", "end"]
    else:
        assert [len(call) for call in logger.calls] == [4] * 6 + [3] + [4] * 3 + [3]


@pytest.mark.parametrize("option", ["enable_onnx", "save_to_onnx"])
def test_the_onnx_file_computes_what_the_model_does(place, option):
    numpy = pytest.importorskip("numpy")
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
    fabric(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **{option: True}).train(2, 10, 2)
    session = runtime.InferenceSession(str(place / "model/train/model_epoch_final.onnx"), providers=["CPUExecutionProvider"])
    inputs = torch.randn(7, 4)
    (outputs,) = session.run(["output"], {"input": inputs.numpy()})
    model.eval()
    numpy.testing.assert_allclose(outputs, model(inputs).detach().numpy(), rtol=1e-4, atol=1e-5)
