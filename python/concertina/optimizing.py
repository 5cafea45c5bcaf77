"""What happens to the mean gradient of a step: loss scale, clipping, the optimizers' step and their learning-rate schedules.

All of it runs on every worker alike, on the same bits, so none of it depends on how many workers there are.
"""

from __future__ import annotations

import contextlib
import math
import types
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau

from concertina import state

# Before torch 2.0 the class has an underscore before its name.
LRScheduler = getattr(lr_scheduler, "LRScheduler", None) or lr_scheduler._LRScheduler

FIRST_SCALE = 2.0**16
GREATEST_SCALE = 2.0**24
GROWTH_STEPS = 2000
NORM_GUARD = 1e-6


class Optimizers:
    """The optimizer, or the list, tuple or dict of optimizers, that the user gave, and the schedules of their rates.

    Raises ValueError for what cannot be trained with, or whose state cannot be carried from worker to worker.
    """

    def __init__(self, given: Any, schedulers: Any = None, frequency: str = "epoch"):
        self.given = given
        self.all = _several(given)
        if not self.all:
            raise ValueError("optimizer is empty; accepted is a torch.optim.Optimizer or a list, tuple or dict of them")
        for each in self.all:
            if not isinstance(each, torch.optim.Optimizer):
                raise ValueError(f"optimizer is a {type(each).__name__}; accepted is a torch.optim.Optimizer")
            if isinstance(each, torch.optim.LBFGS):
                raise ValueError("optimizer is LBFGS; accepted are optimizers whose step needs no closure")
        seen = [id(each) for each in self.parameters()]
        if len(seen) != len(set(seen)):
            raise ValueError("optimizer has a parameter in two optimizers; accepted is each parameter in one")
        self.schedulers = [] if schedulers is None else _several(schedulers)
        if frequency not in ("epoch", "step"):
            raise ValueError(f"lr_scheduler_freq is {frequency!r}; accepted are 'epoch' and 'step'")
        self._each_step = frequency == "step"
        for each in self.schedulers:
            self._check(each)

    def _check(self, scheduler: Any) -> None:
        name = type(scheduler).__name__
        if not is_scheduler(scheduler):
            raise ValueError(f"lr_scheduler is a {name}; accepted is a torch.optim.lr_scheduler.LRScheduler")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                f"lr_scheduler is {name}; accepted is one whose step takes no metric: keep this one in a callback and step it there"
            )
        if not any(scheduler.optimizer is each for each in self.all):
            raise ValueError(f"lr_scheduler {name} belongs to another optimizer; accepted is one of the given optimizer's")
        try:
            state.encode(scheduler_state(scheduler), [])
        except ValueError as error:
            raise ValueError(f"lr_scheduler {name} cannot be carried to another worker: {error}") from None

    def parameters(self) -> Iterator[torch.Tensor]:
        return (each for optimizer in self.all for group in optimizer.param_groups for each in group["params"])

    def sparse(self) -> set[int]:
        """Identities of the parameters whose optimizer takes sparse gradients only."""
        return {
            id(each)
            for optimizer in self.all
            if isinstance(optimizer, torch.optim.SparseAdam)
            for group in optimizer.param_groups
            for each in group["params"]
        }

    def step(self) -> None:
        for each in self.all:
            each.step()

    def schedule(self, completed: int, per_epoch: int) -> None:
        """Step the schedules where this many steps of the job are complete."""
        if self._each_step or completed % per_epoch == 0:
            for each in self.schedulers:
                each.step()

    def hyperparameters(self) -> list:
        """All groups without their parameters, as plain values."""
        return [{key: _plain(value) for key, value in group.items() if key != "params"} for group in self._groups()]

    def adopt_hyperparameters(self, groups: list) -> None:
        for group, values in zip(self._groups(), groups):
            for key, value in values.items():
                if isinstance(group.get(key), torch.Tensor):
                    group[key].fill_(value)
                else:
                    group[key] = value

    def state_dicts(self) -> Any:
        """In the form the user gave the optimizers in."""
        if isinstance(self.given, dict):
            return {name: each.state_dict() for name, each in self.given.items()}
        if isinstance(self.given, (list, tuple)):
            return [each.state_dict() for each in self.given]
        return self.given.state_dict()

    def load_state_dicts(self, content: Any) -> None:
        """Inverse of `state_dicts`."""
        states = [content] if _is_state(content) else _several(content)
        for each, values in zip(self.all, states, strict=True):
            each.load_state_dict(values)

    def state(self) -> dict:
        """Everything another worker needs to go on."""
        return {
            "optimizers": [each.state_dict() for each in self.all],
            "schedulers": [scheduler_state(each) for each in self.schedulers],
        }

    def load(self, content: dict) -> None:
        """Raises DamagedState when the state is of other optimizers or schedules."""
        optimizers, schedulers = content.get("optimizers", ()), content.get("schedulers", ())
        if len(optimizers) != len(self.all) or len(schedulers) != len(self.schedulers):
            raise state.DamagedState("the state is of other optimizers or schedules")
        for each, values in zip(self.all, optimizers):
            each.load_state_dict(values)
        for each, values in zip(self.schedulers, schedulers):
            load_scheduler(each, values)

    def _groups(self) -> list[dict]:
        return [group for each in self.all for group in each.param_groups]


def is_scheduler(value: Any) -> bool:
    return isinstance(value, (LRScheduler, ReduceLROnPlateau))


def scheduler_state(scheduler: Any) -> dict:
    """Its state_dict without methods of its own, which some schedules keep there before torch 2.0: every worker has them."""
    return _without_methods(scheduler.state_dict())


def _without_methods(value: Any) -> Any:
    if isinstance(value, dict):
        return type(value)({key: _without_methods(each) for key, each in value.items() if not _own_method(each)})
    return [_without_methods(each) for each in value] if type(value) is list else value


def _own_method(value: Any) -> bool:
    return isinstance(value, types.MethodType) and is_scheduler(value.__self__)


def load_scheduler(scheduler: Any, values: dict) -> None:
    scheduler.load_state_dict(_alike(values, scheduler.state_dict()))


def _alike(value: Any, present: Any) -> Any:
    """`value` with the kinds of dict that `present` has, such as a Counter, which a carried state has lost."""
    if isinstance(value, dict) and isinstance(present, dict):
        entries = {key: _alike(each, present.get(key)) for key, each in value.items()}
        return entries if type(present) is dict else type(present)(entries)
    if isinstance(value, list) and isinstance(present, list) and len(value) == len(present):
        return [_alike(each, other) for each, other in zip(value, present)]
    return value


class Clipping:
    """Bounds the mean gradient as a whole by its 2-norm, or each element by its magnitude."""

    def __init__(self, norm: float | None, value: float | None):
        self._norm = _positive("max_grad_norm", norm)
        self._value = _positive("clip_grad_value", value)
        if norm is not None and value is not None:
            raise ValueError(f"max_grad_norm is {norm} and clip_grad_value is {value}; accepted is one of the two")

    def apply(self, mean: torch.Tensor) -> None:
        """`mean`: all gradients in one vector, in main memory; changed in place."""
        if self._value is not None:
            mean.clamp_(-self._value, self._value)
        if self._norm is not None:
            norm = float(torch.linalg.vector_norm(mean, dtype=torch.float64))
            factor = self._norm / (norm + NORM_GUARD)
            if not factor >= 1.0:
                mean.mul_(factor)


class Precision:
    """The type that autocast computes a micro-batch in. Raises ValueError where this torch has no such type for the device."""

    def __init__(self, name: str | None, device: torch.device):
        self._dtype = self.named(name)
        self._device = device
        if self._dtype is None:
            return
        with warnings.catch_warnings(record=True) as doubts:
            warnings.simplefilter("always")
            self.cast()
        if any(issubclass(each.category, UserWarning) for each in doubts):
            raise ValueError(
                f"mixed_precision is {name!r}, which torch {torch.__version__} does not compute on {device.type}; accepted there is "
                "another type or none"
            )

    @staticmethod
    def named(name: str | None) -> torch.dtype | None:
        """The type called `name`. Raises ValueError when there is none."""
        kinds = {None: None, "bf16": torch.bfloat16, "fp16": torch.float16}
        if not (name is None or isinstance(name, str)) or name not in kinds:
            raise ValueError(f"mixed_precision is {name!r}; accepted are None, 'bf16' and 'fp16'")
        return kinds[name]

    def cast(self) -> Any:
        """A context; without mixed precision one that leaves things as they are."""
        return contextlib.nullcontext() if self._dtype is None else torch.autocast(self._device.type, dtype=self._dtype)


class LossScale:
    """Factor on the loss that keeps half-precision gradients above zero: a power of two, halved when one overflows."""

    def __init__(self) -> None:
        self.value = FIRST_SCALE
        self._good = 0

    def accept(self, mean: torch.Tensor) -> bool:
        """Whether the step with these mean gradients counts; follows the scale for the next."""
        if not bool(torch.isfinite(mean).all()):
            self.value = max(self.value / 2.0, 1.0)
            self._good = 0
            return False
        self._good += 1
        if self._good >= GROWTH_STEPS:
            self.value = min(self.value * 2.0, GREATEST_SCALE)
            self._good = 0
        return True

    def state(self) -> list:
        return [self.value, self._good]

    def load(self, values: list) -> None:
        self.value, self._good = values


def _is_state(content: Any) -> bool:
    return isinstance(content, dict) and content.keys() == {"state", "param_groups"}


def _several(given: Any) -> list:
    if isinstance(given, dict):
        return list(given.values())
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value


def _positive(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < math.inf:
        raise ValueError(f"{name} is {value!r}; accepted is a number above 0")
    return float(value)
