"""Computing micro-batches: samples in, a gradient, a loss and an accuracy out."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import IterableDataset, TensorDataset, default_collate

from concertina import loading, partition
from concertina.loading import Ahead
from concertina.optimizing import LossScale, Precision


class Modes:
    """Which parts of a module train and which only evaluate: the script's choice, no part of the state that workers pass on."""

    def __init__(self, module: torch.nn.Module):
        self._parts = list(module.modules())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Put back at the end what changed inside, for other workers do not know of it."""
        before = [each.training for each in self._parts]
        try:
            yield
        finally:
            for each, training in zip(self._parts, before):
                if each.training != training:
                    each.training = training


class StepModel:
    """The user's module as custom step and test functions see it: it behaves like the module and knows optimizer and loss."""

    def __init__(
        self,
        module: torch.nn.Module,
        optimizer: Any,
        loss_function: Callable,
        precision: Precision | None = None,
        scale: LossScale | None = None,
    ):
        self.module = module
        self.precision = precision or Precision(None, torch.device("cpu"))
        self.scale = scale
        self.backwards = 0
        self._optimizer = optimizer
        self._loss_function = loss_function

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        return self.module(*inputs, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["module"], name)

    def backward(self, loss: torch.Tensor) -> None:
        """loss.backward(), with the loss scale where there is one."""
        self.backwards += 1
        (loss if self.scale is None else loss * self.scale.value).backward()

    def get_optimizer(self) -> Any:
        return self._optimizer

    def get_loss_function(self) -> Callable:
        return self._loss_function


class Samples:
    """The training set as (step, logical worker) → batch; the same whoever asks. Loads ahead of the step in so many `processes`."""

    ahead: Ahead | None = None

    def __init__(
        self,
        dataset: Any,
        step_samples: int,
        logical_workers: int,
        seed: int,
        collate: Callable | None,
        processes: int = 0,
        patience: float = loading.PATIENCE_SECONDS,
    ):
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
            raise ValueError(
                f"datasets_function returned a {type(dataset).__name__} for training; accepted is a data set with __len__ and "
                "__getitem__, because a sample must be reachable by its number from whichever worker computes it"
            )
        self.dataset = dataset
        self._lay_out(len(dataset), step_samples, logical_workers, seed)
        self._collate = collate
        if type(dataset) is not TensorDataset or collate is not None:
            self.ahead = Ahead(self._fresh, processes, patience)

    def _lay_out(self, count: int, step_samples: int, logical_workers: int, seed: int) -> None:
        self.count = count
        if count < 1:
            raise ValueError("datasets_function returned a training set with 0 samples; accepted is at least 1")
        self.step_samples = step_samples
        self.logical_workers = logical_workers
        self.steps_per_epoch = partition.steps_per_epoch(self.count, step_samples)
        self.full_slice = -(-step_samples // logical_workers)
        self._seed = seed
        self._epoch = -1
        self._order: torch.Tensor = torch.empty(0, dtype=torch.int64)

    def slices(self, step: int) -> list[range]:
        """Positions in the epoch's order that each logical worker takes in this step (counted over all epochs)."""
        start = step % self.steps_per_epoch * self.step_samples
        present = min(self.step_samples, self.count - start)
        return [
            range(start + part.start, start + part.stop) if part else part
            for part in partition.slices(present, self.logical_workers, min(2, self.full_slice))
        ]

    def ids(self, step: int, positions: range) -> torch.Tensor:
        """Sample ids at these positions of the step's epoch."""
        epoch = step // self.steps_per_epoch
        if epoch != self._epoch:
            self._order = partition.order(self._seed, epoch, self.count)
            self._epoch = epoch
        return self._order[positions.start : positions.stop]

    def load(self, step: int, positions: range) -> Any:
        """The collated batch of these positions; random transformations must have been seeded before."""
        return fetched(self.dataset, self.ids(step, positions), self._collate)

    def batch(self, step: int, logical_worker: int, positions: range, device: torch.device) -> Any:
        """What `load` gives, on the device, with all random numbers as they are for this micro-batch on any worker."""
        data = self.load(step, positions) if self.ahead is None else self.ahead.take((step, logical_worker))
        seed_randomness(partition.number_from("compute", self._seed, step, logical_worker))
        return data if device.type == "cpu" else moved(data, device)

    def expect(self, step: int, block: range, following: range, steps: int) -> None:
        """This worker is about to compute `block` of `step`, and `following` of the steps after it, before `steps`."""
        if self.ahead is not None:
            keys = self._keys(step, block)
            most = len(keys) + max(self.ahead.depth, len(following))
            while len(keys) < most and step + 1 < steps:
                step += 1
                keys += self._keys(step, following)
            self.ahead.expect(keys[:most])

    def hold(self, step: int, block: range, steps: int) -> bool:
        """Load `block` of this step and of the one after it, before `steps`. Whether the first of them was at hand already."""
        if self.ahead is None or step >= steps:
            return True
        self.expect(step, block, block, steps)
        first = [self.ahead.hold(key) for key in self._keys(step, block)]
        if step + 1 < steps:
            for key in self._keys(step + 1, block):
                self.ahead.hold(key)
        return all(first)

    def close(self) -> None:
        if self.ahead is not None:
            self.ahead.close()

    def _keys(self, step: int, block: range) -> list[tuple[int, int]]:
        slices = self.slices(step)
        return [(step, logical_worker) for logical_worker in block if slices[logical_worker]]

    def _fresh(self, step: int, logical_worker: int) -> Any:
        seed_randomness(partition.number_from("data", self._seed, step, logical_worker))
        with loading.one_thread():
            return self.load(step, self.slices(step)[logical_worker])


def fetched(dataset: Any, ids: torch.Tensor | range, collate: Callable | None) -> Any:
    """The samples of these numbers, collated."""
    if type(dataset) is TensorDataset and collate is None:
        chosen = torch.as_tensor(ids)
        return [tensor[chosen] for tensor in dataset.tensors]
    numbers = ids.tolist() if isinstance(ids, torch.Tensor) else list(ids)
    collate = collate or default_collate
    if hasattr(dataset, "__getitems__"):
        return collate(dataset.__getitems__(numbers))
    return collate([dataset[each] for each in numbers])


def seed_randomness(number: int) -> None:
    """Seed torch, random and, where it is loaded, numpy.

    The generators are seeded one by one because torch.manual_seed formats a stack trace for a GPU that may not be in use.
    """
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)
    random.seed(number)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(number & 0xFFFFFFFF)


def moved(data: Any, device: torch.device) -> Any:
    """`data` with every tensor in it on the device."""
    if isinstance(data, torch.Tensor):
        return data.to(device, non_blocking=True)
    if isinstance(data, dict):
        return {key: moved(value, device) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(moved(value, device) for value in data))
    if isinstance(data, (list, tuple)):
        return type(data)(moved(value, device) for value in data)
    return data


def split(data: Any) -> tuple[tuple, Any]:
    """Inputs and labels of a batch: the last element is the labels, all before go into the model."""
    if not isinstance(data, (list, tuple)) or len(data) < 2:
        raise ValueError(
            f"a batch is a {type(data).__name__}; accepted without fn_step_train and fn_test is a tuple or list of inputs and labels"
        )
    return tuple(data[:-1]), data[-1]


@torch.no_grad()
def accuracy_percent(outputs: Any, labels: Any) -> float:
    """Share of samples whose greatest output is the label, in percent; 0.0 where that has no meaning, as in regression.

    outputs (n, classes, …), labels (n, …) of class numbers or (n, classes) one-hot; or outputs (n) or (n, 1) of logits or
    probabilities is not judged.
    """
    if not isinstance(outputs, torch.Tensor) or not isinstance(labels, torch.Tensor) or outputs.dim() < 2 or not labels.numel():
        return 0.0
    predicted = outputs.argmax(1)
    if labels.dim() == outputs.dim() and labels.shape == outputs.shape and outputs.shape[1] > 1:
        labels = labels.argmax(1)
    if labels.is_floating_point() or labels.shape != predicted.shape:
        return 0.0
    return float((predicted == labels).sum()) * 100.0 / labels.numel()


class MicroBatches:
    """Runs the user's step function for one logical worker at a time, always from the same weights, buffers and random numbers.

    Used by the training thread. Gradients are left in the parameters' `grad`.
    """

    def __init__(
        self,
        model: StepModel,
        samples: Samples,
        step_function: Callable | None,
        accuracy: Callable,
        device: torch.device,
        loader: Any,
    ):
        self._model = model
        self._samples = samples
        self._step_function = step_function or self._plain_step
        self._accuracy = accuracy
        self._custom = step_function is not None
        self._device = device
        self._loader = loader
        self._modes = Modes(model.module)

    def compute(self, step: int, logical_worker: int, positions: range) -> tuple[float, float]:
        """Loss and accuracy in percent of one micro-batch."""
        epoch = step // self._samples.steps_per_epoch
        data = self._samples.batch(step, logical_worker, positions, self._device)
        arguments = {
            "epoch": epoch,
            "step": step % self._samples.steps_per_epoch,
            "logical_worker": logical_worker,
            "batch_size": len(positions),
            "device": self._device,
        }
        backwards = self._model.backwards
        with self._modes.kept(), self._model.precision.cast():
            result = self._step_function(self._model, data, self._accuracy, self._loader, arguments)
        if self._model.scale is not None and self._model.backwards == backwards:
            raise ValueError(
                "fn_step_train did not call model.backward(loss); with mixed_precision 'fp16' accepted is that instead of "
                "loss.backward(), because the loss must be scaled"
            )
        if self._custom and not (isinstance(result, (tuple, list)) and len(result) == 2):
            raise ValueError(f"fn_step_train returned a {type(result).__name__}; accepted is a tuple (accuracy in percent, loss)")
        return number(result[1]), number(result[0])

    def _plain_step(self, model: StepModel, data: Any, accuracy: Callable, loader: Any, arguments: dict) -> tuple:
        inputs, labels = split(data)
        outputs = model.module(*inputs)
        loss = model.get_loss_function()(outputs, labels)
        model.backward(loss)
        return accuracy(outputs, labels), loss


def number(value: Any) -> float:
    """A number or a tensor of one element as a float."""
    return float(value.detach() if isinstance(value, torch.Tensor) else value)
