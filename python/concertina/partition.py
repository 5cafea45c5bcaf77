"""Which samples, random numbers and logical workers belong to a step: pure functions of (seed, epoch, step), never of the workers.

Notation
    V     logical workers          G     samples of a full step (V times the batch size, or the effective batch size)
    W     workers                  n     samples of the data set
"""

from __future__ import annotations

import hashlib

import torch


def block(logical_workers: int, workers: int, rank: int) -> range:
    """Logical workers that the worker of this rank computes: contiguous, one more for the first V mod W ranks."""
    size, extra = divmod(logical_workers, workers)
    start = rank * size + min(rank, extra)
    return range(start, start + size + (1 if rank < extra else 0))


def steps_per_epoch(samples: int, step_samples: int) -> int:
    """Steps in which each sample is used exactly once; the last one may be smaller."""
    return -(-samples // step_samples)


def slices(samples: int, logical_workers: int, smallest: int) -> list[range]:
    """Split a step's samples (offsets 0 … samples − 1) among V logical workers, sizes differing by at most one.

    A short last step leaves the last logical workers empty rather than giving any fewer than `smallest` samples, because batch
    normalisation cannot train on one. Logical worker 0 always has samples.
    """
    used = min(logical_workers, max(1, samples // smallest))
    return [block(samples, used, part) if part < used else range(0) for part in range(logical_workers)]


def buckets(lengths: list[int], width: int, most: int) -> list[range]:
    """Runs of tensors that are exchanged together, at most `most` bytes each or a single tensor, the last tensors first.

    `lengths` are elements per tensor and `width` bytes per element. Backward passes reach the last tensors first, more or less; what
    counts is that the answer is the same on every worker.
    """
    found, stop, size = [], len(lengths), 0
    for k in range(len(lengths) - 1, -1, -1):
        if k + 1 < stop and size + width * lengths[k] > most:
            found.append(range(k + 1, stop))
            stop, size = k + 1, 0
        size += width * lengths[k]
    return [*found, range(stop)]


def number_from(*parts: object) -> int:
    """A 63-bit seed that depends on all parts and nothing else."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def order(seed: int, epoch: int, samples: int) -> torch.Tensor:
    """The epoch's permutation of sample ids, int64, `samples` long."""
    generator = torch.Generator()
    generator.manual_seed(number_from("order", seed, epoch))
    return torch.randperm(samples, generator=generator)
