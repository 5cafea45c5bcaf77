"""What rank 0 tells people: log lines, metrics to the user's callbacks, lines on standard output."""

from __future__ import annotations

import datetime
import inspect
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from concertina import metrics, optimizing, state

FLUSH_SECONDS = 0.2
SCHEDULERS = "(schedulers)"


class TrainingLog:
    """The logger used when the user gives none: training-log lines in `<LOG_DIR>/stdout`.

    Readers take the number of columns from the first line, so a test line waits until this file has a train line.
    """

    def __init__(self, folder: str):
        self._path = os.path.join(folder, "stdout")
        self._file = None
        self._waiting: list[str] = []
        self._flushed = 0.0
        self.global_steps = 0

    def on_train_begin(self) -> None:
        if self._file is None:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._file = open(self._path, "a", encoding="utf-8")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def on_train_end(self) -> None:
        if self._file is not None:
            self._file.write("".join(self._waiting))
            self._file.close()
            self._file, self._waiting = None, []

    def log_train_metrics(self, loss: float, acc: float, completed_batch: int, worker: int = 0) -> None:
        self.global_steps += 1
        line = f"Global steps: {self.global_steps},\tIteration: {completed_batch},\t{_rounded(loss, acc)}"
        self._write("Train", line)
        if self._waiting:
            self._file.write("".join(self._waiting))
            self._waiting = []

    def log_test_metrics(self, loss: float, acc: float, completed_batch: int, worker: int = 0) -> None:
        self._write("Test", _rounded(loss, acc))

    def _write(self, kind: str, values: str) -> None:
        now = time.time()
        stamp = datetime.datetime.fromtimestamp(now).strftime("%Y-%m-%d %H:%M:%S")
        line = f"[{stamp}] {kind},\tTimestamp: {int(now * 1000)},\t{values}\n"
        if kind == "Test" and not self._file.tell():
            self._waiting.append(line)
            return
        self._file.write(line)
        if kind == "Test" or now - self._flushed > FLUSH_SECONDS:
            self._file.flush()
            self._flushed = now


def training_log() -> TrainingLog | None:
    """The log in this worker's LOG_DIR, None where the variable is not set."""
    folder = os.environ.get("LOG_DIR")
    return TrainingLog(folder) if folder else None


def _rounded(loss: float, acc: float) -> str:
    return f"Loss: {round(loss, 5)},\tAccuracy: {round(acc / 100.0, 5)}"


class Reporter:
    """Calls the user's logger and callbacks, in whichever of their published signatures, and prints progress lines.

    Lives on every worker, speaks only on rank 0. Plain numbers that logger and callbacks keep as attributes, and the state of
    learning-rate schedulers there, are `memory`: they follow the role of rank 0 from worker to worker.
    """

    def __init__(self, logger: Any, callbacks: list, params: dict, model: Any, output: Callable[[str], None] | None = None):
        self._logger = logger
        self._callbacks = callbacks
        self._params = params
        self._model = model
        self._output = output or _print
        self.begun = False
        self._train_form = _takes_metrics(getattr(logger, "log_train_metrics", None))
        self._test_form = _takes_metrics(getattr(logger, "log_test_metrics", None))
        self._flushed = 0.0

    def begin(self, memory: list | None) -> None:
        """First thing on becoming rank 0."""
        if self.begun:
            return
        self.begun = True
        metrics.lead()
        for callback in self._callbacks:
            callback.params = self._params
            callback.model = self._model
            _call(callback, "on_train_begin")
        if self._logger is not None:
            _call(self._logger, "on_train_begin")
        if memory is not None:
            for each, values in zip(self._rememberers(), memory):
                for name, value in values.items():
                    if name != SCHEDULERS:
                        setattr(each, name, value)
                schedulers = _schedulers(each)
                for name, value in values.get(SCHEDULERS, {}).items():
                    if name in schedulers:
                        optimizing.load_scheduler(schedulers[name], value)

    def memory(self, containers: bool) -> list:
        """Numbers and schedulers' state kept by logger and callbacks; with `containers` also lists, tuples and dicts of values."""
        remembered = []
        for each in self._rememberers():
            values = {}
            for name, value in vars(each).items() if hasattr(each, "__dict__") else ():
                if type(value) in (int, float, bool):
                    values[name] = value
                elif containers and type(value) in (list, tuple, dict) and name != "params":
                    try:
                        tensors: list = []
                        state.encode(value, tensors)
                        if not tensors:
                            values[name] = value
                    except ValueError:
                        continue
            schedulers = {name: optimizing.scheduler_state(each) for name, each in _schedulers(each).items()}
            if schedulers:
                values[SCHEDULERS] = schedulers
            remembered.append(values)
        return remembered

    def step(self, loss: float, accuracy: float, iteration: int, epoch: int, workers: int) -> None:
        """One step is done; `iteration` counts from 1 within its epoch."""
        self._output(
            f"Timestamp {int(time.time() * 1000)}, Iteration {iteration}\nbatches :{iteration} {loss}\n"
            f"Iteration {iteration}: tag train_accuracy, simple_value {accuracy / 100.0}\n"
            f"Iteration {iteration}: tag train_loss, simple_value {loss}"
        )
        if self._logger is not None:
            if self._train_form:
                metrics = {"loss": loss, "accuracy": accuracy}
                self._logger.log_train_metrics(metrics, iteration, epoch, workers)
            else:
                self._logger.log_train_metrics(loss, accuracy, iteration)

    def tested(self, loss: float, accuracy: float, iteration: int, epoch: int) -> None:
        """The test set was evaluated after this many steps of the epoch."""
        self._output(
            f"Iteration {iteration}: tag test_accuracy, simple_value {accuracy / 100.0}\n"
            f"Iteration {iteration}: tag test_loss, simple_value {loss}"
        )
        if os.environ.get("SUBID"):
            try:
                metrics.report(epoch + 1, test_loss=loss, test_accuracy=accuracy / 100.0)
            except OSError as failure:
                self._output(f"the trial's result cannot be written: {failure}")
        if self._logger is not None:
            if self._test_form:
                self._logger.log_test_metrics({"loss": loss, "accuracy": accuracy}, iteration, epoch)
            else:
                self._logger.log_test_metrics(loss, accuracy, iteration)

    def epoch_begin(self, epoch: int) -> None:
        for callback in self._callbacks:
            _call(callback, "on_epoch_begin", epoch)

    def epoch_end(self, epoch: int) -> None:
        for callback in self._callbacks:
            _call(callback, "on_epoch_end", epoch, True)

    def end(self) -> None:
        for callback in self._callbacks:
            _call(callback, "on_train_end")
        if self._logger is not None:
            _call(self._logger, "on_train_end")

    def flush(self) -> None:
        """What the training log holds back reaches its file."""
        if isinstance(self._logger, TrainingLog):
            self._logger.flush()

    def say(self, line: str) -> None:
        self._output(line)
        sys.stdout.flush()

    def _rememberers(self) -> list:
        return ([self._logger] if self._logger is not None else []) + list(self._callbacks)


def _schedulers(holder: Any) -> dict[str, Any]:
    """Learning-rate schedulers among the attributes of a callback, and in lists, tuples and dicts there, by a name for each."""
    found = {}
    for name, value in vars(holder).items() if hasattr(holder, "__dict__") and holder is not None else ():
        if optimizing.is_scheduler(value):
            found[name] = value
        elif type(value) in (list, tuple, dict) and name != "params":
            pairs = value.items() if type(value) is dict else enumerate(value)
            found.update({f"{name}[{key}]": each for key, each in pairs if optimizing.is_scheduler(each)})
    return found


class _Printer:
    def __init__(self) -> None:
        self.flushed = 0.0

    def __call__(self, text: str) -> None:
        print(text)
        now = time.monotonic()
        if now - self.flushed > FLUSH_SECONDS:
            sys.stdout.flush()
            self.flushed = now


_print = _Printer()


def _takes_metrics(method: Callable | None) -> bool:
    """Whether a logging method has the later form (metrics, iteration, epoch[, workers])."""
    if method is None:
        return False
    try:
        names = [parameter.name for parameter in inspect.signature(method).parameters.values()]
    except (TypeError, ValueError):
        return False
    return bool(names) and (names[0] == "metrics" or "iteration" in names[:2])


def _call(target: Any, name: str, *arguments: Any) -> None:
    method = getattr(target, name, None)
    if method is None:
        return
    try:
        parameters = list(inspect.signature(method).parameters.values())
        if not any(each.kind is each.VAR_POSITIONAL for each in parameters):
            positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
            arguments = arguments[: len(positional)]
    except (TypeError, ValueError):
        pass
    method(*arguments)
