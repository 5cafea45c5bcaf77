"""Elastic training for people who keep their own loop: `elastic` hands out this worker's micro-batches, the loop computes them.

Import it before the model is built (`from concertina import elastic`): the import seeds torch, so that every worker builds the same
first weights.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import IterableDataset

from concertina import batches, launch, partition, process
from concertina.batches import Samples
from concertina.control import Control
from concertina.engine import Engine, EpochEnd, MicroBatch, Trainee, exit_process
from concertina.files import ModelFiles
from concertina.optimizing import Clipping, Optimizers
from concertina.reports import Reporter, training_log
from concertina.sums import chosen

process.prepare_process()


class Epoch:
    """One pass over the data set, from this worker's view; iterating over it yields the batches this worker is to compute.

    `number` counts from 0, `steps` are its optimizer steps. After the last batch `leader` is true on the one worker that evaluates,
    saves and prints. When a leader dies at that point its successor is handed the same epoch again, without batches and with `leader`
    true: what has to happen once belongs under `if epoch.leader`.
    """

    def __init__(self, job: ElasticJob, number: int):
        self.number = number
        self.steps = job.steps_per_epoch
        self.leader = False
        self._job = job
        self._end: EpochEnd | None = None

    def __iter__(self) -> Iterator[Any]:
        return self._job._batches(self)

    def report(self, loss: float | torch.Tensor, accuracy: float | torch.Tensor = 0.0) -> None:
        """Tell the platform how the model does on a test set; `accuracy` in percent. Without effect unless `leader`."""
        if self._end is not None and self.leader:
            self._end.tested = (_number("loss", loss), _percent(accuracy))

    def save(self) -> None:
        """Write model_epoch_<n>.pth and its optimizer state below RESULT_DIR/model/train, n from 1. Without effect unless `leader`."""
        if self.leader:
            self._job._files.epoch(self.number + 1)


class ElasticJob:
    """A training in progress; made by `elastic`, used by one thread, once."""

    def __init__(
        self,
        model: torch.nn.Module,
        optimizers: Optimizers,
        clipping: Clipping,
        samples: Samples,
        epochs: int,
        logical_workers: int,
        sums_mode: str,
        control: Control | None,
    ):
        self.device = process.device()
        self.epochs_wanted = epochs
        self.logical_workers = logical_workers
        self.steps_per_epoch = samples.steps_per_epoch
        self._control = control
        self._samples = samples
        model.to(self.device)
        self._trainee = Trainee(model, optimizers, self.device, clipping, None)
        self._place = launch.Place(control)
        self._files = ModelFiles(self._place.results, model, optimizers.state_dicts, None)
        self._engine = Engine(
            self._trainee,
            samples,
            Reporter(training_log(), [], {}, model),
            self._place.checkpoints,
            self._files,
            self._place.membership,
            self._place.send,
            epochs,
            logical_workers,
            1,
            0,
            self.device,
            None,
            exit_process,
            self._place.watch,
            sums_mode,
            self._place.bucket_bytes,
        )
        self._course: Iterator[Any] | None = None
        self._next: MicroBatch | EpochEnd | None = None
        self._open: MicroBatch | None = None
        self._lost: float | None = None
        self._told: float | None = None
        self._done = False
        self._over = False
        self._replaced = [_guard(each, self._trainee) for each in optimizers.all]
        self._former_hook = sys.excepthook
        sys.excepthook = self._hook
        atexit.register(self._script_ended)

    @property
    def step(self) -> int:
        """Steps completed over all epochs, by whichever workers."""
        return max(0, self._engine.step)

    def epochs(self) -> Iterator[Epoch]:
        """The epochs still to do, each to be iterated over to its end. Ends on the leader alone; the other workers end in here.

        Raises RuntimeError when called twice, or when an epoch's loop was left early.
        """
        if self._course is not None:
            raise RuntimeError("epochs was called again; accepted is one call for each elastic(…)")
        self._course = self._engine.course()
        return self._walk()

    def backward(self, loss: torch.Tensor) -> None:
        """loss.backward(), and the loss is told to the platform; several losses of one batch add up. `loss` has one element."""
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            shape = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else f"a {type(loss).__name__}"
            raise ValueError(f"loss is {shape}; accepted is a tensor with one element, the mean over the batch")
        self._require_open("backward")
        loss.backward()
        value = float(loss.detach())
        self._lost = value if self._lost is None else self._lost + value

    def report(self, loss: float | torch.Tensor | None = None, accuracy: float | torch.Tensor | None = None) -> None:
        """Figures of the batch at hand, means over its samples, for log and curve; `accuracy` in percent, `loss` replaces backward's."""
        micro_batch = self._require_open("report")
        if loss is not None:
            self._told = _number("loss", loss)
        if accuracy is not None:
            micro_batch.accuracy = _percent(accuracy)

    def save(self, name: str, content: Any) -> Path:
        """torch.save to RESULT_DIR/model/<name>, whole or not at all; for the leader. Returns the path."""
        folder = (self._place.results / "model").resolve()
        path = (folder / name).resolve()
        if not name or folder not in path.parents:
            raise ValueError(f"name is {name!r}; accepted is a path below {folder}")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        torch.save(content, temporary)
        os.replace(temporary, path)
        return path

    def finish(self) -> None:
        """Check that the training is complete and let go of the job; also done at the end of `epochs` and of the with block."""
        if self._over:
            return
        if not self._done:
            raise RuntimeError(
                f"the training was left after {self.step} of {self.steps_per_epoch * self.epochs_wanted} steps; accepted is to go "
                "through every batch of every epoch"
            )
        self._let_go()

    def __enter__(self) -> ElasticJob:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            self._fail(error)
        else:
            try:
                self.finish()
            except RuntimeError as left:
                self._fail(left)
                raise

    # The course, item by item

    def _walk(self) -> Iterator[Epoch]:
        self._place.join(self.logical_workers, self.steps_per_epoch, self.epochs_wanted)
        while True:
            due = self._peek()
            if due is None:
                break
            if isinstance(due, EpochEnd) and not due.leader:
                self._take()
                continue
            number = self._epoch_of(due)
            yield Epoch(self, number)
            if self._next is due or self._open is not None:
                raise RuntimeError(
                    f"the loop over epoch {number} was left early, in step {self.step % self.steps_per_epoch} of "
                    f"{self.steps_per_epoch}; accepted is to go through all its batches"
                )
        self._done = True
        self._let_go()

    def _batches(self, epoch: Epoch) -> Iterator[Any]:
        while True:
            due = self._peek()
            if due is None or self._epoch_of(due) != epoch.number:
                return
            if isinstance(due, EpochEnd):
                self._take()
                epoch.leader, epoch._end = due.leader, due
                if due.leader:
                    batches.seed_randomness(partition.number_from("test", process.job_seed(), due.epoch))
                return
            self._take()
            self._begin(due)
            yield self._samples.batch(due.step, due.logical_worker, due.positions, self.device)

    def _peek(self) -> MicroBatch | EpochEnd | None:
        if self._next is None:
            self._close()
            assert self._course is not None
            self._next = next(self._course, None)
        return self._next

    def _take(self) -> None:
        self._next = None

    def _epoch_of(self, due: MicroBatch | EpochEnd) -> int:
        return due.epoch if isinstance(due, EpochEnd) else due.step // self.steps_per_epoch

    def _begin(self, due: MicroBatch) -> None:
        self._open, self._lost, self._told = due, None, None
        self._trainee.forget_gradients()

    def _close(self) -> None:
        """The batch at hand has been through the loop's body: hand its figures to the engine."""
        micro_batch, self._open = self._open, None
        if micro_batch is None:
            return
        loss = self._lost if self._told is None else self._told
        without_gradient = all(each is None for each in self._trainee.gradients())
        if loss is None or without_gradient:
            missing = "a gradient" if without_gradient else "a loss"
            raise RuntimeError(
                f"a batch of step {micro_batch.step} ended without {missing}; accepted is job.backward(loss), or loss.backward() and "
                "job.report(loss=loss)"
            )
        micro_batch.loss = loss

    def _require_open(self, name: str) -> MicroBatch:
        if self._open is None:
            raise RuntimeError(f"{name} was called outside of the loop over an epoch's batches; accepted is inside, once it has a batch")
        return self._open

    # The end

    def _let_go(self) -> None:
        self._over = True
        self._samples.close()
        self._place.close()
        if self._control is not None:
            self._control.close()
        if sys.excepthook == self._hook:
            sys.excepthook = self._former_hook
        atexit.unregister(self._script_ended)
        for undo in self._replaced:
            undo()

    def _fail(self, error: BaseException) -> None:
        """Tell the server why this script ends, with the user's own lines; SystemExit is told when the script has ended."""
        if self._over or isinstance(error, SystemExit):
            return
        process.users_lines(error)
        _tell_failure(self._control, error)
        self._let_go()

    def _hook(self, kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
        former = self._former_hook
        self._fail(error)
        former(kind, error, error.__traceback__)

    def _script_ended(self) -> None:
        """The script is over, the training is not: in a job that is a failure, whatever the exit code."""
        try:
            self.finish()
        except RuntimeError as left:
            print(f"RuntimeError: {left}", file=sys.stderr)
            if self._control is not None:
                self._fail(left)
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(1)


def elastic(
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | Mapping[str, torch.optim.Optimizer],
    dataset: Any,
    *,
    batch_size: int,
    epochs: int,
    logical_workers: int | None = None,
    collate: Callable[[list[Any]], Any] | None = None,
    lr_scheduler: Any | None = None,
    lr_scheduler_interval: str = "epoch",
    clip_gradient_norm: float | None = None,
    sums: str | None = None,
    loading_processes: int = 0,
) -> ElasticJob:
    """Make a loop's training elastic; without a platform it trains the same way on the one worker there is.

    model, optimizer    built alike in every worker, on the CPU; the model is moved to the worker's device. Several optimizers, each
                        parameter in one of them, are a list, tuple or dict
    dataset             with __len__ and __getitem__: a sample is reached by its number from whichever worker computes it
    batch_size          samples of one batch, that is of one logical worker in one step; a step has logical_workers times as many
    logical_workers     shares of a step, and the most workers that can compute; default: what the job was submitted for, else 1
    collate             list of samples → batch; default: torch's
    lr_scheduler        stepped here after each "epoch" or "step" (lr_scheduler_interval), part of the state; never step it yourself
    sums                "exact" or "float", see docs/guarantees.md; default: the job's CONCERTINA_SUMS, else "exact"
    loading_processes   processes, at most, in which a worker loads its next batches while it computes; docs/fabric-model.md
    clip_gradient_norm  greatest 2-norm of the step's mean gradient

    Raises ValueError naming argument, value and what is accepted.
    """
    control = launch.connect("elastic")
    try:
        if not isinstance(model, torch.nn.Module):
            raise ValueError(f"model is a {type(model).__name__}; accepted is a torch.nn.Module")
        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise ValueError(
                f"dataset is a {type(dataset).__name__}; accepted is a data set with __len__ and __getitem__, because a sample must be "
                "reachable by its number from whichever worker computes it"
            )
        if len(dataset) < 1:
            raise ValueError("dataset has 0 samples; accepted is at least 1")
        if collate is not None:
            launch.require_callable("collate", collate)
        batch_size = launch.whole("batch_size", batch_size, 1)
        wanted = None if logical_workers is None else launch.whole("logical_workers", logical_workers, 1)
        count, step_samples = launch.global_batch(batch_size, wanted, None)
        loaders = launch.whole("loading_processes", loading_processes, 0)
        samples = Samples(dataset, step_samples, count, process.job_seed(), collate, loaders, launch.loading_patience())
        if lr_scheduler_interval not in ("epoch", "step"):
            raise ValueError(f"lr_scheduler_interval is {lr_scheduler_interval!r}; accepted are 'epoch' and 'step'")
        if isinstance(lr_scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise ValueError("lr_scheduler is a ReduceLROnPlateau; accepted is a scheduler of torch.optim.lr_scheduler whose step takes no metric")
        if clip_gradient_norm is not None and not 0.0 < _number("clip_gradient_norm", clip_gradient_norm) < float("inf"):
            raise ValueError(f"clip_gradient_norm is {clip_gradient_norm!r}; accepted is a number above 0")
        return ElasticJob(
            model,
            Optimizers(optimizer, lr_scheduler, lr_scheduler_interval),
            Clipping(clip_gradient_norm, None),
            samples,
            launch.whole("epochs", epochs, 1),
            count,
            chosen(sums, os.environ.get("CONCERTINA_SUMS")),
            control,
        )
    except Exception as error:
        process.users_lines(error)
        _tell_failure(control, error)
        if control is not None:
            control.close()
        raise


def _tell_failure(control: Control | None, error: BaseException) -> None:
    if control is not None:
        last, text = process.described(error)
        control.send({"type": "failed", "error": last, "traceback": text})
    sys.stdout.flush()


def _guard(optimizer: torch.optim.Optimizer, trainee: Trainee) -> Callable[[], None]:
    """Refuse steps that are not the engine's: they would change this worker's weights alone. Returns what undoes it."""
    own, before = optimizer.step, vars(optimizer).get("step")

    @functools.wraps(own)
    def step(_: torch.optim.Optimizer, *arguments: Any, **named: Any) -> Any:
        if not trainee.descending:
            raise RuntimeError(
                "optimizer.step was called in an elastic loop; accepted is to leave it out: the step follows when all workers' gradients "
                "are summed"
            )
        return own(*arguments, **named)

    setattr(optimizer, "step", types.MethodType(step, optimizer))

    def undo() -> None:
        if before is None:
            vars(optimizer).pop("step", None)
        else:
            setattr(optimizer, "step", before)

    return undo


def _number(name: str, value: Any) -> float:
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} is {value!r}; accepted is a number or a tensor with one element") from None


def _percent(accuracy: Any) -> float:
    value = _number("accuracy", accuracy)
    if not 0.0 <= value <= 100.0:
        raise ValueError(f"accuracy is {value!r}; accepted is a percentage, 0 to 100")
    return value
