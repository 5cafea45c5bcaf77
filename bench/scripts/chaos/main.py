"""The script of the chaos jobs: one of three small models on data made from a seed; every computed and committed step is written down."""

import argparse
import os
import time

import torch
from torch import nn
from torch.nn import functional as F

from commits import Commits, LossLog, watch
from fabric_model import FabricModel

SAMPLES = 400


class Numbered(torch.utils.data.Dataset):
    """Random images of 64 numbers whose label is a function of them; behind each image's numbers stands its own."""

    def __init__(self, count):
        generator = torch.Generator().manual_seed(7)
        inputs = torch.randn(count, 64, generator=generator)
        self._labels = (inputs @ torch.randn(64, 10, generator=generator)).argmax(1)
        self._inputs = torch.cat([inputs, torch.arange(count, dtype=inputs.dtype).unsqueeze(1)], 1)

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, number):
        return self._inputs[number], self._labels[number]


class Recording(nn.Module):
    """A model that notes which samples it is trained with, wherever they were loaded.

    :param pace: seconds that each micro-batch takes longer, so that something can happen between steps
    """

    def __init__(self, model, commits, pace):
        super().__init__()
        self.model = model
        self._commits = commits
        self._pace = pace

    def forward(self, inputs):
        if self.training:
            self._commits.ids += inputs[:, -1].long().tolist()
            time.sleep(self._pace)
        return self.model(inputs[:, :-1])


class Transformer(nn.Module):
    """Two layers with dropout over the 64 numbers as 8 tokens of 8."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Linear(8, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(32, 10)

    def forward(self, inputs):
        return self.head(self.encoder(self.embedding(inputs.view(-1, 8, 8))).mean(1))


def mlp():
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))


def cnn():
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


MODELS = {"mlp": mlp, "cnn": cnn, "transformer": Transformer}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=sorted(MODELS), required=True)
    parser.add_argument("--trace", required=True, help="folder")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--pace-ms", type=float, default=0.0)
    arguments = parser.parse_args()

    os.environ["CONCERTINA_CHECKPOINT_SECONDS"] = "0.5"
    commits = Commits(arguments.trace)
    watch(commits)
    torch.manual_seed(3)
    model = Recording(MODELS[arguments.model](), commits, arguments.pace_ms / 1000)
    if arguments.model == "mlp":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)

    def datasets():
        return Numbered(SAMPLES), Numbered(50)

    fabric = FabricModel(model, datasets, F.cross_entropy, optimizer, driver_logger=LossLog(commits))
    fabric.train(arguments.epochs, 4, 4, validation_freq=0, checkpoint_freq=0)


if __name__ == "__main__":
    main()
