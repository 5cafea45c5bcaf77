"""A loop of the user's own, and the same computation as a FabricModel (TEST_API=fabric), to be compared bit for bit."""

import json
import os
import signal
import sys
import time
import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

import concertina.engine
import concertina.loading
from concertina import elastic
from script_common import note_buckets

warnings.simplefilter("ignore")
concertina.engine.PROGRESS_SECONDS = 0.0
concertina.loading.WORTH_SECONDS = 0.0
RESULTS = os.environ["RESULT_DIR"]
WORKER = os.environ.get("CONCERTINA_WORKER", "").rpartition(".")[2]
OWN = os.getpid()
EPOCHS = 4
CASE = os.environ.get("TEST_CASE", "")
note_buckets()


class Numbered(Dataset):
    def __init__(self, count=203):
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(count, 1, 8, 8, generator=generator)
        self.y = (self.x.flatten(1)[:, :5].sum(1) > 0).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        if os.getpid() != OWN:
            with open(os.path.join(RESULTS, f"loaders.{OWN}"), "w") as file:
                file.write("loading")
        return self.x[number] + torch.rand(()) * 0.01, self.y[number]


def gate(number):
    limit = time.monotonic() + 60.0
    while os.path.exists(os.path.join(RESULTS, "gate")):
        with open(os.path.join(RESULTS, "gate")) as file:
            if number < int(file.read() or 0):
                return
        if time.monotonic() > limit:
            raise RuntimeError("the gate did not open")
        time.sleep(0.001)


def note(name, *content):
    with open(os.path.join(RESULTS, f"{name}.jsonl"), "a") as file:
        file.write(json.dumps([WORKER, *content]) + "\n")


def meet(number):
    """What a test has planned for this step."""
    if f"{WORKER}:{number}" in os.environ.get("CONCERTINA_FAIL_AT", "").split(","):
        os.kill(os.getpid(), signal.SIGKILL)
    if CASE == f"raise {number}":
        raise ZeroDivisionError(f"the script is wrong at step {number}")
    gate(number)


def percent(outputs, labels):
    return float((outputs.argmax(1) == labels).sum()) * 100.0 / len(labels)


model = nn.Sequential(
    nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(54, 2)
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
if CASE.startswith("several"):
    optimizer = [torch.optim.SGD(model[:2].parameters(), lr=0.05, momentum=0.9), torch.optim.Adam(model[6].parameters(), lr=0.01)]

if os.environ.get("TEST_API") == "fabric":
    from fabric_model import FabricModel

    def step(model, data, eva, train_loader, fn_args):
        meet(fn_args["epoch"] * len(train_loader) + fn_args["step"])
        outputs = model(data[0])
        loss = F.cross_entropy(outputs, data[1])
        loss.backward()
        return percent(outputs, data[1]), loss

    FabricModel(model, lambda: (Numbered(), None), F.cross_entropy, optimizer, fn_step_train=step).train(EPOCHS, 8, 4)
    sys.exit(0)

scheduler = None
if CASE == "scheduler":
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda count: 0.97**count)
if CASE == "epochs":
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
job = elastic(
    model,
    optimizer,
    Numbered(),
    batch_size=8,
    epochs=EPOCHS,
    logical_workers=4,
    lr_scheduler=scheduler,
    lr_scheduler_interval="step" if CASE == "scheduler" else "epoch",
    clip_gradient_norm=0.5 if CASE == "scheduler" else None,
    loading_processes=3 if CASE == "ahead" else 0,
)
for epoch in job.epochs():
    for inputs, labels in epoch:
        meet(job.step)
        outputs = model(inputs)
        loss = F.cross_entropy(outputs, labels)
        if CASE == "no backward":
            continue
        if CASE == "no loss" or CASE == "reported":
            loss.backward()
        else:
            job.backward(loss)
        job.report(loss=loss if CASE == "reported" else None, accuracy=percent(outputs, labels))
        if CASE == "own step":
            optimizer.step()
        if CASE == "several, own step":
            optimizer[1].step()
        if CASE == "break" and job.step == 9:
            break
    if CASE == "exit" and epoch.number == 1:
        sys.exit(0)
    if epoch.leader:
        if f"{WORKER}:end{epoch.number}" == os.environ.get("TEST_DIE_AT_END"):
            os.kill(os.getpid(), signal.SIGKILL)
        model.eval()
        with torch.no_grad():
            x, y = Numbered(60)[0][0], Numbered(60).y[:1]
            tested = float(F.cross_entropy(model(x[None]), y))
        note("ends", epoch.number, tested.hex())
        epoch.report(tested, 50.0)
        epoch.save()
note("after", job.step)
if CASE == "twice":
    job.epochs()
