"""Loss and accuracy of the test set, batch by batch, so that the workers of a job share the batches out.

Each batch is computed from the same weights, buffers and random numbers whoever computes it, and rank 0 adds up the batches in their
order: the figures do not depend on how many workers there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Subset

from concertina import partition, state
from concertina.batches import StepModel, fetched, moved, number, seed_randomness, split
from concertina.mesh import Group

# Mean loss of a batch, mean accuracy in percent, samples.
Row = tuple[float, float, int]


class Judge:
    """How a test set is judged. `batches` can be computed apart, by any worker; 0: one worker has to `run` it all.

    That is so for a stream, for no test set, and for a test function of the user's, which sees all batches at once unless it may be
    called for each (`apart`); `alone` is then a line that says so. Used by the training thread.
    """

    def __init__(
        self,
        model: Any,
        count: int,
        batch_size: int,
        test_function: Callable | None,
        accuracy: Callable,
        device: torch.device,
        seed: int,
        apart: bool,
    ):
        self._model = model
        self._count = count
        self._batch_size = batch_size
        self._test_function = test_function
        self._accuracy = accuracy
        self._device = device
        self._seed = seed
        self.batches = -(-count // batch_size) if test_function is None or apart else 0
        self.alone = ""
        if test_function is not None and not apart and count > batch_size:
            self.alone = "fn_test runs on one worker while the others wait; fn_test_per_batch=True shares its batches out."

    def _numbers(self, index: int) -> range:
        """The samples of one of the `batches`."""
        return range(index * self._batch_size, min(self._count, (index + 1) * self._batch_size))

    def _called(self, batches: Any, epoch: int) -> tuple[float, float]:
        result = self._test_function(self._model, batches, {"epoch": epoch, "device": self._device})
        pair = result if isinstance(result, (tuple, list)) else (result, 0.0)
        return number(pair[0]), number(pair[1]) if len(pair) > 1 else 0.0


class Evaluation(Judge):
    """The test set of a PyTorch model."""

    def __init__(
        self,
        model: StepModel,
        dataset: Any,
        batch_size: int,
        test_function: Callable | None,
        accuracy: Callable,
        device: torch.device,
        collate: Callable | None,
        seed: int,
        apart: bool = False,
    ):
        super().__init__(model, _length(dataset), batch_size, test_function, accuracy, device, seed, apart)
        self._dataset = dataset
        self._collate = collate

    def run(self, epoch: int) -> tuple[float, float] | None:
        """(loss, accuracy in percent), by this worker alone; None without a test set or samples."""
        if self._dataset is None:
            return None
        seed_randomness(partition.number_from("test", self._seed, epoch))
        batches = DataLoader(self._dataset, self._batch_size, shuffle=False, collate_fn=self._collate)
        module = self._model.module
        module.eval()
        try:
            with torch.no_grad(), self._model.precision.cast():
                if self._test_function is not None:
                    return self._called(batches, epoch)
                return mean([self._judged(data) for data in batches])
        finally:
            module.train()

    def batch(self, epoch: int, index: int) -> Row:
        """One of the `batches`, with random numbers of its own. Leaves the module in evaluation mode."""
        numbers = self._numbers(index)
        if self._model.module.training:
            self._model.module.eval()
        seed_randomness(partition.number_from("test data", self._seed, epoch, index))
        data = fetched(self._dataset, numbers, self._collate)
        seed_randomness(partition.number_from("test", self._seed, epoch, index))
        with torch.no_grad(), self._model.precision.cast():
            if self._test_function is None:
                return self._judged(data)
            loss, accuracy = self._called(OneBatch(self._dataset, numbers, data), epoch)
        return loss, accuracy, len(numbers)

    def _judged(self, data: Any) -> Row:
        inputs, labels = split(moved(data, self._device))
        outputs = self._model.module(*inputs)
        return number(self._model.get_loss_function()(outputs, labels)), number(self._accuracy(outputs, labels)), len(labels)


class OneBatch:
    """What a test function that may be called for each batch iterates over; `dataset` has this batch's samples alone."""

    def __init__(self, dataset: Any, numbers: range, data: Any):
        self.dataset = Subset(dataset, numbers)
        self.batch_size = len(numbers)
        self._data = data

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        return iter((self._data,))


def mean(rows: list[Row]) -> tuple[float, float] | None:
    """(loss, accuracy) over all samples, added up in the order of the rows; None when there are none."""
    losses, accuracies, count = 0.0, 0.0, 0
    for loss, accuracy, present in rows:
        losses += loss * present
        accuracies += accuracy * present
        count += present
    return (losses / count, accuracies / count) if count else None


def agree(group: Group, batches: int) -> int:
    """Rank 0 tells the others how many batches are to be evaluated now, which is returned; 0 when there is nothing to do."""
    told = torch.tensor([batches], dtype=torch.int64)
    others = [rank for rank in range(group.size) if rank != group.rank]
    if others and group.rank == 0:
        group.exchange({rank: [state.view(told)] for rank in others}, {})
    elif others:
        group.exchange({}, {0: [state.view(told)]})
    return int(told)


def gather(group: Group, batches: int, rows: list[Row]) -> list[Row]:
    """Rank 0 receives the rows of all batches, in their order; each worker gives those of its block."""
    blocks = [partition.block(batches, group.size, rank) for rank in range(group.size)]
    tables = [torch.zeros(len(block), 3, dtype=torch.float64) for block in blocks]
    if rows:
        tables[group.rank] = torch.tensor(rows, dtype=torch.float64)
    if group.rank != 0:
        group.exchange({0: [state.view(tables[group.rank])]}, {})
        return rows
    if group.size > 1:
        group.exchange({}, {rank: [state.view(tables[rank])] for rank in range(1, group.size)})
    return [(row[0], row[1], int(row[2])) for table in tables for row in table.tolist()]


def _length(dataset: Any) -> int:
    """Samples that can be reached by number; 0 for a stream."""
    if dataset is None or isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
        return 0
    try:
        return len(dataset)
    except TypeError:
        return 0
