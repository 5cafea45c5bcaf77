"""Handwritten digits in a training loop of one's own, made elastic.

In Concertina: `./concertina submit edtPyTorch --model-dir examples/native --model-main main.py --numWorker 4 --cs-datastore-meta
type=fs,data_path=digits`. By itself: `DATA_DIR=examples/digits PYTHONPATH=python python3 examples/native/main.py`. Both end with the
same weights.
"""

import argparse
import csv
import gzip
import os

import torch
from concertina import elastic
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset


def digits(part):
    """Images (N, 1, 8, 8) from 0 to 1 and labels; every fifth image is for testing."""
    with gzip.open(os.path.join(os.environ.get("DATA_DIR", "."), "digits.csv.gz"), "rt") as lines:
        rows = torch.tensor([[int(cell) for cell in row] for row in csv.reader(lines)])
    test = torch.arange(len(rows)) % 5 == 4
    rows = rows[test if part == "test" else ~test]
    return TensorDataset(rows[:, :-1].reshape(-1, 1, 8, 8).float() / 16, rows[:, -1])


def percent(outputs, labels):
    return (outputs.argmax(1) == labels).float().mean() * 100


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--batch-size", type=int, default=16, help="images per logical worker and step")
arguments = parser.parse_args()

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.25), nn.Linear(256, 10)
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)

job = elastic(
    model,
    optimizer,
    digits("train"),
    batch_size=arguments.batch_size,
    epochs=arguments.epochs,
    logical_workers=4,
    lr_scheduler=scheduler,
)
test_images, test_labels = (each.to(job.device) for each in digits("test").tensors)
for epoch in job.epochs():
    for images, labels in epoch:
        outputs = model(images)
        job.backward(F.cross_entropy(outputs, labels))
        job.report(accuracy=percent(outputs, labels))
    if epoch.leader:
        model.eval()
        with torch.no_grad():
            outputs = model(test_images)
        accuracy = percent(outputs, test_labels)
        epoch.report(F.cross_entropy(outputs, test_labels), accuracy)
        print(f"epoch {epoch.number}: test accuracy {accuracy:.2f}", flush=True)

print(f"trained in {job.step} steps", flush=True)
