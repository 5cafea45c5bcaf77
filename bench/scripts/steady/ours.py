"""What Concertina runs in the steady-state benchmark."""

import argparse

import torch
from torch.nn import functional as F

from fabric_model import FabricModel
from models import data, made
from tracing import Trace

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--batch", type=int, required=True, help="samples of a micro-batch")
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--logical", type=int, required=True, help="logical workers")
parser.add_argument("--sums", choices=("exact", "float"), required=True)
parser.add_argument("--trace", required=True, help="folder")
arguments = parser.parse_args()


class TracedSGD(torch.optim.SGD):
    """Records when each of this process's steps was completed."""

    done = 0

    def step(self, closure=None):
        result = super().step(closure)
        self.done += 1
        trace.completed(self.done)
        return result


def datasets():
    samples = arguments.steps * arguments.logical * arguments.batch
    return data(arguments.model, samples), data(arguments.model, arguments.batch)


trace = Trace(arguments.trace)
model = made(arguments.model)
optimizer = TracedSGD(model.parameters(), lr=0.01, momentum=0.9)
fabric = FabricModel(model, datasets, F.cross_entropy, optimizer)
fabric.train(1, arguments.batch, arguments.logical, validation_freq=0, checkpoint_freq=0, sums=arguments.sums)
