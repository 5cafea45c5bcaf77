"""Training and test sets as Keras users write them, each made into numbered samples.

A source has `count`, `order(epoch)` (a permutation of sample numbers, int64) and `take(numbers, epoch)` → (inputs, labels) as numpy
arrays, or nests of arrays, whose first dimension is the number of samples. What it yields depends on its arguments alone.
"""

from __future__ import annotations

from typing import Any

import numpy
import tensorflow
import torch

from concertina import batches, partition

ACCEPTED = (
    "arrays (x, y), ImageDataGenerator.flow(x, y), a keras.utils.PyDataset or Sequence, or a tf.data.Dataset of known, finite size"
)
# Batches of a PyDataset that are kept: a slice of samples ends in one batch and begins in the next.
KEPT_BATCHES = 4


def source_of(data: Any, model: Any, use: str, seed: int) -> Any:
    """The source for what `datasets_function` returned. Raises ValueError with the accepted kinds."""
    if isinstance(data, tensorflow.data.Dataset):
        return _from_dataset(data, use, seed)
    if hasattr(data, "_get_batches_of_transformed_samples") and hasattr(data, "n"):
        return FlowSource(data, use, seed)
    if isinstance(data, (tuple, list)) and len(data) == 2 and not hasattr(data, "on_epoch_end"):
        return ArraySource(*data, use, seed)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (dict, str, numpy.ndarray)):
        return BatchSource(data, use, seed)
    raise ValueError(f"datasets_function returned a {type(data).__name__} for {use}; accepted are {ACCEPTED}")


class ArraySource:
    """Arrays in memory, or nests of arrays with the same number of rows."""

    def __init__(self, inputs: Any, labels: Any, use: str, seed: int):
        self._arrays = tensorflow.nest.map_structure(numpy.asarray, (inputs, labels))
        counts = {len(each) if each.ndim else 0 for each in tensorflow.nest.flatten(self._arrays)}
        if len(counts) != 1:
            raise ValueError(f"datasets_function returned arrays of {sorted(counts)} rows for {use}; accepted is one number of rows")
        self.count = counts.pop()
        self._seed = seed

    def order(self, epoch: int) -> torch.Tensor:
        return partition.order(self._seed, epoch, self.count)

    def take(self, numbers: list[int], epoch: int) -> tuple[Any, Any]:
        return tensorflow.nest.map_structure(lambda each: each[numbers], self._arrays)


class FlowSource:
    """What `ImageDataGenerator.flow` and its relatives return: samples are transformed one by one, from numpy's random numbers."""

    def __init__(self, iterator: Any, use: str, seed: int):
        self._iterator = iterator
        self.count = int(iterator.n)
        self._seed = seed
        if self.count:
            _pair(self.take([0], 0), use)

    def order(self, epoch: int) -> torch.Tensor:
        return partition.order(self._seed, epoch, self.count)

    def take(self, numbers: list[int], epoch: int) -> tuple[Any, Any]:
        return self._iterator._get_batches_of_transformed_samples(numpy.array(numbers))


class BatchSource:
    """Something that yields batches by number. All but the last have the size of the first; an epoch permutes the batches."""

    def __init__(self, data: Any, use: str, seed: int):
        self._data = data
        self._use = use
        self._seed = seed
        self._batch_count = len(data)
        self._kept: dict[tuple[int, int], Any] = {}
        self.count = 0
        if self._batch_count:
            self._size = _rows(self._batch(0, 0))
            last = _rows(self._batch(self._batch_count - 1, 0))
            if not 0 < last <= self._size:
                raise ValueError(
                    f"datasets_function returned a {type(data).__name__} for {use} whose first batch has {self._size} samples and "
                    f"whose last has {last}; accepted are batches of one size of which the last may be smaller"
                )
            self.count = self._size * (self._batch_count - 1) + last

    def order(self, epoch: int) -> torch.Tensor:
        batch_order = partition.order(self._seed, epoch, self._batch_count)
        within = torch.arange(self._size)
        numbers = (batch_order[:, None] * self._size + within).reshape(-1)
        return numbers[numbers < self.count]

    def take(self, numbers: list[int], epoch: int) -> tuple[Any, Any]:
        pieces, start = [], 0
        while start < len(numbers):
            batch = numbers[start] // self._size
            stop = start
            while stop < len(numbers) and numbers[stop] // self._size == batch:
                stop += 1
            rows = [number % self._size for number in numbers[start:stop]]
            content = self._batch(batch, epoch)
            pieces.append(tensorflow.nest.map_structure(lambda each: each[rows], content))
            start = stop
        if len(pieces) == 1:
            return pieces[0]
        return tensorflow.nest.map_structure(lambda *parts: numpy.concatenate(parts), *pieces)

    def _batch(self, number: int, epoch: int) -> Any:
        key = (number, epoch)
        if key not in self._kept:
            # Seeded for the batch, so that it is the same whichever slice of it is asked for first.
            batches.seed_randomness(partition.number_from("batch", self._seed, epoch, number))
            content = tensorflow.nest.map_structure(numpy.asarray, _pair(self._data[number], self._use))
            if self.count and _rows(content) != min(self._size, self.count - number * self._size):
                raise ValueError(
                    f"batch {number} of the {self._use} set has {_rows(content)} samples; accepted is {self._size}, fewer only in the last"
                )
            while len(self._kept) >= KEPT_BATCHES:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = content
        return self._kept[key]


def _from_dataset(data: Any, use: str, seed: int) -> ArraySource:
    """Reads a batched tf.data.Dataset once, into memory."""
    size = int(data.cardinality())
    if size == tensorflow.data.INFINITE_CARDINALITY:
        raise ValueError(f"datasets_function returned an endless tf.data.Dataset for {use}; accepted is one without repeat()")
    if size == tensorflow.data.UNKNOWN_CARDINALITY:
        raise ValueError(
            f"datasets_function returned a tf.data.Dataset of unknown size for {use}; accepted is one of known size, see "
            "tf.data.experimental.assert_cardinality"
        )
    contents = [_pair(each, use) for each in data.as_numpy_iterator()]
    if not contents:
        return ArraySource(numpy.empty(0), numpy.empty(0), use, seed)
    if any(not each.ndim for each in map(numpy.asarray, tensorflow.nest.flatten(contents[0]))):
        raise ValueError(f"datasets_function returned a tf.data.Dataset without batches for {use}; accepted is one after batch(n)")
    joined = tensorflow.nest.map_structure(lambda *parts: numpy.concatenate(parts), *contents)
    return ArraySource(*joined, use, seed)


def _pair(content: Any, use: str) -> tuple[Any, Any]:
    if not isinstance(content, (tuple, list)) or len(content) != 2:
        shown = f"{len(content)} parts" if isinstance(content, (tuple, list)) else f"a {type(content).__name__}"
        raise ValueError(f"a batch of the {use} set is {shown}; accepted is a tuple of inputs and labels")
    return content[0], content[1]


def _rows(content: Any) -> int:
    return len(tensorflow.nest.flatten(content)[0])
