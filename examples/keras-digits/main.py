"""Handwritten digits on a small convolutional Keras network, as an elastic job.

In Concertina: `./concertina submit edtTensorflow --model-dir examples/keras-digits --model-main main.py --numWorker 4
--cs-datastore-meta type=fs,data_path=digits` with `digits.csv.gz` in the folder `digits` of the data folder.
By itself: `DATA_DIR=examples/digits PYTHONPATH=python python3 examples/keras-digits/main.py`. Both end with the same weights.
"""

import argparse
import gzip
import os

import keras
import numpy as np

from fabric_model import FabricModel


def datasets():
    """Returns (train, test), each (images, labels): images of shape (n, 8, 8, 1) with values 0 to 1. Every fifth is for testing."""
    with gzip.open(os.path.join(os.environ["DATA_DIR"], "digits.csv.gz"), "rt") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype="int64")
    images, labels = rows[:, :-1].reshape(-1, 8, 8, 1).astype("float32") / 16, rows[:, -1]
    test = np.arange(len(rows)) % 5 == 4
    return (images[~test], labels[~test]), (images[test], labels[test])


def network(width, dropout):
    return keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(width, 3, padding="same"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(2 * width, 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16, help="images per logical worker and step")
    parser.add_argument("--workers", type=int, default=4, help="logical workers, the most that can run at once")
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--dropout", type=float, default=0.25)
    parser.add_argument("--width", type=int, default=16, help="channels of the first layer")
    arguments = parser.parse_args()

    optimizer = keras.optimizers.Adam(arguments.lr)
    model = network(arguments.width, arguments.dropout)
    fabric = FabricModel(model, datasets, "sparse_categorical_crossentropy", optimizer)
    fabric.train(arguments.epochs, arguments.batch_size, arguments.workers, checkpoint_freq=1)


if __name__ == "__main__":
    main()
