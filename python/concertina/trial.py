"""A trial of a search as its objective sees it, in the worker that computes it; and the kinds of hyperparameters.

An objective asks its trial for values (`real`, `whole`, `choice`) where it needs them. Needs nothing but the standard library.
"""

from __future__ import annotations

import json
import linecache
import math
import os
import pickle
import random
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from concertina import metrics

METRIC = "value"
PROBE = "--learn-the-space"
ASKED = "asked.json"
RESULTS = "val_dict_list.json"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Real:
    """Real numbers from `low` to `high`, both included; evenly in the logarithm with `log`; at multiples of `step` above `low`.

    With `when`, such as {"optimizer": ["sgd"]}, it exists only where an earlier hyperparameter has one of these values.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: Mapping[str, Sequence[Any]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _range(self.low, self.high, self.log, self.step)

    def posted(self) -> dict[str, Any]:
        return {"type": "Range", "dataType": "DOUBLE", "minDbVal": float(self.low), "maxDbVal": float(self.high), **_more(self.log, self.step, self.when)}

    def middle(self) -> float:
        return self._at(0.5)

    def drawn(self, draw: random.Random) -> float:
        return self._at(draw.random())

    def _at(self, part: float) -> float:
        if self.log:
            value = math.exp(math.log(self.low) + part * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + part * (self.high - self.low)
        if self.step:
            value = self.low + round((value - self.low) / self.step) * self.step
            value = value if value <= self.high else value - self.step
        return float(min(max(value, self.low), self.high))

    def read(self, name: str, given: Any) -> float:
        if isinstance(given, (int, float)) and self.low <= given <= self.high:
            return float(given)
        raise ValueError(f"{name} is {given!r} in this trial; accepted by the objective is {self.low} to {self.high}")


@dataclass(frozen=True)
class Whole:
    """Whole numbers from `low` to `high`, both included; evenly in the logarithm with `log`; at multiples of `step` above `low`."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Mapping[str, Sequence[Any]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if any(isinstance(each, bool) or not isinstance(each, int) for each in (self.low, self.high, self.step)):
            raise ValueError(f"the range is {self.low!r} to {self.high!r} by {self.step!r}; accepted are whole numbers")
        _range(self.low, self.high, self.log, None if self.step == 1 else self.step)

    def posted(self) -> dict[str, Any]:
        step = None if self.step == 1 else self.step
        return {"type": "Range", "dataType": "INT", "minIntVal": self.low, "maxIntVal": self.high, **_more(self.log, step, self.when)}

    def middle(self) -> int:
        return self._at(0.5)

    def drawn(self, draw: random.Random) -> int:
        return self._at(draw.random())

    def _at(self, part: float) -> int:
        value = Real(self.low, self.high, self.log)._at(part)
        return self.low + min(round((value - self.low) / self.step), (self.high - self.low) // self.step) * self.step

    def read(self, name: str, given: Any) -> int:
        if isinstance(given, int) and self.low <= given <= self.high:
            return given
        raise ValueError(f"{name} is {given!r} in this trial; accepted by the objective is {self.low} to {self.high}")


@dataclass(frozen=True)
class Choice:
    """One of some values, whatever they are; they are told apart by their text."""

    values: tuple[Any, ...]
    when: Mapping[str, Sequence[Any]] | None = field(default=None, compare=False)

    def __init__(self, values: Sequence[Any], when: Mapping[str, Sequence[Any]] | None = None):
        object.__setattr__(self, "values", tuple(values))
        object.__setattr__(self, "when", when)
        texts = [str(value) for value in self.values]
        if not texts or len(set(texts)) < len(texts) or any(not text.strip() for text in texts):
            raise ValueError(f"the values are {list(self.values)!r}; accepted is at least one, all of different texts")

    def posted(self) -> dict[str, Any]:
        more = _more(False, None, self.when)
        if all(type(value) is int for value in self.values):
            return {"type": "Discrete", "dataType": "INT", "discreteIntVal": list(self.values), **more}
        if all(type(value) in (int, float) and math.isfinite(value) for value in self.values):
            return {"type": "Discrete", "dataType": "DOUBLE", "discreteDbVal": [float(value) for value in self.values], **more}
        # The contract's spelling.
        return {"type": "Discrete", "dataType": "STR", "discreateStrVal": [str(value) for value in self.values], **more}

    def middle(self) -> Any:
        return self.values[0]

    def drawn(self, draw: random.Random) -> Any:
        return draw.choice(self.values)

    def read(self, name: str, given: Any) -> Any:
        for value in self.values:
            number = isinstance(given, (int, float)) and type(value) in (int, float)
            if value == given if number else str(value) == str(given):
                return value
        raise ValueError(f"{name} is {given!r} in this trial; accepted by the objective is one of {list(self.values)}")




def _range(low: float, high: float, log: bool, step: float | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"the range is {low!r} to {high!r}; accepted are finite numbers, the first not above the second")
    if log and low <= 0:
        raise ValueError(f"the range begins at {low!r}; accepted is more than 0 on a logarithmic scale")
    if step is not None and (log or not step > 0):
        raise ValueError(f"step is {step!r}; accepted is a number above 0, and none on a logarithmic scale")


def _more(log: bool, step: float | None, when: Mapping[str, Sequence[Any]] | None) -> dict[str, Any]:
    more: dict[str, Any] = {**({"scale": "log"} if log else {}), **({"step": step} if step else {})}
    if when is not None:
        if len(when) != 1 or any(isinstance(values, str) or not values for values in when.values()):
            raise ValueError(f"when is {when!r}; accepted is one earlier hyperparameter with its values, such as {{'optimizer': ['sgd']}}")
        ((name, values),) = when.items()
        more["when"] = {"name": name, "values": [str(value) for value in values]}
    return more


class Trial:
    """One trial. `number` counts from 0; -1 in the first job of a search whose space is learnt, which runs with the middle of all ranges.

    A parameter that the search does not know, because the first job did not come past it, is drawn at random and recorded.
    """

    def __init__(self, number: int, given: dict[str, Any] | None, results: Path):
        self.number = number
        self._given = given
        self._results = results
        self._kinds: dict[str, Real | Whole | Choice] = {}
        self._values: dict[str, Any] = {}
        self._reports: list[dict[str, float]] = []

    def real(self, name: str, low: float, high: float, *, log: bool = False, step: float | None = None) -> float:
        value: float = self._ask(name, Real(low, high, log, step))
        return value

    def whole(self, name: str, low: int, high: int, *, log: bool = False, step: int = 1) -> int:
        value: int = self._ask(name, Whole(low, high, log, step))
        return value

    def choice(self, name: str, values: Sequence[_T]) -> _T:
        value: _T = self._ask(name, Choice(values))
        return value

    def resource(self, name: str, first: float) -> float:
        """How much of its resource the algorithm gives this trial (Hyperband, ASHA, BOHB, PBT); `name` is its ResourceName.

        `first` is what the job gets that learns the space.
        """
        if self._given is None:
            return first
        if name not in self._given:
            raise ValueError(f"{name} is not given to this trial; accepted is the algorithm's ResourceName")
        return float(self._given[name])

    @property
    def folder(self) -> Path:
        """Where the trial leaves what a later one may go on from."""
        return self._results / "model"

    @property
    def parent_folder(self) -> Path | None:
        """What the trial that this one goes on from left in its `folder`; None for a fresh start."""
        parent = os.environ.get("CONCERTINA_PARENT_RESULT")
        return Path(parent, "model") if parent else None

    def report(self, value: float | Mapping[str, float], step: int | None = None) -> None:
        """Say how far it is; counts as a result: a trial's value is the best of what it reported and returned.

        A search with early stopping hears it as it comes; `step` then grows from call to call.

        In a search with several objectives or constraints `value` is a mapping of their names to numbers, and the last one counts.
        """
        metrics.line(self._report(value, step))

    def _report(self, value: float | Mapping[str, float], step: int | None = None) -> dict[str, float]:
        numbers = {METRIC: float(value)} if not isinstance(value, Mapping) else {str(name): float(each) for name, each in value.items()}
        entry = {"steps": len(self._reports) + 1 if step is None else step, **numbers}
        self._reports.append(entry)
        self._write(RESULTS, self._reports)
        return entry

    def _ask(self, name: str, kind: Real | Whole | Choice) -> Any:
        if name in self._values:
            if self._kinds[name] != kind:
                raise ValueError(f"{name} is asked for as {kind} and as {self._kinds[name]}; accepted is one of them")
            return self._values[name]
        if self._given is None:
            value = kind.middle()
        elif name in self._given:
            value = kind.read(name, self._given[name])
        else:
            value = kind.drawn(random.Random(f"{self.number}:{name}"))
        self._kinds[name] = kind
        self._values[name] = value
        return value

    def _asked(self) -> list[dict[str, Any]]:
        """Every parameter that was asked for: name, value, whether the search knew it, and what it can be."""
        return [
            {
                "value": value if isinstance(value, (int, float, str)) else str(value),
                "known": self._given is not None and name in self._given,
                **self._kinds[name].posted(),
                "name": name,
            }
            for name, value in self._values.items()
        ]

    def _finish(self, value: Any) -> None:
        numbers = value.values() if isinstance(value, Mapping) else [value]
        if not numbers or any(isinstance(each, bool) or not hasattr(each, "__float__") for each in numbers):
            raise TypeError(f"the objective returned {value!r}; accepted is a number, or a dict of numbers")
        self._write(ASKED, self._asked())
        self._report(value)

    def _write(self, name: str, content: Any) -> None:
        incoming = self._results / f".{name}.{os.getpid()}"
        incoming.write_text(json.dumps(content), encoding="utf-8")
        os.replace(incoming, self._results / name)


def run_packed(folder: str) -> None:
    """In a trial's worker: read the objective that lies in this folder and compute it. An error shows the user's own lines, no others."""
    about = json.loads(Path(folder, "packed.json").read_text(encoding="utf-8"))
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if about["python"] != here:
        raise SystemExit(f"The objective comes from Python {about['python']}; this worker runs Python {here}; accepted is the same version.")
    probe = PROBE in sys.argv[1:]
    given = None if probe else json.loads(Path("config.json").read_text(encoding="utf-8"))
    trial = Trial(-1 if probe else int(os.environ.get("SUBID") or 0), given, Path(os.environ["RESULT_DIR"]))
    try:
        for name, text in about["sources"].items():
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        with open(os.path.join(folder, "packed.pickle"), "rb") as file:
            objective = pickle.load(file)
        trial._finish(objective(trial))
    except Exception as error:
        from concertina import process

        process.users_lines(error)
        traceback.print_exception(error)
        sys.exit(1)
