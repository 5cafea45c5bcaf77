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
MODES = ("exact", "float")

# Elements that a core works on at a time: with their float64 copies about a mebibyte.
STRETCH = 1 << 16
# Below this, one call for both extremes is faster than two.
SMALL = 1 << 12


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

    Used by one thread. `begin` fixes the bounds of a step, `add` takes one micro-batch, then `finish` gives the exact sum of the
    rounded contributions.

    In main memory the vector is worked on in stretches that stay in a core's cache: several small tensors, or a piece of a large one.
    """

    dtype = torch.float64

    def __init__(
        self, shapes: list[torch.Size], logical_workers: int, device: torch.device, work: torch.Tensor | None = None
    ):
        """`work`: room for float64 numbers, `room(…)` of them, that several sums of one thread may share."""
        self.sizes = [shape.numel() for shape in shapes]
        self.length = sum(self.sizes)
        self.scale = 0.75 * power_of_two_above(float(max(logical_workers, 4)))
        self.total = torch.zeros(self.length, dtype=torch.float64, device=device)
        self._maxima = [-1.0] * len(self.sizes)
        self._unread: tuple | None = None
        self._at_once = device.type == "cpu"
        self._empty = True
        most = STRETCH if self._at_once else max(self.length, 1)
        self._work = torch.zeros(self.room(self.length, device), dtype=torch.float64, device=device) if work is None else work
        # By tensor, where a stretch holds several: elsewhere one number does.
        self._constant_pieces: list[list[torch.Tensor]] = [[] for _ in self.sizes]
        self._filled = [0.0] * len(self.sizes)
        self._stretches = []
        for start, stop, tensors in _stretches(self.sizes, most):
            places = [[self.total[start:stop], self._work[: stop - start]]]
            for _, first, last, place in tensors if len(tensors) > 1 else ():
                places.append([each[place : place + last - first] for each in places[0]])
            whole = places[1:] or places
            pieces = [(k, first, last, *views) for (k, first, last, _), views in zip(tensors, whole)]
            constants = torch.zeros(stop - start if len(tensors) > 1 else 0, dtype=torch.float64, device=device)
            for k, first, last, place in tensors if len(tensors) > 1 else ():
                self._constant_pieces[k].append(constants[place : place + last - first])
            self._stretches.append((*places[0], constants, pieces))

    @staticmethod
    def room(length: int, device: torch.device) -> int:
        """Elements of work that a sum of this length needs."""
        return min(STRETCH, length) if device.type == "cpu" else length

    @property
    def maxima(self) -> list[float]:
        """The greatest finite magnitude of each tensor since `begin`: -1 where no micro-batch produced a gradient."""
        self._read_maxima()
        return self._maxima

    def begin(self, bounds: list[float]) -> None:
        """Start a step; `bounds` has one power of two per tensor."""
        for k, bound in enumerate(bounds):
            if self._filled[k] != bound:
                self._filled[k] = bound
                for piece in self._constant_pieces[k]:
                    piece.fill_(self.scale * bound)
        self._maxima = [-1.0] * len(self.sizes)
        self._unread = None
        self._empty = True

    def add(self, gradients: list[torch.Tensor | None], weight: float) -> None:
        """Add one micro-batch: a gradient (or None) per tensor, times `weight`, which is positive."""
        self._read_maxima()
        flat = [None if each is None else _flat(each, weight) for each in gradients]
        extremes: list[torch.Tensor] = []
        seen: list[int] = []
        for total, work, constants, pieces in self._stretches:
            target = total if self._empty else work
            silent = True
            for k, first, last, in_total, in_work in pieces:
                place = in_total if self._empty else in_work
                gradient = flat[k]
                if gradient is None:
                    place.zero_()
                    continue
                silent = False
                piece = gradient if last - first == self.sizes[k] else gradient[first:last]
                seen.append(k)
                # Before torch 2.0 CPUs know no aminmax of float16.
                together = last - first < SMALL and piece.dtype is not torch.float16
                extremes += piece.aminmax() if together else (piece.amin(), piece.amax())
                place.copy_(piece)
            if silent:
                continue
            if weight != 1.0:
                target.mul_(weight)
            constant = constants if len(pieces) > 1 else self.scale * self._filled[pieces[0][0]]
            target.add_(constant).sub_(constant)
            if not self._empty:
                total.add_(target)
        self._empty = False
        # A device is not waited for here, where it may be in the middle of a backward pass.
        if extremes:
            self._unread = (flat, weight, seen, torch.stack(extremes))
            if self._at_once:
                self._read_maxima()

    def finish(self) -> torch.Tensor:
        """The sum over all micro-batches added since `begin`: float64, P elements, on the device."""
        if self._empty:
            self.total.zero_()
            self._empty = False
        return self.total

    def _read_maxima(self) -> None:
        if self._unread is not None:
            (flat, weight, seen, extremes), self._unread = self._unread, None
            self._note_maxima(flat, weight, seen, extremes.tolist())

    def _note_maxima(
        self, flat: list[torch.Tensor | None], weight: float, seen: list[int], extremes: list[float]
    ) -> None:
        wild = set()
        for position, k in enumerate(seen):
            maximum = max(-extremes[2 * position], extremes[2 * position + 1]) * weight
            if not maximum <= GREATEST_BOUND:
                wild.add(k)
            elif maximum > self._maxima[k]:
                self._maxima[k] = maximum if maximum else 0.0
        for k in wild:
            finite = torch.nan_to_num(flat[k].to(torch.float64), nan=0.0, posinf=0.0, neginf=0.0)
            self._maxima[k] = max(self._maxima[k], float(finite.abs().max()) * weight)


class FloatSum:
    """Accumulates gradients of micro-batches as plain data-parallel training does, in one vector of P elements of `dtype`.

    Takes `GridSum`'s place. Nothing can overflow a bound: `maxima` is 0 for tensors with a gradient and -1 for those without.
    """

    def __init__(self, shapes: list[torch.Size], dtype: torch.dtype, device: torch.device):
        self.dtype = dtype
        self.length = sum(shape.numel() for shape in shapes)
        self.total = torch.zeros(self.length, dtype=dtype, device=device)
        pieces = torch.split(self.total, [shape.numel() for shape in shapes]) if shapes else ()
        self._pieces = [piece.view(shape) for piece, shape in zip(pieces, shapes)]
        self.maxima = [-1.0] * len(self._pieces)
        self._empty = True

    def begin(self, bounds: list[float]) -> None:
        self.maxima = [-1.0] * len(self._pieces)
        self._empty = True

    def add(self, gradients: list[torch.Tensor | None], weight: float) -> None:
        """Add one micro-batch: a gradient (or None) per tensor, times `weight`, which is positive."""
        for k, (piece, gradient) in enumerate(zip(self._pieces, gradients)):
            if gradient is not None:
                self.maxima[k] = 0.0
                gradient = gradient.to_dense() if gradient.is_sparse else gradient
                if self._empty:
                    piece.copy_(gradient)
                    if weight != 1.0:
                        piece.mul_(weight)
                else:
                    piece.add_(gradient, alpha=weight)
            elif self._empty:
                piece.zero_()
        self._empty = False

    def finish(self) -> torch.Tensor:
        """The sum over all micro-batches added since `begin`: `dtype`, P elements, on the device."""
        if self._empty:
            self.total.zero_()
            self._empty = False
        return self.total


def chosen(value: str | None, inherited: str | None) -> str:
    """How a job adds up its gradients: the script's word, else the environment's, else exact. Raises ValueError."""
    name, text = ("sums", value) if value is not None else ("CONCERTINA_SUMS", inherited or MODES[0])
    if text not in MODES:
        raise ValueError(f"{name} is {text!r}; accepted are {' and '.join(MODES)}")
    return text


def mean_into(total: torch.Tensor, divisor: float, target: torch.Tensor, stretch: int = STRETCH) -> None:
    """Write total / divisor into `target` (same length, its own dtype) with a single rounding; every NaN becomes the same NaN.

    `total` is used up. `stretch`: elements that are worked on at a time.
    """
    exact_inverse = math.frexp(divisor)[0] == 0.5
    for piece, place in zip(torch.split(total, stretch), torch.split(target, stretch)):
        if exact_inverse:
            if divisor != 1.0:
                piece.mul_(1.0 / divisor)
        else:
            piece.div_(divisor)
        place.copy_(piece)
        torch.nan_to_num(place, nan=math.nan, posinf=math.inf, neginf=-math.inf, out=place)


def _flat(gradient: torch.Tensor, weight: float) -> torch.Tensor:
    """The gradient's elements in row-major order; those that count as infinite are infinite."""
    gradient = (gradient.to_dense() if gradient.is_sparse else gradient).detach().reshape(-1)
    if gradient.dtype == torch.float64 and gradient.numel():
        beyond = (gradient * weight).abs() > GREATEST_BOUND
        if bool(beyond.any()):
            gradient = torch.where(beyond, gradient * math.inf, gradient)
    return gradient


def _stretches(sizes: list[int], most: int) -> list[tuple[int, int, list[tuple[int, int, int, int]]]]:
    """Cut the vector: (start, stop, tensors), each tensor as (k, first and last element of it, where they begin in the stretch)."""
    stretches: list[tuple[int, int, list[tuple[int, int, int, int]]]] = []
    position = 0
    for k, size in enumerate(sizes):
        previous = stretches[-1] if stretches else None
        if size and previous is not None and position + size - previous[0] <= most:
            previous[2].append((k, 0, size, position - previous[0]))
            stretches[-1] = (previous[0], position + size, previous[2])
        else:
            for first in range(0, size, most):
                last = min(first + most, size)
                stretches.append((position + first, position + last, [(k, first, last, 0)]))
        position += size
    return stretches
