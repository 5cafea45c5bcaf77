"""The models of the steady-state benchmark, whose steps take tens of milliseconds on one processor, and their data."""

import torch
from torch import nn
from torch.utils.data import TensorDataset


class Transformer(nn.Module):
    """Three encoder layers without dropout over 64 tokens."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(256, 128)
        layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3)
        self.head = nn.Linear(128, 10)

    def forward(self, tokens):
        return self.head(self.encoder(self.embedding(tokens)).mean(1))


def cnn():
    """Four convolutions with BatchNorm on images of 3 × 32 × 32."""
    layers, channels = [], 3
    for width in (32, 64, 64, 128):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if width > 32 else []
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 10))


MODELS = {"cnn": cnn, "transformer": Transformer}


def made(name):
    """The model, the same in every process."""
    torch.manual_seed(1)
    return MODELS[name]()


def data(name, samples):
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(10, (samples,), generator=generator)
    if name == "cnn":
        return TensorDataset(torch.randn(samples, 3, 32, 32, generator=generator), labels)
    return TensorDataset(torch.randint(256, (samples, 64), generator=generator), labels)
