"""The model of the pause and rescale benchmarks, the same for every system compared, and the digits it learns."""

from torch import nn

from network import datasets, network

__all__ = ["add_arguments", "datasets", "made"]


def add_arguments(parser):
    parser.add_argument("--width", type=int, default=32, help="channels of the convolutional network's first layer")
    parser.add_argument("--hidden", type=int, default=0, help="not 0: two dense layers of that width instead, four bytes times its square")


def made(arguments):
    if not arguments.hidden:
        return network(arguments.width, 0.25)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, arguments.hidden), nn.ReLU(), nn.Linear(arguments.hidden, arguments.hidden), nn.ReLU(),
        nn.Linear(arguments.hidden, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip
