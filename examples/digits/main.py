"""Handwritten digits on a small convolutional network, as an elastic job.

In Concertina: `./concertina submit edtPyTorch --model-dir examples/digits --model-main main.py --numWorker 4`.
By itself: `PYTHONPATH=python python3 examples/digits/main.py`. Both end with the same weights.
"""

import argparse

import torch
from torch.nn import functional as F

from fabric_model import FabricModel
from network import datasets, network


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=16, help="images per logical worker and step")
    parser.add_argument("--workers", type=int, default=4, help="logical workers, the most that can run at once")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--dropout", type=float, default=0.25)
    parser.add_argument("--width", type=int, default=16, help="channels of the first layer")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    model = network(arguments.width, arguments.dropout)
    optimizer = torch.optim.SGD(model.parameters(), lr=arguments.lr, momentum=arguments.momentum)
    fabric = FabricModel(model, datasets, F.nll_loss, optimizer)
    fabric.train(arguments.epochs, arguments.batch_size, arguments.workers, checkpoint_freq=1)


if __name__ == "__main__":
    main()
