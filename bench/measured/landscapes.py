"""Functions with a known least value to search on, and the training of a small network.

A parameter is (kind, name, ...): ("real", name, low, high), ("log", name, low, high), ("whole", name, low, high) or
("choice", name, values); one more entry (parent, value) says under which value of an earlier parameter it exists.
Domains are the ones commonly used, except that none has its optimum in the middle: a search that begins there would win without searching.
"""

import functools
import math


class Landscape:
    """A space, what to minimise in it, and the least value, which is 0 where nobody knows it."""

    def __init__(self, name, parameters, loss, least):
        self.name = name
        self.parameters = parameters
        self.loss = loss
        self.least = least


def branin(x, y):
    inner = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return inner**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10


BRANIN_LEAST = 0.39788735772973816

HARTMANN_WEIGHTS = (1.0, 1.2, 3.0, 3.2)
HARTMANN_SHAPES = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
HARTMANN_CENTRES = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def hartmann(x):
    total = 0.0
    for weight, shape, centre in zip(HARTMANN_WEIGHTS, HARTMANN_SHAPES, HARTMANN_CENTRES):
        total -= weight * math.exp(-sum(a * (u - c) ** 2 for a, u, c in zip(shape, x, centre)))
    return total


def rosenbrock(x):
    return sum(100 * (after - before**2) ** 2 + (1 - before) ** 2 for before, after in zip(x, x[1:]))


def ackley(x):
    squares = sum(u**2 for u in x) / len(x)
    waves = sum(math.cos(2 * math.pi * u) for u in x) / len(x)
    return -20 * math.exp(-0.2 * math.sqrt(squares)) - math.exp(waves) + 20 + math.e


def coordinates(point, size):
    return [point[f"x{i}"] for i in range(size)]


def reals(size, low, high):
    return [("real", f"x{i}", low, high) for i in range(size)]


def mixed(point):
    """Ackley's function of two numbers, a rate on a logarithmic scale, a whole number and a word; the word moves the optimum."""
    shift, penalty = {"relu": (0, 0), "tanh": (1, 0.5), "sigmoid": (-2, 2), "linear": (3, 4)}[point["activation"]]
    x = [point["x0"] - shift, point["x1"] - 3, 2 * (math.log10(point["rate"]) + 3), (point["layers"] - 5) / 2]
    return ackley(x) + penalty


def mixed_rosenbrock(point):
    """Rosenbrock's function of two real and two whole numbers, and three words in no order of which one is worst."""
    x = [point["x0"], point["x1"], point["whole0"], point["whole1"]]
    return rosenbrock(x) / 100 + {"c": 0, "a": 3, "d": 10, "b": 30}[point["word"]]


def conditional(point):
    """Three methods with parameters of their own; the best one is hard to tune."""
    if point["method"] == "network":
        value = branin(math.log10(point["rate"]) * 3 + 10, point["depth"]) / 10 - BRANIN_LEAST / 10
    elif point["method"] == "trees":
        value = 0.5 + (point["leaves"] - 37) ** 2 / 400 + 4 * (point["fraction"] - 0.3) ** 2
    else:
        value = 1 + (math.log10(point["penalty"]) + 1) ** 2 / 4
    return value + (point["common"] - 0.2) ** 2 * 3


CONDITIONAL_PARAMETERS = [
    ("choice", "method", ["linear", "trees", "network"]),
    ("real", "common", 0.0, 1.0),
    ("log", "rate", 1e-5, 1.0, ("method", "network")),
    ("real", "depth", 0.0, 15.0, ("method", "network")),
    ("whole", "leaves", 2, 100, ("method", "trees")),
    ("real", "fraction", 0.0, 1.0, ("method", "trees")),
    ("log", "penalty", 1e-4, 1e4, ("method", "linear")),
]

LANDSCAPES = [
    Landscape("branin", [("real", "x0", -5.0, 10.0), ("real", "x1", 0.0, 15.0)], lambda p: branin(p["x0"], p["x1"]), BRANIN_LEAST),
    Landscape("hartmann-6", reals(6, 0.0, 1.0), lambda p: hartmann(coordinates(p, 6)), -3.32236801141551),
    Landscape("rosenbrock-5", reals(5, -5.0, 10.0), lambda p: rosenbrock(coordinates(p, 5)), 0.0),
    Landscape("rosenbrock-20", reals(20, -5.0, 10.0), lambda p: rosenbrock(coordinates(p, 20)), 0.0),
    Landscape("ackley-10", reals(10, -15.0, 30.0), lambda p: ackley(coordinates(p, 10)), 0.0),
    Landscape(
        "mixed-ackley",
        [
            ("real", "x0", -10.0, 20.0),
            ("real", "x1", -10.0, 20.0),
            ("log", "rate", 1e-6, 1e2),
            ("whole", "layers", 1, 16),
            ("choice", "activation", ["sigmoid", "relu", "linear", "tanh"]),
        ],
        mixed,
        0.0,
    ),
    Landscape(
        "mixed-rosenbrock",
        [
            ("real", "x0", -5.0, 10.0),
            ("real", "x1", -5.0, 10.0),
            ("whole", "whole0", -5, 10),
            ("whole", "whole1", -5, 10),
            ("choice", "word", ["a", "b", "c", "d"]),
        ],
        mixed_rosenbrock,
        0.0,
    ),
    Landscape("conditional", CONDITIONAL_PARAMETERS, conditional, 0.0),
]


def digits_images():
    """Images of digits, as scikit-learn has them or else drawn: strokes of seven segments, moved, thinned and with noise."""
    import numpy

    try:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        return images.astype("float32") / 16, labels
    except ImportError:
        pass
    segments = ("1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011")
    strokes = ((0, 1, 1, 5), (1, 0, 4, 1), (1, 5, 4, 6), (3, 1, 4, 5), (4, 0, 7, 1), (4, 5, 7, 6), (6, 1, 7, 5))
    random = numpy.random.default_rng(8)
    labels = random.integers(0, 10, 1797)
    images = random.normal(0.2, 0.25, (1797, 8, 8))
    for image, label in zip(images, labels):
        down, right = random.integers(0, 2), random.integers(0, 3)
        for on, (top, left, bottom, end) in zip(segments[label], strokes):
            if on == "1" and random.random() > 0.08:
                image[top + down : bottom + down, left + right : end + right] += random.uniform(0.3, 0.8)
    return images.clip(0, 1).reshape(1797, 64).astype("float32"), labels


@functools.cache
def digits_tensors():
    import numpy
    import torch

    torch.set_num_threads(1)
    images, labels = digits_images()
    order = numpy.random.default_rng(1).permutation(len(images))
    images, labels = torch.tensor(images[order]), torch.tensor(labels[order].astype("int64"))
    return images[:1000], labels[:1000], images[1000:], labels[1000:]


def digits(point):
    """Validation loss of a network trained for a few epochs; the same for the same point."""
    import torch

    images, labels, unseen, unseen_labels = digits_tensors()
    random = torch.Generator().manual_seed(3)
    torch.manual_seed(3)
    layers, width = [], 64
    for _ in range(point["layers"]):
        layers += [torch.nn.Linear(width, point["units"]), torch.nn.ReLU(), torch.nn.Dropout(point["dropout"])]
        width = point["units"]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))
    if point["optimizer"] == "sgd":
        optimizer = torch.optim.SGD(
            network.parameters(), point["rate"], momentum=point["momentum"], weight_decay=point["decay"], nesterov=point["momentum"] > 0
        )
    else:
        optimizer = torch.optim.AdamW(network.parameters(), point["rate"], weight_decay=point["decay"])
    batch = point["batch"]
    for _ in range(5):
        order = torch.randperm(len(images), generator=random)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(network(unseen), unseen_labels).item()
    return min(loss, 10.0) if math.isfinite(loss) else 10.0


LANDSCAPES.append(
    Landscape(
        "digits",
        [
            ("log", "rate", 1e-5, 1.0),
            ("log", "decay", 1e-6, 0.1),
            ("real", "dropout", 0.0, 0.6),
            ("whole", "layers", 1, 3),
            ("whole", "units", 8, 128),
            ("choice", "batch", [16, 32, 64, 128]),
            ("choice", "optimizer", ["sgd", "adam"]),
            ("real", "momentum", 0.0, 0.99, ("optimizer", "sgd")),
        ],
        digits,
        0.0,
    )
)

BY_NAME = {landscape.name: landscape for landscape in LANDSCAPES}
