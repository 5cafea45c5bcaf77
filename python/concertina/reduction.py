"""One step's exchange among the workers of a generation: gradients, losses, votes, bounds.

Algorithm: a direct reduce-scatter (each worker adds up one part of the vector, its own contribution first and then by rank) and an all-gather of the finished means. A
header of float64 numbers from everybody to everybody rides on the first half; model buffers and a small JSON text from rank 0 ride
on the second, so a step costs two network rounds whatever travels.

Small vectors go whole from everybody to everybody instead, with rank 0's buffers and text behind, and each worker adds all of them
up by rank: one round, for there waiting costs more than bytes.
"""

from __future__ import annotations

import torch

from concertina import partition, state, sums
from concertina.mesh import Group, GroupBroken

# Vectors of at most this many bytes are exchanged in one round.
SMALL_BYTES = 1 << 15

_STEP, _ATTEMPT, _VOTE, _TEXT_BYTES, _FIRST_FREE = range(5)


class Verdict:
    """What all workers know after the first half: whose votes, every logical worker's loss and accuracy, the tensors' maxima."""

    def __init__(self, votes: list[int], losses: list[float], accuracies: list[float], maxima: list[float]):
        self.votes = votes
        self.losses = losses
        self.accuracies = accuracies
        self.maxima = maxima


class Reduction:
    """Buffers and parts for one generation; used by the training thread. `sum_up` then, unless a bound was exceeded, `share`."""

    def __init__(self, group: Group, logical_workers: int, tensors: int, length: int, dtype: torch.dtype):
        self.group = group
        self._logical_workers = logical_workers
        self.block = partition.block(logical_workers, group.size, group.rank)
        self._others = [rank for rank in range(group.size) if rank != group.rank]
        self._parts = [partition.block(length, group.size, rank) for rank in range(group.size)]
        width = _FIRST_FREE + 2 * logical_workers + tensors
        self._headers = torch.zeros(group.size, width, dtype=torch.float64)
        self._header_views = [state.view(row) for row in self._headers]
        mine = self._parts[group.rank]
        self._width = torch.empty((), dtype=dtype).element_size()
        self._small = length * self._width <= SMALL_BYTES
        self._received = torch.empty(len(self._others), length if self._small else len(mine), dtype=dtype)
        self._received_views = [state.view(row) for row in self._received]

    def sum_up(
        self,
        step: int,
        attempt: int,
        vote: int,
        text: bytes,
        losses: list[float],
        accuracies: list[float],
        maxima: list[float],
        total: torch.Tensor,
        buffers: list[torch.Tensor],
    ) -> Verdict:
        """First half. `losses` and `accuracies` of this worker's logical workers in order, `total` its sum in main memory.

        Afterwards this worker's part of `total`, of a small vector all of it, is the sum over all workers. `buffers` are contiguous
        tensors in main memory; with a small vector rank 0's content replaces the others'. Raises GroupBroken.
        """
        count, mine, rank = self._logical_workers, self.block, self.group.rank
        row = [0.0] * self._headers.shape[1]
        row[:_FIRST_FREE] = [float(step), float(attempt), float(vote), float(len(text))]
        row[_FIRST_FREE + mine.start : _FIRST_FREE + mine.stop] = losses
        row[_FIRST_FREE + count + mine.start : _FIRST_FREE + count + mine.stop] = accuracies
        row[_FIRST_FREE + 2 * count :] = maxima
        self._headers[rank] = torch.tensor(row, dtype=torch.float64)
        if self._others and self._small:
            self._exchange_whole(total, text, buffers)
        elif self._others:
            whole, width = state.view(total), self._width
            header = self._header_views[rank]
            self.group.exchange(
                {
                    other: [header, whole[width * self._parts[other].start : width * self._parts[other].stop]]
                    for other in self._others
                },
                {
                    other: [self._header_views[other], self._received_views[position]]
                    for position, other in enumerate(self._others)
                },
            )
            part = total[self._parts[rank].start : self._parts[rank].stop]
            for addend in self._received:
                part.add_(addend)
        rows = self._headers.tolist()
        for other in self._others:
            if rows[other][:2] != row[:2]:
                raise GroupBroken(f"rank {other} is at step {rows[other][0]:.0f}, this worker at step {step}")
        self._text_bytes = int(rows[0][_TEXT_BYTES])
        merged_losses: list[float] = []
        merged_accuracies: list[float] = []
        for other in range(self.group.size):
            theirs = partition.block(count, self.group.size, other)
            merged_losses += rows[other][_FIRST_FREE + theirs.start : _FIRST_FREE + theirs.stop]
            merged_accuracies += rows[other][_FIRST_FREE + count + theirs.start : _FIRST_FREE + count + theirs.stop]
        start = _FIRST_FREE + 2 * count
        merged_maxima = row[start:] if not self._others else [max(each) for each in zip(*(one[start:] for one in rows))]
        return Verdict([int(one[_VOTE]) for one in rows], merged_losses, merged_accuracies, merged_maxima)

    def share(
        self, total: torch.Tensor, divisor: float, mean: torch.Tensor, buffers: list[torch.Tensor], text: bytes
    ) -> bytes:
        """Second half: `mean` becomes total / divisor, the same bits on every worker.

        `buffers` are those given to `sum_up`: rank 0's content replaces the others'. Returns rank 0's text. Raises
        GroupBroken, and then the content of `mean` and `buffers` is undefined.
        """
        if self._small and self._others:
            sums.mean_into(total, divisor, mean)
            return self._arrived
        mine = self._parts[self.group.rank]
        sums.mean_into(total[mine.start : mine.stop], divisor, mean[mine.start : mine.stop])
        if not self._others:
            return text
        width = mean.element_size()
        whole = state.view(mean)
        extra = [state.view(buffer) for buffer in buffers]
        arriving = bytearray(self._text_bytes)
        out = [whole[width * mine.start : width * mine.stop]]
        if self.group.rank == 0:
            out += [*extra, memoryview(text)]
        incoming = {
            other: [whole[width * self._parts[other].start : width * self._parts[other].stop]] for other in self._others
        }
        if self.group.rank != 0:
            incoming[0] += [*extra, memoryview(arriving)]
        self.group.exchange({other: out for other in self._others}, incoming)
        return text if self.group.rank == 0 else bytes(arriving)

    def _exchange_whole(self, total: torch.Tensor, text: bytes, buffers: list[torch.Tensor]) -> None:
        """Everything of a step in one round; what is behind rank 0's header is on its way when the header says how long it is."""
        rank = self.group.rank
        out = [self._header_views[rank], state.view(total)]
        extra = [state.view(buffer) for buffer in buffers]
        if rank == 0:
            out += [*extra, memoryview(text)]
        self.group.exchange(
            {other: out for other in self._others},
            {other: [self._header_views[other], self._received_views[place]] for place, other in enumerate(self._others)},
        )
        self._arrived = text
        if rank != 0:
            arriving = bytearray(int(self._headers[0, _TEXT_BYTES]))
            self.group.exchange({}, {0: [*extra, memoryview(arriving)]})
            self._arrived = bytes(arriving)
        addends = list(self._received)
        addends.insert(rank, total.clone())
        total.copy_(addends[0])
        for addend in addends[1:]:
            total.add_(addend)
