"""Sums of gradients that are the same bits in any order and any grouping.

Notation
    V     number of logical workers
    K     number of parameter tensors, k one of them
    P     number of elements in all of them together
    B_k   bound of tensor k: a power of two that no element of any micro-batch's gradient exceeds
    V'    power of two, at least V and at least 4
    u_k   grid of tensor k: V' * B_k / 2**53
    C_k   1.5 * 2**52 * u_k = 0.75 * V' * B_k

A contribution x is rounded to the nearest multiple of u_k by (x + C_k) - C_k in float64. Sums of at most V such multiples stay
below 2**53 * u_k, so float64 holds each partial sum exactly and no order or grouping can change the result. docs/guarantees.md
has the proof.
"""

from __future__ import annotations

import math

import torch

FIRST_BOUND = 2.0**10
LEAST_BOUND = 2.0**-64
GREATEST_BOUND = 2.0**900
HEAD_ROOM = 2.0**8


def power_of_two_above(value: float) -> float:
    """Smallest power of two that is not below `value` (positive and finite)."""
    mantissa, exponent = math.frexp(value)
    return math.ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent)


def wanted_bound(maximum: float) -> float:
    """Bound that leaves head room above the greatest magnitude seen."""
    return min(max(power_of_two_above(maximum) * HEAD_ROOM, LEAST_BOUND), GREATEST_BOUND)


def overflowing(bounds: list[float], maxima: list[float]) -> list[int]:
    """Tensors whose greatest finite magnitude lies above their bound: their sum would not be exact."""
    return [k for k, (bound, maximum) in enumerate(zip(bounds, maxima)) if maximum > bound]


def raised(bounds: list[float], maxima: list[float]) -> list[float]:
    """Bounds for computing the same step again after an overflow; only tensors that overflowed change."""
    return [wanted_bound(maximum) if maximum > bound else bound for bound, maximum in zip(bounds, maxima)]


def followed(bounds: list[float], maxima: list[float]) -> list[float]:
    """Bounds for the next step: up at once, down by at most a factor of two, unmoved where nothing was seen."""
    following = []
    for bound, maximum in zip(bounds, maxima):
        if maximum > 0.0:
            target = wanted_bound(maximum)
            if target != bound:
                bound = target if target > bound else max(target, bound / 2.0)
        following.append(bound)
    return following


class GridSum:
    """Accumulates gradients of micro-batches in one contiguous float64 vector of P elements.

    Used by one thread. `begin` fixes the bounds of a step, `add` takes one micro-batch, then `total` holds the exact sum of the
    rounded contributions and `maxima` the greatest finite magnitude of each tensor: -1 where no micro-batch produced a gradient.
    """

    def __init__(self, shapes: list[torch.Size], logical_workers: int, device: torch.device):
        self.sizes = [shape.numel() for shape in shapes]
        self.length = sum(self.sizes)
        self.scale = 0.75 * power_of_two_above(float(max(logical_workers, 4)))
        self.total = torch.zeros(self.length, dtype=torch.float64, device=device)
        self._work = torch.zeros(self.length, dtype=torch.float64, device=device)
        self._pieces = list(torch.split(self._work, self.sizes)) if self.sizes else []
        self._shaped = [piece.view(shape) for piece, shape in zip(self._pieces, shapes)]
        self.maxima = [-1.0] * len(self.sizes)
        self._constants: list[float] = []
        self._empty = True

    def begin(self, bounds: list[float]) -> None:
        """Start a step; `bounds` has one power of two per tensor."""
        self._constants = [self.scale * bound for bound in bounds]
        self.maxima = [-1.0] * len(self.sizes)
        self._empty = True

    def add(self, gradients: list[torch.Tensor | None], weight: float) -> None:
        """Add one micro-batch: a gradient (or None) per tensor, times `weight`, which is positive."""
        for piece, gradient in zip(self._shaped, gradients):
            if gradient is None:
                piece.zero_()
            else:
                piece.copy_(gradient.to_dense() if gradient.is_sparse else gradient)
        if weight != 1.0:
            self._work.mul_(weight)
        self._note_maxima(gradients)
        torch._foreach_add_(self._pieces, self._constants)
        torch._foreach_sub_(self._pieces, self._constants)
        if self._empty:
            self.total.copy_(self._work)
            self._empty = False
        else:
            self.total.add_(self._work)

    def finish(self) -> torch.Tensor:
        """The sum over all micro-batches added since `begin`: float64, P elements, on the device."""
        if self._empty:
            self.total.zero_()
            self._empty = False
        return self.total

    def _note_maxima(self, gradients: list[torch.Tensor | None]) -> None:
        extremes = [value for piece in self._pieces if piece.numel() for value in torch.aminmax(piece)]
        values = torch.stack(extremes).tolist() if extremes else []
        position = 0
        for k, piece in enumerate(self._pieces):
            if not piece.numel():
                continue
            maximum = max(-values[position], values[position + 1])
            position += 2
            if gradients[k] is None:
                continue
            if not maximum <= GREATEST_BOUND:
                piece.copy_(torch.where(piece.abs() > GREATEST_BOUND, piece * math.inf, piece))
                maximum = float(torch.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0).abs().max())
            elif maximum == 0.0:
                maximum = 0.0
            if maximum > self.maxima[k]:
                self.maxima[k] = maximum


def mean_into(total: torch.Tensor, divisor: float, target: torch.Tensor) -> None:
    """Write total / divisor into `target` (same length, its own dtype) with a single rounding; every NaN becomes the same NaN."""
    total.div_(divisor)
    target.copy_(total)
    torch.nan_to_num(target, nan=math.nan, posinf=math.inf, neginf=-math.inf, out=target)
