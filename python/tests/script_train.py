"""The training script that the tests' workers run; its environment chooses model, optimizer and where it kills itself."""

import json
import os
import signal
import sys

import torch
import torch.nn.functional as F
from torch import nn

import concertina.engine
from callbacks import LoggerCallback
from fabric_model import FabricModel
from script_common import WORKER, Numbered, be_short_of_memory, die_where_told, note_stops, note_transfers, wait_for_gate

concertina.engine.PROGRESS_SECONDS = 0.0
EPOCHS = int(os.environ.get("TEST_EPOCHS", "4"))
SAMPLES = int(os.environ.get("TEST_SAMPLES", "203"))
WIDTH = int(os.environ.get("TEST_WIDTH", "32"))
be_short_of_memory()
note_stops()
note_transfers()


class Mlp(nn.Module):
    shape = (16,)

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(16, WIDTH), nn.ReLU(), nn.Dropout(0.3), nn.Linear(WIDTH, 3))
        self.idle = nn.Linear(2, 2)

    def forward(self, x):
        return F.log_softmax(self.layers(x), 1)


class Cnn(nn.Module):
    shape = (1, 8, 8)

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 3)
        )

    def forward(self, x):
        return F.log_softmax(self.layers(x), 1)


class Curve(LoggerCallback):
    """Writes every step's loss, exactly, and counts steps across changes of rank 0."""

    def __init__(self):
        self.gs = 0
        self.seen = []

    def on_train_begin(self):
        self.file = open(os.path.join(os.environ["RESULT_DIR"], "curve.jsonl"), "a")

    def log_train_metrics(self, loss, acc, completed_batch, worker=0):
        self.gs += 1
        self.seen.append(completed_batch)
        optimizer.param_groups[0]["lr"] *= float(os.environ.get("TEST_DECAY", "1"))
        self.file.write(json.dumps([self.gs, completed_batch, loss.hex(), acc.hex(), len(self.seen)]) + "\n")
        self.file.flush()


def step(model, data, eva, train_loader, fn_args):
    x, y, ids = data
    number = fn_args["epoch"] * len(train_loader) + fn_args["step"]
    die_where_told(number)
    if os.environ.get("TEST_RAISE_AT") == str(number):
        raise ZeroDivisionError(f"the script is wrong at step {number}")
    if not fn_args["logical_worker"]:
        wait_for_gate(number)
    computed.write(json.dumps([number, fn_args["logical_worker"], ids.tolist()]) + "\n")
    computed.flush()
    output = model(x)
    loss = model.get_loss_function()(output, y)
    scale = float(os.environ.get("TEST_SPIKE", "1"))
    (loss * (scale if number % 10 == 7 else 1.0)).backward()
    return eva(output, y), loss


def test(model, test_iter, fn_args):
    if WORKER == os.environ.get("TEST_DIE_IN_FINAL_TEST") and fn_args["epoch"] + 1 == EPOCHS:
        os.kill(os.getpid(), signal.SIGKILL)
    total = sum(float(F.nll_loss(model(x), y, reduction="sum")) for x, y, _ in test_iter)
    return total / len(test_iter.dataset)


kind = {"mlp": Mlp, "cnn": Cnn}[os.environ.get("TEST_MODEL", "mlp")]
computed = open(os.path.join(os.environ["RESULT_DIR"], f"computed.{os.getpid()}"), "a")
net = kind()
if os.environ.get("TEST_OPTIMIZER", "adam") == "adam":
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
else:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
fabric = FabricModel(
    net,
    lambda: (Numbered(SAMPLES, kind.shape, 1), Numbered(60, kind.shape, 2)),
    F.nll_loss,
    optimizer,
    driver_logger=Curve(),
    fn_step_train=step,
    fn_test=test,
)
fabric.train(EPOCHS, 8, int(os.environ.get("TEST_ENGINES", "4")), validation_freq=2)
print("after train", file=sys.stderr)
if os.environ.get("TEST_TWICE"):
    fabric.train(EPOCHS, 8)
