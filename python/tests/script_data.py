"""A training script whose data sets say who loads what and draw random numbers of every kind, as its model does also in tests."""

import json
import os
import random
import signal
import threading

import numpy
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

import concertina.engine
import concertina.loading
import concertina.membership
from callbacks import LoggerCallback
from fabric_model import FabricModel
from script_common import WORKER, die_where_told, wait_for_gate

concertina.engine.PROGRESS_SECONDS = 0.0
concertina.loading.WORTH_SECONDS = 0.0
concertina.membership.LOADING_SECONDS = float(os.environ.get("TEST_LOADING_SECONDS", "10"))
RESULTS = os.environ["RESULT_DIR"]
OWN = os.getpid()
EPOCHS = 3


def note(name, *content):
    with open(os.path.join(RESULTS, f"{name}.jsonl"), "a") as file:
        file.write(json.dumps(content) + "\n")


class Drawn(Dataset):
    def __init__(self, use, count, seed):
        generator = torch.Generator().manual_seed(seed)
        self.use = use
        self.x = torch.randn(count, 16, generator=generator)
        self.y = (self.x[:, :5].sum(1) > 0).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        note("loads", self.use, number, WORKER, os.getpid() == OWN, os.getpid())
        meet(self.use, number)
        drawn = torch.rand(16) + random.random() + float(numpy.random.rand())
        return self.x[number] + 0.1 * drawn, self.y[number]


def meet(use, number):
    """What a test has planned for this sample."""
    if use == "test" and f"{WORKER}:{number}" == os.environ.get("TEST_DIE_IN_TEST"):
        os.kill(os.getpid(), signal.SIGKILL)
    case, _, wanted = os.environ.get("TEST_CASE", "").partition(" ")
    if use != "train" or not case or number != int(wanted):
        return
    if case == "raise":
        raise ZeroDivisionError(f"sample {number} is wrong")
    if case == "hang" or (case == "stuck" and os.getpid() != OWN):
        threading.Event().wait()
    if case == "die" and os.getpid() != OWN:
        os.kill(os.getpid(), signal.SIGKILL)


class Net(nn.Module):
    """Draws and counts in tests too."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.3), nn.Linear(24, 2))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        if not self.training:
            x = x + 0.1 * torch.rand(x.shape) + 0.01 * self.calls
        return self.layers(x)


class Log(LoggerCallback):
    """Every figure, exactly; a step or a test may be logged again by another rank 0."""

    def __init__(self):
        self.gs = 0

    def log_train_metrics(self, loss, acc, completed_batch, worker=0):
        self.gs += 1
        note("figures", "train", self.gs, loss.hex(), acc.hex())

    def log_test_metrics(self, loss, acc, completed_batch, worker=0):
        note("figures", "test", self.gs, loss.hex(), acc.hex())


def step(model, data, eva, train_loader, fn_args):
    x, y = data
    number = fn_args["epoch"] * len(train_loader) + fn_args["step"]
    die_where_told(number)
    if not fn_args["logical_worker"]:
        wait_for_gate(number)
    outputs = model(x)
    loss = model.get_loss_function()(outputs, y)
    model.backward(loss)
    return eva(outputs, y), loss


def check(model, test_iter, fn_args):
    total = sum(float(F.cross_entropy(model(x), y, reduction="sum")) for x, y in test_iter)
    return total / len(test_iter.dataset)


options = {}
if os.environ.get("TEST_CHECK"):
    options = {"fn_test": check, "fn_test_per_batch": os.environ["TEST_CHECK"] == "apart"}
net = Net()
FabricModel(
    net,
    lambda: (Drawn("train", 101, 1), Drawn("test", int(os.environ.get("TEST_COUNT", "61")), 2)),
    F.cross_entropy,
    torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
    driver_logger=Log(),
    fn_step_train=step,
    **options,
).train(EPOCHS, 8, 4, num_dataloader_threads=int(os.environ.get("TEST_THREADS", "0")))
