"""Scripts that are wrong, or that meet a node that is, by name."""

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from callbacks import Callback, LoggerCallback
from fabric_model import FabricModel

name = sys.argv[1]
results = Path(os.environ["RESULT_DIR"])
ordinal = int(os.environ["CONCERTINA_WORKER"].rpartition(".")[2])
width = 30_000 if name in ("checkpoint-disk", "model-disk") else 8
lock = threading.Lock()

if name == "no-training":
    print("nothing to train")
    sys.exit(0)
if name == "print":
    for number in range(200_000):
        print("line", number, "x" * 100)
if name == "fork-and-return" and os.fork() == 0:
    (results / "child").write_text(str(os.getpid()))
if name == "fork-and-stay" and os.fork() == 0:
    os.setsid()
    (results / "child").write_text(str(os.getpid()))
    time.sleep(100_000)
if name == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if name == "checkpoint-disk":
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_200_000, resource.RLIM_INFINITY))
if name == "model-disk":
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))


class Samples(Dataset):
    def __init__(self, length):
        self.length = length
        self.read = 0

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.read += 1
        if name == "deadlock" and ordinal == 2 and self.read == 100:
            lock.acquire()
            lock.acquire()
        return torch.full((4,), index / self.length), index % 2


class Middle(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, values):
        if self.training:
            self.seen += 1
            time.sleep(0.01)
            if name == "stop" and self.seen == 5 and not (results / "stopped").exists():
                (results / "stopped").touch()
                os.kill(os.getpid(), signal.SIGSTOP)
            if name == "fork-in-a-step" and self.seen == 5 and os.fork() == 0:
                (results / "child").write_text(str(os.getpid()))
        return values


class Failing(Callback):
    def on_epoch_end(self, epoch, test_model=False):
        if name == "callback":
            raise RuntimeError("the callback fails here")


class FailingLogger(LoggerCallback):
    def log_train_metrics(self, metrics, iteration, epoch, workers=0):
        raise RuntimeError("the logger fails here")


model = nn.Sequential(Middle(), nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))
FabricModel(
    model,
    lambda: (Samples(256), Samples(16)),
    F.cross_entropy,
    torch.optim.Adam(model.parameters()),
    user_callback=[Failing()],
    driver_logger=FailingLogger() if name == "logger" else None,
).train(10_000 if name == "deaf" else 2, 4, 2)
print("the script goes on after training")
