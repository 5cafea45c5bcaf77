"""Handwritten digits in one process: an ordinary PyTorch script that records metrics and saves its model.

In Concertina: `./concertina submit PyTorch --model-dir examples/single --model-main main.py
--cs-datastore-meta type=fs,data_path=digits` with `digits.csv.gz` in the folder `digits` of the data folder.
"""

import argparse
import csv
import gzip
import os

import torch
from torch import nn
from torch.nn import functional as F

from emetrics import EMetrics


def datasets(folder):
    """Returns (images, labels) for training, then for testing; images are (N, 64) with values 0 to 1."""
    with gzip.open(os.path.join(folder, "digits.csv.gz"), "rt") as lines:
        rows = torch.tensor([[int(cell) for cell in row] for row in csv.reader(lines)])
    images, labels = rows[:, :-1].float() / 16, rows[:, -1]
    test = torch.arange(len(rows)) % 5 == 4
    return (images[~test], labels[~test]), (images[test], labels[test])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.1)
    arguments = parser.parse_args()

    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=arguments.lr, momentum=0.9)
    (images, labels), (test_images, test_labels) = datasets(os.environ["DATA_DIR"])
    with EMetrics.open(os.environ.get("SUBID") or "single") as metrics:
        for epoch in range(arguments.epochs):
            for batch in torch.randperm(len(images)).split(arguments.batch_size):
                optimizer.zero_grad()
                F.cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()
            with torch.no_grad():
                output = model(test_images)
            loss = F.cross_entropy(output, test_labels).item()
            accuracy = (output.argmax(1) == test_labels).float().mean().item()
            metrics.record(EMetrics.TEST_GROUP, epoch + 1, {"loss": loss, "accuracy": accuracy})
            print(f"epoch {epoch + 1}: test loss {loss:.5f}, test accuracy {100 * accuracy:.2f}", flush=True)

    torch.save(model.state_dict(), os.path.join(os.environ["RESULT_DIR"], "model", "digits.pth"))


if __name__ == "__main__":
    main()
