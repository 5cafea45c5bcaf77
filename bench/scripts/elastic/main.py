"""The script that Concertina runs in the pause and rescale benchmarks: digits, with every completed step written down."""

import argparse

import torch
from torch.nn import functional as F

import models
from fabric_model import FabricModel
from tracing import Trace


class TracedSGD(torch.optim.SGD):
    """Counts its steps in its own state, so that the number travels with the job, and records when each was completed."""

    def __init__(self, parameters, trace, **settings):
        super().__init__(parameters, **settings)
        self.param_groups[0]["completed"] = 0
        self._trace = trace

    def step(self, closure=None):
        result = super().step(closure)
        self.param_groups[0]["completed"] += 1
        self._trace.completed(self.param_groups[0]["completed"])
        return result


parser = argparse.ArgumentParser()
models.add_arguments(parser)
parser.add_argument("--batch-size", type=int, required=True, help="images per logical worker and step")
parser.add_argument("--workers", type=int, required=True)
parser.add_argument("--trace", required=True, help="folder")
arguments = parser.parse_args()

torch.manual_seed(1)
model = models.made(arguments)
optimizer = TracedSGD(model.parameters(), Trace(arguments.trace), lr=0.05, momentum=0.9)
# Like its peers it neither tests nor saves a model at the end of an epoch, which would count as a pause.
FabricModel(model, models.datasets, F.nll_loss, optimizer).train(
    1_000_000, arguments.batch_size, arguments.workers, validation_freq=0, checkpoint_freq=0
)
