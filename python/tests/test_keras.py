"""Elastic Keras jobs: like the PyTorch ones, their weights and loss curve do not depend on which workers computed them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Job, Nursery

pytest.importorskip("tensorflow")

HERE = Path(__file__).resolve().parent
LIMIT_SECONDS = 240.0


@pytest.fixture(scope="module")
def keras_nursery():
    nursery = Nursery("tensorflow", "keras")
    yield nursery
    nursery.close()


@pytest.fixture
def job(keras_nursery, tmp_path):
    made = []

    def make(**options):
        made.append(Job(keras_nursery, tmp_path / "job", script="script_keras.py", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def finished(job):
    job.run(limit=LIMIT_SECONDS)
    assert job.failed is None, (job.failed, job.outputs())
    return job.done["weightsSha256"], curve(job)


def curve(job):
    steps = {}
    for line in (job.folder / "curve.jsonl").read_text().splitlines():
        step, *shown = json.loads(line)
        assert steps.setdefault(step, shown) == shown
    assert steps.keys() == {*range(1, 22), "test after 14", "test after 21"}
    return steps


@pytest.fixture(scope="module")
def undisturbed(keras_nursery, tmp_path_factory):
    """Digest and curve of the same job on one worker, by model."""
    known = {}

    def of(model):
        if model not in known:
            job = Job(keras_nursery, tmp_path_factory.mktemp("undisturbed"), script="script_keras.py", TEST_MODEL=model)
            job.grow_to(1)
            known[model] = finished(job)
            job.close()
        return known[model]

    return of


@pytest.mark.parametrize("workers,model", [(2, "dense"), (4, "cnn"), (3, "batches"), (2, "dataset")])
def test_any_number_of_workers_gives_the_same_weights_and_curve(job, undisturbed, workers, model):
    running = job(TEST_MODEL=model)
    running.grow_to(workers)
    assert finished(running) == undisturbed(model)


@pytest.mark.parametrize("model", ["dense", "cnn"])
def test_growing_and_shrinking_changes_nothing(job, undisturbed, model):
    running = job(TEST_MODEL=model)
    running.gate(3)
    running.grow_to(1)
    running.run(lambda: running.step() >= 3, limit=LIMIT_SECONDS)
    for workers, first in ((3, True), (1, False), (2, True)):
        running.run(lambda: running.step() >= running.held, limit=LIMIT_SECONDS)
        running.resize(workers, keep_first=first)
    running.gate(1000)
    assert finished(running) == undisturbed(model)
    assert all(worker.code == 0 for worker in running.workers.values())


@pytest.mark.parametrize("model", ["dense", "cnn"])
@pytest.mark.parametrize("victim,step", [(1, 4), (2, 15)])
def test_a_killed_worker_changes_nothing(job, undisturbed, model, victim, step):
    running = job(TEST_MODEL=model, CONCERTINA_FAIL_AT=f"{victim}:{step}")
    running.grow_to(2)
    assert finished(running) == undisturbed(model)
    assert running.workers[f"job-{running._number}.{victim}"].code == -9


def test_a_job_lost_with_all_workers_goes_on_from_its_checkpoint(job, undisturbed):
    running = job(TEST_MODEL="cnn", CONCERTINA_CHECKPOINT_SECONDS="0")
    running.gate(9)
    running.grow_to(1)
    checkpoints = running.folder / "checkpoint"
    running.run(lambda: running.step() >= 9 and list(checkpoints.glob("step-*.state")), limit=LIMIT_SECONDS)
    (name,) = running.workers
    running.kill(name)
    running.run(lambda: not running.workers[name].alive, limit=LIMIT_SECONDS)
    running.current, running.pending, running.recovering = [], None, None
    running.gate(1000)
    running.grow_to(1)
    assert finished(running) == undisturbed("cnn")
    assert "Resumed from the checkpoint of step" in "".join(running.outputs().values())


def script(folder, text, **environment):
    """Runs a script by itself; returns its exit code and output."""
    path = folder / "main.py"
    path.write_text(text)
    known = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1", "RESULT_DIR": str(folder), **environment}
    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=known, cwd=folder, timeout=LIMIT_SECONDS)
    return ended.returncode, ended.stdout + ended.stderr


def test_the_files_hold_the_model_and_its_digest(tmp_path):
    code, output = script(
        tmp_path,
        """
import numpy as np, keras
from fabric_model import FabricModel
from concertina.keras_backend import named_weights
from concertina import weights_digest

x = np.random.default_rng(1).normal(size=(40, 5)).astype("float32")
y = (x[:, :1] > 0).astype("float32")
model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid")])
fabric = FabricModel(model, lambda: ((x, y), (x, y)), "binary_crossentropy", keras.optimizers.Adam(0.1))
fabric.train(8, 10, checkpoint_freq=8)
loaded = keras.models.load_model("model/train/model_epoch_final.keras")
assert weights_digest(named_weights(loaded)) == weights_digest(named_weights(model))
assert np.mean((loaded.predict(x, verbose=0) > 0.5) == (y > 0.5)) > 0.9
state = np.load("model/train/model_epoch_final_optimizer_state.npz")
assert int(state["00000/iteration"]) == 32, dict(state)
print("all is there")
""",
    )
    assert code == 0, output
    assert "Using keras backend." in output
    assert "keras was detected from the model" in output
    assert "all is there" in output


REFUSED = """
import numpy as np, keras, tensorflow as tf
from fabric_model import FabricModel
from concertina.keras_data import source_of

x, y = np.zeros((8, 3), "float32"), np.zeros((8, 1), "float32")
net = lambda: keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])

class Noisy(keras.layers.Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x))

class Counting(keras.layers.Layer):
    def call(self, x):
        return x + outside

outside = tf.Variable(1.0, name="outside")

def trained(data=(x, y), model=None, loss="mse", optimizer="sgd", **more):
    FabricModel(model or net(), lambda: (data, None), loss, optimizer, **more).train(1, 4)

def odd():
    yield x[0]

pairs = tf.data.Dataset.from_tensor_slices((x, y))
for attempt in (
    lambda: trained(loss="no such loss"),
    lambda: trained(optimizer="no such optimizer"),
    lambda: trained(optimizer=3),
    lambda: trained(fn_step_train=print),
    lambda: trained(enable_onnx=True),
    lambda: trained(keras_custom_objects=3),
    lambda: trained(pairs.batch(4).repeat()),
    lambda: trained(tf.data.Dataset.from_tensors((x[0, 0], y[0, 0]))),
    lambda: trained(pairs.batch(4).filter(lambda x, y: True)),
    lambda: trained((x, y[:3])),
    lambda: trained((x[:0], y[:0])),
    lambda: trained({"x": x}),
    lambda: trained(model=keras.Sequential([keras.layers.Input((3,)), Noisy(), keras.layers.Dense(1)])),
    lambda: trained(model=keras.Sequential([keras.layers.Input((3,)), Counting(), keras.layers.Dense(1)])),
    lambda: trained(model=keras.Sequential([keras.layers.Input((3,)), keras.layers.Flatten()])),
):
    try:
        attempt()
        print("REFUSED nothing")
    except ValueError as error:
        print("REFUSED", error)
"""


def test_what_cannot_be_trained_is_refused_in_one_line(tmp_path):
    code, output = script(tmp_path, REFUSED)
    assert code == 0, output
    lines = [line.removeprefix("REFUSED ") for line in output.splitlines() if line.startswith("REFUSED ")]
    beginnings = [
        "loss_function is 'no such loss'; accepted is a Keras loss",
        "optimizer is 'no such optimizer'; accepted is a Keras optimizer",
        "optimizer is a int; accepted is a Keras optimizer",
        "fn_step_train is for PyTorch models",
        "enable_onnx is for PyTorch models",
        "keras_custom_objects is a int; accepted is a dict",
        "datasets_function returned an endless tf.data.Dataset",
        "datasets_function returned a tf.data.Dataset without batches",
        "datasets_function returned a tf.data.Dataset of unknown size",
        "datasets_function returned arrays of [3, 8] rows",
        "datasets_function returned a training set with 0 samples",
        "datasets_function returned a dict for training; accepted are arrays (x, y)",
        "model uses the TensorFlow operation RandomStandardNormal",
        "model uses the variable outside:0",
        "model has no weights to train",
    ]
    assert len(lines) == len(beginnings), output
    for line, beginning in zip(lines, beginnings):
        assert line.startswith(beginning)


@pytest.mark.parametrize(
    "value,said",
    [("caffe", "FABRIC_BACKEND is 'caffe'; accepted are pytorch, tensorflow and keras"),
     ("pytorch", "FABRIC_BACKEND is 'pytorch', model is a Sequential; accepted with it is keras, or none"),
     ("tensorflow", "Using tensorflow backend.")],
)  # fmt: skip
def test_the_backend_may_be_named_and_must_fit(tmp_path, value, said):
    text = """
import keras
from fabric_model import FabricModel
FabricModel(keras.Sequential([keras.layers.Dense(1)]), lambda: None, "mse", "sgd")
"""
    _, output = script(tmp_path, text, FABRIC_BACKEND=value)
    assert said in output
    assert "WARNING: FABRIC_BACKEND" not in output


def test_where_tensorflow_computed_before_a_kernel_may_submit_but_nothing_trains_here(tmp_path):
    code, output = script(
        tmp_path,
        """
import keras, numpy
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
from pyedt.fabric_model import FabricModel

data = numpy.zeros((8, 3), "float32"), numpy.zeros((8, 1), "float32")
FabricModel(model, lambda: (data, None), "mse", "sgd", server="https://127.0.0.1:9", token="t")
print("may submit")
FabricModel(model, lambda: (data, None), "mse", "sgd").train(1, 4)
""",
        EXEC_TYPE="",
    )
    assert code == 1 and "may submit" in output
    assert output.splitlines()[-1].startswith("RuntimeError: TensorFlow computed before fabric_model was imported"), output


def test_a_pytorch_user_does_not_load_tensorflow(tmp_path):
    code, output = script(
        tmp_path,
        """
import sys, torch
from fabric_model import FabricModel
model = torch.nn.Linear(2, 1)
FabricModel(model, lambda: None, torch.nn.functional.mse_loss, torch.optim.SGD(model.parameters(), lr=0.1))
assert not {"tensorflow", "keras"} & set(sys.modules)
""",
    )
    assert code == 0, output


def test_a_missing_tensorflow_is_said_in_one_line(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('not here')")
    code, output = script(tmp_path, "from fabric_model import FabricModel", FRAME_WORK="edtTensorflow")
    assert code == 1
    assert output.splitlines()[-1] == (
        f"ImportError: TensorFlow cannot be imported (not here); run '{sys.executable} -m pip install tensorflow' or 'tensorflow-cpu'"
    )
