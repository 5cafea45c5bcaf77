"""A trial of the elastic search: a small network learns handwritten digits on a device that is imitated.

A micro-batch takes, beside its computation on the processor, a fixed time for each of its samples, in which the worker waits as for an
accelerator of its own; so workers on several slots are faster even where the machine has fewer processors than slots. A step has
the same samples whatever number of workers the trial may have.
"""

import argparse
import json
import os
import time

import torch
from torch import nn
from torch.nn import functional as F

from callbacks import LoggerCallback
from fabric_model import FabricModel
from network import datasets

STEP_SAMPLES = 64
WORKERS = 4


class Device(nn.Module):
    """Passes images on as vectors; in training after the time that a device would take."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def forward(self, images):
        if self.training:
            time.sleep(self.seconds * len(images))
        return images.flatten(1)


class Watching(LoggerCallback):
    """Notes each test in a shared file: when, which trial, loss, and how many workers the trial had."""

    def __init__(self, folder):
        self.file = os.path.join(folder, os.environ["SUBID"])
        self.workers = 0

    def log_train_metrics(self, metrics, iteration, epoch, workers):
        self.workers = workers

    def log_test_metrics(self, metrics, iteration, epoch):
        line = {"at": time.monotonic(), "epoch": epoch + 1, "loss": metrics["loss"], "workers": self.workers}
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def fewer(dataset, count):
    return torch.utils.data.TensorDataset(*(tensor[:count] for tensor in dataset.tensors))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--milliseconds", type=float, required=True, help="of the imitated device for a sample")
    parser.add_argument("--trace", required=True)
    arguments = parser.parse_args()
    with open("config.json", encoding="utf-8") as file:
        config = json.load(file)
    torch.manual_seed(1)
    model = nn.Sequential(Device(arguments.milliseconds / 1000), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["rate"], momentum=config["momentum"], weight_decay=config["decay"])
    training, test = datasets()
    fabric = FabricModel(
        model, lambda: (fewer(training, arguments.samples), test), F.cross_entropy, optimizer, driver_logger=Watching(arguments.trace)
    )
    fabric.train(
        arguments.epochs,
        STEP_SAMPLES // WORKERS,
        effective_batch_size=STEP_SAMPLES,
        num_dataloader_threads=0,
        checkpoint_freq=0,
    )


if __name__ == "__main__":
    main()
