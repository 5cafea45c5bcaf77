"""The picture a notebook shows of a running job: losses, speed and slots against steps, from what the job printed and the server tells."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

EVERY_STEPS = 50
MOST_POINTS = 400

_LINE = re.compile(
    r"Timestamp (?P<millis>\d+), Iteration (?P<iteration>\d+)$"
    r"|Iteration \d+: tag (?P<tag>train_loss|test_loss), simple_value (?P<value>\S+)$"
)


class Curves:
    """What is known of one job's course. Steps count from 1 over all epochs; losses are means over the steps of a point."""

    def __init__(self) -> None:
        self.train: dict[int, tuple[float, float]] = {}
        self.test: list[tuple[int, float]] = []
        self.slots: list[tuple[int, int]] = []
        self.step = 0
        self.steps = 0
        self.epoch = 0
        self.state = ""
        self.reason = ""
        self.held = 0
        self._iteration = 0
        self._per_epoch = 0
        self._millis = 0.0

    def read(self, lines: Iterable[str]) -> None:
        """Take up what rank 0 printed, in order. Lines of the user's own are passed over."""
        for line in lines:
            found = _LINE.match(line.rstrip("\r"))
            if found is None:
                continue
            if found["millis"]:
                iteration = int(found["iteration"])
                if iteration <= self._iteration:
                    self._per_epoch = self._per_epoch or self._iteration
                    self.epoch += 1
                self._iteration, self._millis = iteration, float(found["millis"])
                continue
            try:
                value = float(found["value"])
            except ValueError:
                continue
            here = self.epoch * self._per_epoch + self._iteration
            if found["tag"] == "train_loss":
                self.step = max(self.step, here)
                self.train[here] = (value, self._millis)
            else:
                self.test.append((here, value))

    def describe(self, view: dict[str, Any]) -> None:
        """Take up the server's description."""
        self.state, self.reason, self.held = view["state"], view.get("reason", ""), view.get("slotsHeld", 0)
        self.steps = view.get("steps", 0)
        per_worker = max([len(worker["slots"]) for worker in view["workers"]], default=1)
        self.slots = [(each["step"], each["members"] * max(1, per_worker)) for each in view["switches"]]

    def points(self) -> list[tuple[int, float, float | None]]:
        """(step, mean training loss, mean steps per second) of each stretch of steps."""
        steps = sorted(self.train)
        stretch = max(1, min(EVERY_STEPS, len(steps) // 20), math.ceil(len(steps) / MOST_POINTS))
        points = []
        previous = None
        for first in range(0, len(steps), stretch):
            part = steps[first : first + stretch]
            losses = [self.train[step][0] for step in part]
            end = self.train[part[-1]][1]
            begin, before = (self.train[part[0]][1], part[0]) if previous is None else previous
            seconds = (end - begin) / 1000.0
            speed = (part[-1] - before) / seconds if seconds > 0 else None
            points.append((part[-1], sum(losses) / len(losses), speed))
            previous = end, part[-1]
        return points

    def speed(self) -> float | None:
        """Steps per second over all steps so far; None before the second."""
        steps = sorted(self.train)
        seconds = (self.train[steps[-1]][1] - self.train[steps[0]][1]) / 1000.0 if len(steps) > 1 else 0.0
        return (steps[-1] - steps[0]) / seconds if seconds > 0 else None


def progress_view(name: str) -> Callable[[Curves, bool], None]:
    """What to call with the curves whenever they have grown: draws in a notebook, prints lines elsewhere."""
    try:
        from IPython import get_ipython
        from matplotlib.figure import Figure  # noqa: F401
    except ImportError:
        return _Lines()
    shell = get_ipython()
    return _Picture(name) if shell is not None and getattr(shell, "kernel", None) is not None else _Lines()


class _Lines:
    def __init__(self) -> None:
        self._said = ""
        self._step = -1

    def __call__(self, curves: Curves, ended: bool) -> None:
        if not curves.step and curves.reason and curves.reason != self._said and not ended:
            self._said = curves.reason
            print(f"{curves.state}: {curves.reason}", flush=True)
        if curves.step - max(0, self._step) >= EVERY_STEPS or (ended and curves.step > max(0, self._step)):
            self._step = curves.step
            print(sentence(curves), flush=True)


class _Picture:
    """One output that is drawn anew, only when something has changed; lines before there is anything to draw."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines = _Lines()
        self._handle: Any = None
        self._shown: tuple[Any, ...] | None = None

    def __call__(self, curves: Curves, ended: bool) -> None:
        if not curves.step:
            self._lines(curves, ended)
            return
        seen = (curves.step, len(curves.test), tuple(curves.slots), curves.state)
        if seen == self._shown:
            return
        self._shown = seen
        from IPython.display import Image, display

        image = Image(data=drawn(curves, self._name), format="png", alt=sentence(curves))
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)


def sentence(curves: Curves) -> str:
    """The curves' last values in one line."""
    if not curves.step:
        return f"{curves.state}: {curves.reason}"
    last = curves.points()[-1][1]
    words = [f"step {curves.step}" + (f" of {curves.steps}" if curves.steps else ""), f"train loss {last:.5g}"]
    if curves.test:
        words.append(f"test loss {curves.test[-1][1]:.5g}")
    speed = curves.speed()
    if speed is not None:
        words.append(f"{speed:.3g} steps/s on average")
    if curves.slots:
        words.append(f"{curves.slots[-1][1]} slots")
    return ", ".join(words)


def drawn(curves: Curves, name: str) -> bytes:
    """Two panels as PNG: losses against steps; steps per second and slots against steps."""
    import io

    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 3.8), dpi=100, layout="constrained")
    losses, speeds = figure.subplots(1, 2)
    points = curves.points()
    losses.plot([step for step, _, _ in points], [loss for _, loss, _ in points], color="#1f6fb4", label="train")
    if curves.test:
        losses.plot([step for step, _ in curves.test], [loss for _, loss in curves.test], "o-", color="#d1622b", label="test")
    losses.set(xlabel="steps", ylabel="loss", title="Loss")
    speeds.set(xlabel="steps", ylabel="steps per second", title="Speed and slots")
    slots = speeds.twinx()
    slots.set_ylabel("slots")
    rates = [(step, rate) for step, _, rate in points if rate is not None]
    handles = speeds.plot([step for step, _ in rates], [rate for _, rate in rates], color="#3b8f4b", label="steps per second")
    mean = curves.speed()
    if mean is not None:
        handles += [speeds.axhline(mean, color="#3b8f4b", linestyle=":", label=f"average {mean:.3g}")]
    if curves.slots:
        course = [*curves.slots, (max(curves.step, curves.slots[-1][0]), curves.slots[-1][1])]
        handles += slots.step(
            [step for step, _ in course], [count for _, count in course], where="post", color="#7a4fa3", label="slots"
        )
    most = max([count for _, count in curves.slots], default=1)
    slots.set_ylim(0, most + 1)
    slots.yaxis.set_major_locator(MaxNLocator(integer=True))
    speeds.set_ylim(bottom=0)
    if points:
        losses.legend(loc="upper right")
    speeds.legend(handles=handles, loc="lower right")
    for axes in (losses, speeds):
        axes.set_xlim(0, max(1, curves.steps, curves.step))
        axes.grid(alpha=0.25)
    figure.suptitle(f"{name}: {sentence(curves)}", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
