"""A small elastic job with everything that could make two runs differ: dropout, batch normalization, a stateful optimizer."""

import argparse
import os
import time

import torch
from concertina import elastic
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from callbacks import Callback
from fabric_model import FabricModel

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--samples", type=int, default=256)
parser.add_argument("--batch-size", type=int, default=4)
parser.add_argument("--workers", type=int, default=4)
parser.add_argument("--pause-ms", type=float, default=5, help="time that each micro-batch takes beside computing")
parser.add_argument("--native", action="store_true", help="train in a loop of its own, without FabricModel")
parser.add_argument("--fail-at", type=int, default=0, help="micro-batch of this process at which to raise")
parser.add_argument("--hang-at", type=int, default=0, help="micro-batch of this process at which to sleep for ever")
parser.add_argument("--only", default="", help="ordinal of the worker that hangs, exits or fails, every worker unless given")
parser.add_argument("--ask", type=int, default=0, help="workers to ask for in every epoch but the first two")
parser.add_argument("--exit-at", type=int, default=0, help="micro-batch of this process at which to end the process")
parser.add_argument("--exit-code", type=int, default=0)
parser.add_argument("--slow-ms", type=float, default=0, help="further time of each micro-batch")
parser.add_argument("--gate", default="", help="file without which the last epoch does not begin")
parser.add_argument("--uneven", action="store_true", help="give every worker a data set of another length")
arguments = parser.parse_args()
chosen = arguments.only in ("", os.environ.get("CONCERTINA_WORKER", "").rpartition(".")[2])


class Slow(nn.Module):
    """Passes its input on, after a while when training, and counts in a file how many micro-batches this process has begun."""

    def __init__(self):
        super().__init__()
        self.seen = 0
        counts = os.path.join(os.environ["RESULT_DIR"], "counts")
        os.makedirs(counts, exist_ok=True)
        self.file = os.open(os.path.join(counts, str(os.getpid())), os.O_WRONLY | os.O_CREAT)

    def forward(self, values):
        if self.training:
            self.seen += 1
            if self.seen == arguments.fail_at and chosen:
                raise RuntimeError("the script fails here")
            if self.seen == arguments.exit_at and chosen:
                os._exit(arguments.exit_code)
            if self.seen == arguments.hang_at and chosen:
                time.sleep(100_000)
            os.pwrite(self.file, b"%12d\n" % self.seen, 0)
            time.sleep((arguments.pause_ms + (arguments.slow_ms if chosen else 0)) / 1000)
        return values


class Gate(Callback):
    """Holds the last epoch back until the gate's file is there, so that no test has to be faster than the training."""

    def on_epoch_begin(self, epoch):
        while arguments.gate and epoch == arguments.epochs - 1 and not os.path.exists(arguments.gate):
            time.sleep(0.005)


def datasets():
    if arguments.uneven:
        arguments.samples += 16 * int(os.environ["CONCERTINA_WORKER"].rpartition(".")[2])
    random = torch.Generator().manual_seed(5)
    values = torch.randn(arguments.samples + 64, 16, generator=random)
    labels = (values[:, :4].sum(1) > 0).long() + 2 * (values[:, 4:8].sum(1) > 0).long()
    return (
        TensorDataset(values[: arguments.samples], labels[: arguments.samples]),
        TensorDataset(values[arguments.samples :], labels[arguments.samples :]),
    )


torch.manual_seed(3)
model = nn.Sequential(Slow(), nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
if arguments.native:
    job = elastic(
        model,
        optimizer,
        datasets()[0],
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        logical_workers=arguments.workers,
    )
    for epoch in job.epochs():
        for values, labels in epoch:
            job.backward(F.cross_entropy(model(values), labels))
else:
    FabricModel(model, datasets, F.cross_entropy, optimizer, user_callback=Gate()).train(
        arguments.epochs,
        arguments.batch_size,
        arguments.workers,
        scaleup_function=(lambda epoch, most: most if epoch < 2 else arguments.ask) if arguments.ask else None,
    )
