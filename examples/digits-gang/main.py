"""Handwritten digits on a gang of processes that start and end together: plain DistributedDataParallel over gloo.

In Concertina: `./concertina submit distPyTorch --model-dir examples/digits-gang --model-main main.py --numWorker 2
--cs-datastore-meta type=fs,data_path=digits` with `digits.csv.gz` in the folder `digits` of the data folder.
"""

import argparse
import csv
import gzip
import os

import torch
import torch.distributed as distributed
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


def datasets(folder):
    """Returns (train, test): images of shape (64,) with values 0 to 1, labels 0 to 9. Every fifth image is for testing."""
    with gzip.open(os.path.join(folder, "digits.csv.gz"), "rt") as lines:
        rows = torch.tensor([[int(cell) for cell in row] for row in csv.reader(lines)])
    images, labels = rows[:, :-1].float() / 16, rows[:, -1]
    test = torch.arange(len(rows)) % 5 == 4
    return TensorDataset(images[~test], labels[~test]), TensorDataset(images[test], labels[test])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16, help="images per process and step")
    parser.add_argument("--lr", type=float, default=0.1)
    arguments = parser.parse_args()

    distributed.init_process_group("gloo")
    rank, size = distributed.get_rank(), distributed.get_world_size()
    print(f"WORLD_SIZE={size}, RANK={rank}", flush=True)

    torch.manual_seed(1)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)))
    optimizer = torch.optim.SGD(model.parameters(), lr=arguments.lr, momentum=0.9)
    train, test = datasets(os.environ["DATA_DIR"])
    sampler = DistributedSampler(train, seed=1)
    loader = DataLoader(train, arguments.batch_size, sampler=sampler)
    for epoch in range(arguments.epochs):
        sampler.set_epoch(epoch)
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        total = loss.detach().clone()
        distributed.all_reduce(total)
        print(f"rank {rank}: epoch {epoch}, mean loss over the gang {total.item() / size:.5f}", flush=True)

    images, labels = test.tensors
    with torch.no_grad():
        accuracy = 100 * (model(images).argmax(1) == labels).float().mean().item()
    print(f"rank {rank}: test accuracy {accuracy:.2f}", flush=True)
    if rank == 0:
        torch.save(model.module.state_dict(), os.path.join(os.environ["RESULT_DIR"], "model", "digits.pth"))
    # The group must not outlive destroy_process_group inside the model: its last owner then ends gloo's threads while it holds the
    # interpreter's lock, for which those threads may be waiting.
    del model
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
