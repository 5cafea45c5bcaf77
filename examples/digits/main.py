"""Handwritten digits on a small convolutional network, as an elastic job.

In Concertina: `./concertina submit edtPyTorch --model-dir examples/digits --model-main main.py --numWorker 4`.
By itself: `PYTHONPATH=python python3 examples/digits/main.py`. Both end with the same weights.
"""

import argparse
import csv
import gzip
import os

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from fabric_model import FabricModel

TEST_EVERY = 5


def datasets():
    """Returns (train, test): images of shape (1, 8, 8) with values 0 to 1, labels 0 to 9. Every fifth image is for testing."""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "digits.csv.gz")
    shared = os.path.join(os.environ.get("DATA_DIR", ""), "digits.csv.gz")
    with gzip.open(here if os.path.exists(here) else shared, "rt") as lines:
        rows = torch.tensor([[int(cell) for cell in row] for row in csv.reader(lines)])
    images = rows[:, :-1].reshape(-1, 1, 8, 8).float() / 16
    labels = rows[:, -1]
    test = torch.arange(len(rows)) % TEST_EVERY == TEST_EVERY - 1
    return TensorDataset(images[~test], labels[~test]), TensorDataset(images[test], labels[test])


def network(width, dropout):
    """A classifier from (N, 1, 8, 8) to log-probabilities (N, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8 * width, 10),
        nn.LogSoftmax(dim=1),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=16, help="images per logical worker and step")
    parser.add_argument("--workers", type=int, default=4, help="logical workers, the most that can run at once")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--dropout", type=float, default=0.25)
    parser.add_argument("--width", type=int, default=16, help="channels of the first layer")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    model = network(arguments.width, arguments.dropout)
    optimizer = torch.optim.SGD(model.parameters(), lr=arguments.lr, momentum=arguments.momentum)
    fabric = FabricModel(model, datasets, F.nll_loss, optimizer)
    fabric.train(arguments.epochs, arguments.batch_size, arguments.workers, checkpoint_freq=1)


if __name__ == "__main__":
    main()
