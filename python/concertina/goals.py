"""What a search from Python is after: one value, or several metrics at once, and bounds that metrics keep. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from concertina.trial import METRIC

_BOUND = re.compile(r"(.+?)\s*(<=|>=)\s*(\S+)")


@dataclass(frozen=True)
class Constraint:
    """A metric that must be at least a bound, or at most that."""

    metric: str
    bound: float
    least: bool

    def violation(self, value: float) -> float:
        """By how much a value misses the bound; 0 or less where it keeps it."""
        return self.bound - value if self.least else value - self.bound


@dataclass(frozen=True)
class Goals:
    """Names of the objectives, each with whether it is maximised, and the constraints."""

    objectives: Mapping[str, bool]
    constraints: Sequence[Constraint]

    @staticmethod
    def read(maximize: bool, directions: Mapping[str, str] | None, constraints: Iterable[str]) -> Goals:
        """Raises ValueError for what is not accepted."""
        if directions is None:
            objectives = {METRIC: maximize}
        else:
            if maximize or not directions:
                raise ValueError(f"directions is {directions!r} with maximize={maximize}; accepted is a dict of metric to 'minimize' or 'maximize', alone")
            for metric, direction in directions.items():
                if direction not in ("minimize", "maximize"):
                    raise ValueError(f"directions[{metric!r}] is {direction!r}; accepted is 'minimize' or 'maximize'")
            objectives = {metric: direction == "maximize" for metric, direction in directions.items()}
        if isinstance(constraints, str):
            raise ValueError(f"constraints is {constraints!r}; accepted is a list such as ['memory<=16']")
        return Goals(objectives, [_constraint(text) for text in constraints])

    def posted(self) -> dict[str, Any]:
        """The members of the request's algoDef."""
        named = [{"metric": metric, "objective": _direction(maximize)} for metric, maximize in self.objectives.items()]
        members: dict[str, Any]
        if len(named) == 1:
            members = {"objectiveMetric": named[0]["metric"], "objective": named[0]["objective"]}
        else:
            members = {"objectives": named}
        if self.constraints:
            members["constraints"] = [{"metric": each.metric, "atLeast" if each.least else "atMost": each.bound} for each in self.constraints]
        return members

    def measured(self, entries: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
        """Of what a trial left: the value of each objective, and by how much each constraint is missed that is. Raises ValueError without them."""
        needed = [*self.objectives, *(each.metric for each in self.constraints)]
        whole = [entry for entry in entries if all(math.isfinite(entry.get(name, math.nan)) for name in needed)]
        if not whole:
            raise ValueError(f"the objective gave no finite number for each of {', '.join(dict.fromkeys(needed))}")
        if len(self.objectives) == 1 and not self.constraints:
            ((metric, maximize),) = self.objectives.items()
            values = [float(entry[metric]) for entry in whole]
            return {metric: max(values) if maximize else min(values)}, {}
        last = whole[-1]
        missed = {each.metric: each.violation(last[each.metric]) for each in self.constraints}
        return {name: float(last[name]) for name in self.objectives}, {name: by for name, by in missed.items() if by > 0}

    def rank(self, values: Mapping[str, float], violations: Mapping[str, float]) -> tuple[float, ...]:
        """The less, the better: first what is missed of constraints, then the objectives in their order."""
        return (sum(violations.values()), *self.losses(values))

    def losses(self, values: Mapping[str, float]) -> list[float]:
        return [-values[name] if maximize else values[name] for name, maximize in self.objectives.items()]


def _direction(maximize: bool) -> str:
    return "maximize" if maximize else "minimize"


def _constraint(text: str) -> Constraint:
    found = _BOUND.fullmatch(text.strip())
    try:
        bound = float(found[3]) if found else math.nan
    except ValueError:
        bound = math.nan
    if found is None or not math.isfinite(bound):
        raise ValueError(f"a constraint is {text!r}; accepted is METRIC<=NUMBER or METRIC>=NUMBER")
    return Constraint(found[1], bound, found[2] == ">=")


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether one is nowhere worse than the other and somewhere better."""
    return all(a <= b for a, b in zip(one, other)) and any(a < b for a, b in zip(one, other))
