"""What user code may override to follow a training: `Callback` for epochs, `LoggerCallback` for metrics."""

from __future__ import annotations

from typing import Any


class Callback:
    """Called on the worker of rank 0. `params` has "optimizer" and "epochs"; `model` is the user's module with current weights.

    Changes to the optimizer's `param_groups` reach all workers with the next step; changes to anything else stay on this worker.
    Learning-rate schedulers kept as attributes, also in a list, tuple or dict, follow the role of rank 0 with their state.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self.model = model

    def on_train_begin(self) -> None:
        """Before the first step, or when this worker takes over as rank 0."""

    def on_train_end(self) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """`epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, save_model: bool = False) -> None:
        """`epoch` counts from 0; `save_model` is true on the one worker that should write the model."""


class LoggerCallback:
    """Receives metrics on the worker of rank 0. `acc` is in percent, `completed_batch` counts steps of the epoch from 1."""

    def on_train_begin(self) -> None:
        """Before the first metric, or when this worker takes over as rank 0."""

    def on_train_end(self) -> None:
        """After the last metric."""

    def log_train_metrics(self, loss: float, acc: float, completed_batch: int, worker: int = 0) -> None:
        """After every step: mean loss and accuracy of the step's samples."""

    def log_test_metrics(self, loss: float, acc: float, completed_batch: int, worker: int = 0) -> None:
        """After every evaluation of the test set."""
