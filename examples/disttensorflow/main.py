"""Handwritten digits on a gang of TensorFlow processes that start and end together: MultiWorkerMirroredStrategy.

In Concertina: `./concertina submit disttensorflow --model-dir examples/disttensorflow --model-main main.py --numWorker 2
--cs-datastore-meta type=fs,data_path=digits` with `digits.csv.gz` in the folder `digits` of the data folder.
"""

import argparse
import gzip
import json
import os

import numpy as np
import tensorflow as tf


def datasets(folder):
    """Returns (train, test), each (images, labels): images of shape (n, 64) with values 0 to 1. Every fifth is for testing."""
    with gzip.open(os.path.join(folder, "digits.csv.gz"), "rt") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype="int64")
    images, labels = rows[:, :-1].astype("float32") / 16, rows[:, -1]
    test = np.arange(len(rows)) % 5 == 4
    return (images[~test], labels[~test]), (images[test], labels[test])


class Network(tf.Module):
    """64 inputs, 64 hidden, 10 classes."""

    def __init__(self):
        random = tf.random.Generator.from_seed(1)
        self.first = tf.Variable(random.normal((64, 64)) * 0.15)
        self.first_bias = tf.Variable(tf.zeros(64))
        self.last = tf.Variable(random.normal((64, 10)) * 0.15)
        self.last_bias = tf.Variable(tf.zeros(10))

    def __call__(self, images):
        return tf.nn.relu(images @ self.first + self.first_bias) @ self.last + self.last_bias


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32, help="images per step, over the whole gang")
    parser.add_argument("--lr", type=float, default=0.2)
    arguments = parser.parse_args()

    gang = json.loads(os.environ["TF_CONFIG"])
    rank, size = gang["task"]["index"], len(gang["cluster"]["worker"])
    print(f"TF_CONFIG: worker {rank} of {size}", flush=True)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    train, test = datasets(os.environ["DATA_DIR"])
    batches = tf.data.Dataset.from_tensor_slices(train).shuffle(len(train[1]), seed=1).batch(arguments.batch_size, drop_remainder=True)
    batches = strategy.experimental_distribute_dataset(batches)
    with strategy.scope():
        network = Network()

    def replica_step(images, labels):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, network(images))
            loss = tf.reduce_sum(losses) / arguments.batch_size
        gradients = tape.gradient(loss, network.trainable_variables)
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        for variable, gradient in zip(network.trainable_variables, total):
            variable.assign_sub(arguments.lr * gradient)
        return loss

    @tf.function
    def step(images, labels):
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica_step, (images, labels)), axis=None)

    for epoch in range(arguments.epochs):
        losses = [float(step(images, labels)) for images, labels in batches]
        print(f"worker {rank}: epoch {epoch}, mean loss over the gang {sum(losses) / len(losses):.5f}", flush=True)

    logits = network(tf.constant(test[0]))
    print(f"Test loss: {float(tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(test[1], logits))):.5f}")
    print(f"Test accuracy: {100 * float(np.mean(np.argmax(logits, 1) == test[1])):.2f}", flush=True)
    if rank == 0:
        tf.train.Checkpoint(network=network).write(os.path.join(os.environ["RESULT_DIR"], "model", "digits"))


if __name__ == "__main__":
    main()
