"""Training a LightningModule elastically: its `training_step` and `configure_optimizers` in the loop of `concertina.elastic`.

Lightning itself is not imported: whatever module has these two methods will do. Lightning's Trainer takes no part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler

from concertina import batches
from concertina.native import ElasticJob, Epoch, elastic

# Hooks that would change what a step does, or be called on each worker at another time than Lightning calls them.
REFUSED = (
    "backward",
    "configure_gradient_clipping",
    "lr_scheduler_step",
    "on_after_backward",
    "on_after_batch_transfer",
    "on_before_backward",
    "on_before_batch_transfer",
    "on_before_optimizer_step",
    "on_before_zero_grad",
    "on_train_batch_end",
    "on_train_batch_start",
    "on_train_end",
    "on_train_epoch_end",
    "on_train_epoch_start",
    "on_train_start",
    "optimizer_step",
    "optimizer_zero_grad",
    "transfer_batch_to_device",
)


def fit(
    module: Any,
    train: DataLoader,
    validation: DataLoader | None = None,
    *,
    epochs: int,
    logical_workers: int | None = None,
    accuracy: str | None = None,
    clip_gradient_norm: float | None = None,
) -> None:
    """Train `module` as Trainer.fit does, on however many workers the job holds. Returns on one of them.

    train          its data set, batch size (of one logical worker), collate function and num_workers are used; every epoch is
                   shuffled anew
    validation     `validation_step` runs on it after each epoch, on one worker
    accuracy       name under which the steps log an accuracy, from 0 to 1, with or without train_ and val_ before it; it goes to
                   the platform's log

    Raises ValueError for hooks, loaders, optimizers and schedulers that are not supported, naming them.
    """
    for name in ("training_step", "configure_optimizers"):
        if not callable(getattr(module, name, None)):
            raise ValueError(f"module is a {type(module).__name__} without {name}; accepted is a LightningModule")
    for name in REFUSED:
        if _overridden(module, name):
            raise ValueError(f"{type(module).__name__} has a {name}; accepted are training_step, validation_step and hooks around them")
    if not getattr(module, "automatic_optimization", True):
        raise ValueError("automatic_optimization is False; accepted is True")
    batch_size = _require_loader("train", train)
    if validation is not None and not isinstance(validation, DataLoader):
        raise ValueError(f"validation is a {type(validation).__name__}; accepted is a DataLoader or None")
    progress = Progress(epochs)
    _attach(module, progress)
    optimizer, scheduler, interval = _configured(module.configure_optimizers())
    job = elastic(
        module,
        optimizer,
        train.dataset,
        batch_size=batch_size,
        epochs=epochs,
        logical_workers=logical_workers,
        collate=train.collate_fn,
        lr_scheduler=scheduler,
        lr_scheduler_interval=interval,
        clip_gradient_norm=clip_gradient_norm,
        loading_processes=train.num_workers,
    )
    for epoch in job.epochs():
        progress.current_epoch = epoch.number
        for batch in epoch:
            progress.global_step = job.step
            progress.logged.clear()
            result = module.training_step(batch, job.step % job.steps_per_epoch)
            job.backward(result["loss"] if isinstance(result, dict) else result)
            figure = progress.figure(accuracy)
            if figure is not None:
                job.report(accuracy=100.0 * figure)
        if epoch.leader and validation is not None and callable(getattr(module, "validation_step", None)):
            progress.global_step = job.step
            _validate(module, validation, job, epoch, progress, accuracy)


class Progress:
    """What a module may ask of `self.trainer` while there is no Trainer."""

    def __init__(self, epochs: int):
        self.max_epochs = epochs
        self.current_epoch = 0
        self.global_step = 0
        self.global_rank = 0
        self.loggers: list[Any] = []
        self.logger = None
        self.logged: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"trainer has no {name!r} in Concertina; accepted are {', '.join(vars(self))}")

    def log(self, name: str, value: Any, *_: Any, **__: Any) -> None:
        self.logged[name] = float(value.detach() if isinstance(value, torch.Tensor) else value)

    def log_dict(self, values: Any, *_: Any, **__: Any) -> None:
        for name, value in values.items():
            self.log(name, value)

    def figure(self, name: str | None) -> float | None:
        """What the last step logged as `name`, train_`name` or val_`name`."""
        return next((self.logged[each] for each in (name, f"train_{name}", f"val_{name}") if each in self.logged), None)


def _validate(
    module: Any, validation: DataLoader, job: ElasticJob, epoch: Epoch, progress: Progress, accuracy: str | None
) -> None:
    """Means over samples of the losses that `validation_step` returns and of the accuracies that it logs go to the platform."""
    losses, accuracies, count = 0.0, 0.0, 0
    module.eval()
    with torch.no_grad():
        _call(module, "on_validation_epoch_start")
        for number, batch in enumerate(validation):
            progress.logged.clear()
            result = module.validation_step(batches.moved(batch, job.device), number)
            loss = result["loss"] if isinstance(result, dict) else result
            size = _size(batch)
            loss = progress.logged.get("val_loss") if loss is None else loss
            if loss is None:
                raise ValueError("validation_step neither returned a loss nor logged val_loss; accepted is one of the two")
            losses += size * float(loss)
            accuracies += size * (progress.figure(accuracy) or 0.0)
            count += size
        _call(module, "on_validation_epoch_end")
    module.train()
    if count:
        epoch.report(losses / count, 100.0 * accuracies / count)


def _call(module: Any, name: str) -> None:
    method = getattr(module, name, None)
    if callable(method):
        method()


def _size(batch: Any) -> int:
    return next((len(each) for each in _tensors(batch) if each.dim()), 1)


def _tensors(batch: Any) -> Iterator[torch.Tensor]:
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, (list, tuple, dict)):
        for each in batch.values() if isinstance(batch, dict) else batch:
            yield from _tensors(each)


def _overridden(module: Any, name: str) -> bool:
    """Whether a class of the user's, not one of Lightning's, defines this method."""
    owner = next((each for each in type(module).__mro__ if name in vars(each)), None)
    return owner is not None and owner.__module__.partition(".")[0] not in ("lightning", "pytorch_lightning", "torch")


def _require_loader(name: str, loader: Any) -> int:
    """Its batch size. Raises ValueError when batches would not be the data set's samples, each once."""
    if not isinstance(loader, DataLoader) or loader.batch_size is None:
        raise ValueError(f"{name} is a {type(loader).__name__}; accepted is a DataLoader with a batch size")
    if type(loader.sampler) not in (RandomSampler, SequentialSampler) or loader.drop_last:
        what = "drop_last" if loader.drop_last else f"a {type(loader.sampler).__name__}"
        raise ValueError(f"{name} has {what}; accepted is a DataLoader that goes through its whole data set once an epoch")
    return int(loader.batch_size)


def _attach(module: Any, progress: Progress) -> None:
    object.__setattr__(module, "log", progress.log)
    object.__setattr__(module, "log_dict", progress.log_dict)
    if isinstance(getattr(type(module), "trainer", None), property):
        module.trainer = progress


def _configured(configured: Any) -> tuple[torch.optim.Optimizer, Any, str]:
    """Optimizer, scheduler or None, and the scheduler's interval, from what `configure_optimizers` may return."""
    scheduler: Any = None
    if isinstance(configured, tuple) and len(configured) == 2 and all(isinstance(each, list) for each in configured):
        configured, scheduler = configured[0], configured[1] or None
    if isinstance(configured, dict):
        configured, scheduler = configured.get("optimizer"), configured.get("lr_scheduler")
    optimizers = configured if isinstance(configured, (list, tuple)) else [configured]
    schedulers = scheduler if isinstance(scheduler, list) else [scheduler]
    if len(optimizers) != 1 or len(schedulers) != 1:
        raise ValueError(
            f"configure_optimizers returned {len(optimizers)} optimizers and {len(schedulers)} schedulers; accepted are one and at most one"
        )
    (scheduler,) = schedulers
    interval = "epoch"
    if isinstance(scheduler, dict):
        if scheduler.get("frequency", 1) != 1:
            raise ValueError(f"the scheduler's frequency is {scheduler['frequency']!r}; accepted is 1")
        interval, scheduler = scheduler.get("interval", "epoch"), scheduler.get("scheduler")
    return optimizers[0], scheduler, interval
