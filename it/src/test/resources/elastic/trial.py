"""A trial of a search whose loss is the rate it was given. Trains slowly until the gate is open.

The trial of rate 0.1 goes ahead; the others begin to train when it was tested while each of them had a slot.
"""

import json
import os
import time

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from callbacks import Callback
from fabric_model import FabricModel

EPOCHS = 60
SHARED = os.environ.get("DATA_DIR", ".")
AHEAD, GATE = (os.path.join(SHARED, name) for name in ("ahead", "open"))
with open("config.json") as file:
    rate = json.load(file)["rate"]
good = rate == 0.1


class Slow(nn.Module):
    """Passes its input on, when training slowly until the gate is open, and counts in a file how many micro-batches this process has begun."""

    def __init__(self):
        super().__init__()
        self.seen = 0
        counts = os.path.join(os.environ["RESULT_DIR"], "counts")
        os.makedirs(counts, exist_ok=True)
        self.file = os.open(os.path.join(counts, str(os.getpid())), os.O_WRONLY | os.O_CREAT)

    def forward(self, values):
        if self.training:
            self.seen += 1
            os.pwrite(self.file, b"%12d\n" % self.seen, 0)
            if not os.path.exists(GATE):
                time.sleep(pace.seconds)
        return values


class Pace(Callback):
    """The later the epoch, the slower, so that no test has to be faster than the training."""

    seconds = 0.0

    def on_epoch_begin(self, epoch):
        self.seconds = 0.02 if epoch < 20 else 0.2


def test(model, batches, arguments):
    if good and sum(name.startswith("began-") for name in os.listdir(SHARED)) == 3:
        open(AHEAD, "w").close()
    return rate, 0.0


if not good:
    open(os.path.join(SHARED, f"began-{rate}"), "w").close()
while not good and not os.path.exists(AHEAD):
    time.sleep(0.02)
pace = Pace()
torch.manual_seed(1)
data = TensorDataset(torch.randn(64, 4), torch.randint(0, 2, (64,)))
model = nn.Sequential(Slow(), nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
FabricModel(model, lambda: (data, data), F.cross_entropy, optimizer, fn_test=test, user_callback=pace).train(EPOCHS, 4, 4)
