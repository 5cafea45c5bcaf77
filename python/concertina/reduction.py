"""One step's exchange among the workers of a generation: gradients, losses, votes, bounds.

Algorithm: the vector of all gradients is cut into buckets, the same for every worker (`partition.buckets`). For each, a direct
reduce-scatter: each worker adds up one part of the bucket, everybody's contributions by rank, and divides it; then an all-gather of
these means. The means of one bucket ride on the contributions to the next, so n buckets take n + 1 network rounds. All but the last bucket
may go while the training thread still computes. A header of float64 numbers from everybody to everybody rides on the last
bucket's contributions; model buffers and a small JSON text from rank 0 ride on its means.

A small vector is one bucket and goes whole from everybody to everybody instead, with rank 0's buffers and text behind, and each worker
adds all of them up: one round, for there waiting costs more than bytes.
"""

from __future__ import annotations

import torch

from concertina import partition, state, sums
from concertina.mesh import Group, GroupBroken

# Vectors of at most this many bytes are exchanged in one round.
SMALL_BYTES = 1 << 15
# torch shares out no operation on this many elements among threads of its own, which would be in the way of the training thread's.
UNSHARED = 1 << 15

_STEP, _ATTEMPT, _VOTE, _TEXT_BYTES, _CHANGED, _FIRST_FREE = range(6)


class Verdict:
    """What all workers know after the last bucket's first half.

    Whose votes, every logical worker's loss and accuracy, the tensors' maxima, and whether anybody's gradients changed after they had
    been passed on, so that nothing of this attempt counts.
    """

    def __init__(
        self, votes: list[int], losses: list[float], accuracies: list[float], maxima: list[float], changed: bool = False
    ):
        self.votes = votes
        self.losses = losses
        self.accuracies = accuracies
        self.maxima = maxima
        self.changed = changed


class Reduction:
    """Buffers and parts for one generation; used by one thread at a time.

    In each attempt of a step `begin`, `pass_on` for every bucket but the last, in order, `sum_up` with the last and then, unless the
    step has to be computed again, `share`. `lengths` are elements per bucket, in the order of the exchange.
    """

    def __init__(self, group: Group, logical_workers: int, tensors: int, lengths: list[int], dtype: torch.dtype):
        self.group = group
        self._logical_workers = logical_workers
        self.block = partition.block(logical_workers, group.size, group.rank)
        self._others = [rank for rank in range(group.size) if rank != group.rank]
        self._parts = [[partition.block(length, group.size, rank) for rank in range(group.size)] for length in lengths]
        width = _FIRST_FREE + 2 * logical_workers + tensors
        self._headers = torch.zeros(group.size, width, dtype=torch.float64)
        self._header_views = [state.view(row) for row in self._headers]
        self._width = torch.empty((), dtype=dtype).element_size()
        self._small = len(lengths) == 1 and lengths[0] * self._width <= SMALL_BYTES
        self._whole = [range(length) for length in lengths]
        room = max(lengths) if self._small else max(len(parts[group.rank]) for parts in self._parts)
        self.memory = torch.empty(len(self._others), room, dtype=dtype)
        self._means: list[torch.Tensor] = []
        self._divisor = 1.0
        self._passed = 0

    def begin(self, divisor: float, means: list[torch.Tensor]) -> None:
        """Start an attempt: each of `means`, one per bucket, is to become that bucket's sum over all workers / divisor."""
        self._divisor = divisor
        self._means = means
        self._passed = 0

    def pass_on(self, total: torch.Tensor) -> None:
        """The next bucket, of which `total` is this worker's sum in main memory, used up. Raises GroupBroken."""
        mine = self._parts[self._passed][self.group.rank]
        if self._others:
            self._exchange(total, [], {})
        summed = self._added(total, mine, UNSHARED)
        stretch = UNSHARED if self._others else sums.STRETCH
        sums.mean_into(summed, self._divisor, self._means[self._passed][mine.start : mine.stop], stretch)
        self._passed += 1

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
        changed: bool = False,
    ) -> Verdict:
        """The last bucket's first half. `losses` and `accuracies` of this worker's logical workers in order.

        `total` is this worker's sum in main memory, used up. `buffers` are contiguous tensors in main memory; with a small vector rank
        0's content replaces the others'. `changed`: what this worker passed on is not what its gradients are. Raises GroupBroken.
        """
        count, mine, rank = self._logical_workers, self.block, self.group.rank
        row = [0.0] * self._headers.shape[1]
        row[:_FIRST_FREE] = [float(step), float(attempt), float(vote), float(len(text)), float(changed)]
        row[_FIRST_FREE + mine.start : _FIRST_FREE + mine.stop] = losses
        row[_FIRST_FREE + count + mine.start : _FIRST_FREE + count + mine.stop] = accuracies
        row[_FIRST_FREE + 2 * count :] = maxima
        self._headers[rank] = torch.tensor(row, dtype=torch.float64)
        if self._others and self._small:
            self._exchange_whole(total, text, buffers)
            self._summed = self._added(total, self._whole[0])
        else:
            if self._others:
                self._exchange(total, [self._header_views[rank]], {other: [self._header_views[other]] for other in self._others})
            self._summed = self._added(total, self._parts[-1][rank])
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
        votes = [int(one[_VOTE]) for one in rows]
        return Verdict(votes, merged_losses, merged_accuracies, merged_maxima, any(one[_CHANGED] for one in rows))

    def share(self, buffers: list[torch.Tensor], text: bytes) -> bytes:
        """The last bucket's second half; afterwards all means are there, the same bits on every worker.

        `buffers` are those given to `sum_up`: rank 0's content replaces the others'. Returns rank 0's text. Raises
        GroupBroken, and then the content of means and buffers is undefined.
        """
        mean = self._means[-1]
        if self._small and self._others:
            sums.mean_into(self._summed, self._divisor, mean)
            return self._arrived
        mine = self._parts[-1][self.group.rank]
        sums.mean_into(self._summed, self._divisor, mean[mine.start : mine.stop])
        if not self._others:
            return text
        extra = [state.view(buffer) for buffer in buffers]
        arriving = bytearray(self._text_bytes)
        out, incoming = self._mean_views(len(self._parts) - 1)
        if self.group.rank == 0:
            out += [*extra, memoryview(text)]
        else:
            incoming[0] += [*extra, memoryview(arriving)]
        self.group.exchange({other: out for other in self._others}, incoming)
        return text if self.group.rank == 0 else bytes(arriving)

    def _exchange(self, total: torch.Tensor, ahead: list[memoryview], awaited: dict[int, list[memoryview]]) -> None:
        """Contributions to the bucket that is due, and the means of the one before."""
        parts, whole, width = self._parts[self._passed], state.view(total), self._width
        out, incoming = self._mean_views(self._passed - 1)
        room = len(parts[self.group.rank])
        for place, other in enumerate(self._others):
            incoming[other] += [*awaited.get(other, ()), state.view(self.memory[place, :room])]
        self.group.exchange(
            {
                other: [*out, *ahead, whole[width * parts[other].start : width * parts[other].stop]] for other in self._others
            },
            incoming,
        )

    def _mean_views(self, bucket: int) -> tuple[list[memoryview], dict[int, list[memoryview]]]:
        """This worker's part of a bucket's means, and where those of the others belong; nothing before the first bucket."""
        if bucket < 0:
            return [], {other: [] for other in self._others}
        width, whole, parts = self._means[bucket].element_size(), state.view(self._means[bucket]), self._parts[bucket]
        views = [whole[width * part.start : width * part.stop] for part in parts]
        return [views[self.group.rank]], {other: [views[other]] for other in self._others}

    def _added(self, total: torch.Tensor, mine: range, stretch: int | None = None) -> torch.Tensor:
        """The sum of everybody's contributions to this part of the bucket, by rank, in this worker's own memory."""
        if not self._others:
            return total[mine.start : mine.stop]
        addends = [row[: len(mine)] for row in self.memory]
        addends.insert(self.group.rank, total[mine.start : mine.stop])
        for pieces in zip(*(torch.split(each, stretch or max(1, len(mine))) for each in addends)):
            for piece in pieces[1:]:
                pieces[0].add_(piece)
        return addends[0]

    def _exchange_whole(self, total: torch.Tensor, text: bytes, buffers: list[torch.Tensor]) -> None:
        """Everything of a step in one round; what is behind rank 0's header is on its way when the header says how long it is."""
        rank = self.group.rank
        out = [self._header_views[rank], state.view(total)]
        extra = [state.view(buffer) for buffer in buffers]
        if rank == 0:
            out += [*extra, memoryview(text)]
        self.group.exchange(
            {other: out for other in self._others},
            {other: [self._header_views[other], state.view(self.memory[place])] for place, other in enumerate(self._others)},
        )
        self._arrived = text
        if rank != 0:
            arriving = bytearray(int(self._headers[0, _TEXT_BYTES]))
            self.group.exchange({}, {0: [*extra, memoryview(arriving)]})
            self._arrived = bytes(arriving)
