"""A LightningModule, or where Lightning is not installed a module of the same shape, trained by `concertina.lightning.fit`."""

import os
import signal
import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import concertina.engine
from concertina import elastic
from concertina.lightning import fit

try:
    from lightning.pytorch import LightningModule
except ImportError:
    LightningModule = nn.Module

warnings.simplefilter("ignore")
concertina.engine.PROGRESS_SECONDS = 0.0
WORKER = os.environ.get("CONCERTINA_WORKER", "").rpartition(".")[2]


class Classifier(LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
        self.steps = 0

    def training_step(self, batch, batch_idx):
        self.steps += 1
        if f"{WORKER}:{self.steps}" == os.environ.get("TEST_DIE_AT_BATCH"):
            os.kill(os.getpid(), signal.SIGKILL)
        x, y = batch
        outputs = self.layers(x)
        self.log("train_accuracy", (outputs.argmax(1) == y).float().mean())
        return F.cross_entropy(outputs, y)

    def validation_step(self, batch, batch_idx):
        assert not self.training and not torch.is_grad_enabled()
        x, y = batch
        outputs = self.layers(x)
        self.log_dict({"val_loss": F.cross_entropy(outputs, y), "val_accuracy": (outputs.argmax(1) == y).float().mean()})

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 60)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


generator = torch.Generator().manual_seed(1)
x = torch.randn(150, 8, generator=generator)
dataset = TensorDataset(x, (x[:, :3].sum(1) > 0).long())
module = Classifier()
if os.environ.get("TEST_API") == "native":
    configured = module.configure_optimizers()
    module.log = lambda *_: None
    job = elastic(
        module, configured["optimizer"], dataset, batch_size=5, epochs=6, logical_workers=3,
        lr_scheduler=configured["lr_scheduler"]["scheduler"], lr_scheduler_interval="step",
    )
    for epoch in job.epochs():
        for batch in epoch:
            job.backward(module.training_step(batch, 0))
else:
    loader = DataLoader(dataset, batch_size=5, shuffle=True)
    fit(module, loader, DataLoader(dataset, batch_size=40), epochs=6, logical_workers=3, accuracy="accuracy")
