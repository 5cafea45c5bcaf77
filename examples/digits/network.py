"""The digits and the network that learns them."""

import csv
import gzip
import os

import torch
from torch import nn
from torch.utils.data import TensorDataset

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
