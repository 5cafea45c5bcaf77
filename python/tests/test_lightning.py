"""A LightningModule is as elastic as a loop of one's own; what cannot be honoured is refused by name."""

import re

import pytest
import torch
from harness import Job
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from concertina.lightning import fit

try:
    from lightning.pytorch import LightningModule
except ImportError:
    LightningModule = torch.nn.Module


def finished(job):
    job.run()
    assert job.failed is None, (job.failed, job.outputs())
    return job.done["weightsSha256"]


@pytest.fixture(scope="module")
def undisturbed(nursery, tmp_path_factory):
    job = Job(nursery, tmp_path_factory.mktemp("undisturbed"), script="script_lightning.py")
    job.grow_to(1)
    digest = finished(job)
    job.close()
    return digest, job.done


def test_its_figures_reach_the_platform_and_its_weights_are_those_of_the_same_loop(job, undisturbed):
    digest, done = undisturbed
    assert done["step"] == 60 and done["testAccuracy"] > 85.0 and 0.0 < done["testLoss"] < 0.6
    running = job(script="script_lightning.py", TEST_API="native")
    running.grow_to(2)
    assert finished(running) == digest


@pytest.mark.parametrize("options", [{}, {"TEST_DIE_AT_BATCH": "1:17"}, {"TEST_DIE_AT_BATCH": "2:31"}])
def test_three_workers_and_deaths_change_nothing(job, undisturbed, options):
    running = job(script="script_lightning.py", **options)
    running.grow_to(3)
    assert finished(running) == undisturbed[0]
    assert running.done["testLoss"] == undisturbed[1]["testLoss"]
    if options:
        assert -9 in {worker.code for worker in running.workers.values()}
    told = {each["step"]: each["accuracy"] for each in running.of_type("progress")}
    assert max(told.values()) > 80.0


class Plain(LightningModule):
    def __init__(self, configured=None):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        self.configured = configured or (lambda optimizer: optimizer)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).sum()

    def configure_optimizers(self):
        return self.configured(torch.optim.SGD(self.parameters(), lr=0.1))


class OwnStep(Plain):
    def optimizer_step(self, *_):
        pass


class Manual(Plain):
    automatic_optimization = False


data = TensorDataset(torch.randn(12, 2))
loader = DataLoader(data, batch_size=4)


@pytest.mark.parametrize(
    "module,train,message",
    [
        (torch.nn.Linear(1, 1), loader, "module is a Linear without training_step; accepted is a LightningModule"),
        (OwnStep(), loader, "OwnStep has a optimizer_step; accepted are training_step"),
        (Manual(), loader, "automatic_optimization is False; accepted is True"),
        (Plain(), data, "train is a TensorDataset; accepted is a DataLoader with a batch size"),
        (Plain(), DataLoader(data, batch_size=5, drop_last=True), "train has drop_last; accepted is a DataLoader that goes through"),
        (Plain(), DataLoader(data, sampler=WeightedRandomSampler([1.0] * 12, 5)), "train has a WeightedRandomSampler; accepted"),
        (Plain(lambda optimizer: [optimizer, optimizer]), loader, "returned 2 optimizers and 1 schedulers; accepted are one"),
        (
            Plain(lambda one: {"optimizer": one, "lr_scheduler": {"scheduler": None, "frequency": 3}}),
            loader,
            "the scheduler's frequency is 3; accepted is 1",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused(module, train, message, monkeypatch):
    monkeypatch.delenv("CONCERTINA_CONTROL", raising=False)
    if module.__class__ is Manual and LightningModule is not torch.nn.Module:
        module.__class__.automatic_optimization = False
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(module, train, epochs=1)
