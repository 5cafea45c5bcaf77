"""The Keras script that the tests' workers run; its environment chooses model and kind of data set, and where it kills itself."""

import json
import os

import numpy as np

import concertina.engine
from callbacks import LoggerCallback
from fabric_model import FabricModel
from script_common import die_where_told, wait_for_gate

import keras
import tensorflow as tf

concertina.engine.PROGRESS_SECONDS = 0.0
SAMPLES = 203
EPOCHS = 3


def arrays(count, seed, labels="numbers"):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 8, 8, 1)).astype("float32")
    y = (x.reshape(count, -1)[:, :5].sum(1) > 0).astype("int64") + (x.reshape(count, -1)[:, 5] > 0.5)
    return x, np.eye(3, dtype="float32")[y] if labels == "vectors" else y


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size):
        super().__init__()
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, number):
        part = slice(number * self.size, (number + 1) * self.size)
        noise = np.random.normal(size=self.x[part].shape).astype("float32") * 0.01
        return self.x[part] + noise, self.y[part]


class Curve(LoggerCallback):
    def __init__(self):
        self.gs = 0

    def on_train_begin(self):
        self.file = open(os.path.join(os.environ["RESULT_DIR"], "curve.jsonl"), "a")

    def log_train_metrics(self, loss, acc, completed_batch, worker=0):
        self.gs += 1
        self.write([self.gs, completed_batch, loss.hex(), acc.hex(), self.gs])

    def log_test_metrics(self, loss, acc, completed_batch, worker=0):
        self.write([f"test after {self.gs}", loss.hex(), acc.hex()])

    def write(self, figures):
        self.file.write(json.dumps(figures) + "\n")
        self.file.flush()


# Every kind of data set comes through here, so the test can hold a step, or end a worker in it.
from concertina import keras_backend  # noqa: E402

compute = keras_backend.KerasMicroBatches.compute


def gated(self, step, logical_worker, positions):
    die_where_told(step)
    if not logical_worker:
        wait_for_gate(step)
    return compute(self, step, logical_worker, positions)


keras_backend.KerasMicroBatches.compute = gated


def dense():
    return keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(32, activation="relu", kernel_regularizer="l2"),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


class Cnn(keras.Model):
    """Without an Input: its weights come with the first batch. Its noise has no seed of its own."""

    def __init__(self):
        super().__init__()
        self.flip = keras.layers.RandomFlip("horizontal")
        self.first = keras.layers.Conv2D(6, 3)
        self.normal = keras.layers.BatchNormalization()
        self.last = keras.layers.Dense(3)
        self.dropout = keras.layers.Dropout(0.2)

    def call(self, x, training=False):
        x = self.flip(x, training=training)
        if training:
            x = x + 0.01 * keras.random.normal(keras.ops.shape(x))
        x = keras.ops.relu(self.normal(self.first(x), training=training))
        x = keras.ops.max_pool(x, 2, 2)
        return self.last(self.dropout(keras.layers.Flatten()(x), training=training))


def arrays_in_memory():
    return arrays(SAMPLES, 1, "vectors"), arrays(60, 2, "vectors")


def flow():
    moved = tf.keras.preprocessing.image.ImageDataGenerator(channel_shift_range=0.2, horizontal_flip=True)
    plain = tf.keras.preprocessing.image.ImageDataGenerator()
    return moved.flow(*arrays(SAMPLES, 1), batch_size=10), plain.flow(*arrays(60, 2), batch_size=10, shuffle=False)


def batches():
    return Batches(*arrays(SAMPLES, 1), 25), Batches(*arrays(60, 2), 25)


def dataset():
    made = tf.data.Dataset.from_tensor_slices(arrays(SAMPLES, 1)).shuffle(50).batch(20)
    return made, tf.data.Dataset.from_tensor_slices(arrays(60, 2)).batch(20)


def judged(model, batches, fn_args):
    (inputs, labels) = next(iter(batches))
    return float(model.get_loss_function()(labels, model(inputs, training=False))), 50.0


MODEL, DATA, LOSS, OPTIMIZER = {
    "dense": (dense, arrays_in_memory, "categorical_crossentropy", keras.optimizers.Adam(0.01)),
    "cnn": (
        Cnn,
        flow,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.05, 5, 0.9), momentum=0.9),
    ),
    "batches": (Cnn, batches, keras.losses.SparseCategoricalCrossentropy(from_logits=True), "adam"),
    "dataset": (dense, dataset, "sparse_categorical_crossentropy", "rmsprop"),
}[os.environ.get("TEST_MODEL", "dense")]

OPTIONS = {"fn_test": judged, "fn_test_per_batch": True} if DATA is batches else {}
fabric = FabricModel(MODEL(), DATA, LOSS, OPTIMIZER, driver_logger=Curve(), **OPTIONS)
fabric.train(EPOCHS, 8, 4, validation_freq=2)
