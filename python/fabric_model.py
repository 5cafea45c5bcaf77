"""`FabricModel`: hands a PyTorch or Keras model to Concertina, which trains it on however many workers the job holds at the moment."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

import torch

from concertina import launch, partition, process
from concertina.batches import MicroBatches, Samples, StepModel, accuracy_percent
from concertina.control import Control
from concertina.engine import Engine, Trainee, exit_process
from concertina.evaluation import Evaluation
from concertina.files import ModelFiles
from concertina.launch import global_batch, require_callable, whole
from concertina.optimizing import Clipping, LossScale, Optimizers, Precision
from concertina.reports import Reporter, training_log
from concertina.sums import chosen

process.prepare_process()


def _keras_backend() -> Any:
    """The Keras side of the runtime, which imports TensorFlow: only for those who use it."""
    from concertina import keras_backend

    keras_backend.prepare()
    return keras_backend


# A script that imports TensorFlow first has imported it before its model draws its first weights.
if os.environ.get("FABRIC_BACKEND") in ("tensorflow", "keras") or os.environ.get("FRAME_WORK") == "edtTensorflow":
    _keras_backend()
elif "tensorflow" in sys.modules and os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
    _keras_backend()


class FabricModel:
    """A model, its data, loss and optimizer, ready to be trained elastically.

    `datasets_function` takes no argument and returns (training set, test set), both with `__len__` and `__getitem__`. `loss_function`
    is called as loss_function(outputs, labels) and averages over the batch. For a Keras model (Keras 3 on TensorFlow) data sets, loss
    and optimizer are Keras', see docs/keras.md. Optional: `metrics` (a function (outputs, labels) →
    accuracy in percent, or "accuracy"), loggers and callbacks (see `callbacks`), `fn_step_train(model, data, eva, train_loader,
    fn_args)` → (accuracy in percent, loss) which runs backward itself, `fn_test(model, test_iter, fn_args)` → loss or (loss, accuracy),
    `fn_test_per_batch` (fn_test is called for each test batch alone, on whichever worker), `fn_batch_collate(samples)` → batch.
    `optimizer` may be a list, tuple or dict of optimizers. `lr_scheduler` (one, or a list, tuple or dict) is stepped after every epoch,
    or with `lr_scheduler_freq="step"` after every step. `max_grad_norm` or `clip_grad_value` clips the mean gradient. `mixed_precision`
    is None, "bf16" or "fp16". Raises ValueError, naming the argument, for anything else.
    """

    def __init__(
        self,
        model: Any,
        datasets_function: Callable[..., Any],
        loss_function: Any,
        optimizer: Any,
        metrics: Any = None,
        driver_logger: Any = None,
        worker_logger: Any = None,
        driver_logger_callback: Any = None,
        worker_logger_callback: Any = None,
        user_callback: Any = None,
        enable_onnx: bool = False,
        save_to_onnx: bool = False,
        fn_step_train: Callable[..., Any] | None = None,
        fn_test: Callable[..., Any] | None = None,
        keras_custom_objects: Any = None,
        fn_batch_collate: Callable[..., Any] | None = None,
        lr_scheduler: Any = None,
        lr_scheduler_freq: str = "epoch",
        max_grad_norm: float | None = None,
        clip_grad_value: float | None = None,
        mixed_precision: str | None = None,
        fn_test_per_batch: bool = False,
        **unknown: Any,
    ):
        if unknown:
            accepted = ", ".join(list(inspect.signature(FabricModel.__init__).parameters)[1:-1])
            raise ValueError(f"FabricModel has no argument {sorted(unknown)[0]!r}; accepted are {accepted}")
        backend = _backend(model)
        require_callable("datasets_function", datasets_function)
        for name, value in (("fn_step_train", fn_step_train), ("fn_test", fn_test), ("fn_batch_collate", fn_batch_collate)):
            if value is not None:
                require_callable(name, value)
        self._onnx = bool(enable_onnx or save_to_onnx)
        self._keras = backend != "pytorch"
        if self._keras:
            keras_backend = _keras_backend()
            for name, given in (
                ("fn_step_train", fn_step_train),
                ("fn_batch_collate", fn_batch_collate),
                ("enable_onnx", self._onnx or None),
                ("lr_scheduler", lr_scheduler),
                ("max_grad_norm", max_grad_norm),
                ("clip_grad_value", clip_grad_value),
                ("mixed_precision", mixed_precision),
            ):
                if given is not None:
                    raise ValueError(f"{name} is for PyTorch models; accepted with a Keras model is none")
            keras_backend.register(keras_custom_objects)
            loss_function = keras_backend.checked_loss(loss_function)
            optimizer = keras_backend.checked_optimizer(optimizer)
            self._accuracy = _accuracy(metrics, keras_backend.accuracy_percent(loss_function))
        else:
            self._optimizers = Optimizers(optimizer, lr_scheduler, lr_scheduler_freq)
            self._clipping = Clipping(max_grad_norm, clip_grad_value)
            Precision.named(mixed_precision)
            self._mixed_precision = mixed_precision
            require_callable("loss_function", loss_function)
            if keras_custom_objects:
                raise ValueError("keras_custom_objects is for Keras models; accepted with a torch.nn.Module is None")
            self._accuracy = _accuracy(metrics, accuracy_percent)
        self.model = model
        self._datasets_function = datasets_function
        self._loss_function = loss_function
        self._optimizer = optimizer
        self._logger = _first(driver_logger, driver_logger_callback, worker_logger, worker_logger_callback)
        self._callbacks = _listed(user_callback)
        self._fn_step_train = fn_step_train
        self._fn_test = fn_test
        if fn_test_per_batch and fn_test is None:
            raise ValueError("fn_test_per_batch is True without fn_test; accepted is that with a function")
        self._fn_test_per_batch = bool(fn_test_per_batch)
        self._collate = fn_batch_collate
        if not os.environ.get("FABRIC_BACKEND"):
            print(f"WARNING: FABRIC_BACKEND is not set, {backend} was detected from the model.")
        print(f"Using {backend} backend.", flush=True)

    def get_optimizer(self) -> Any:
        return self._optimizer

    def get_loss_function(self) -> Any:
        return self._loss_function

    def train(
        self,
        epochs: int,
        batch_size: int,
        engines_number: int | None = None,
        num_dataloader_threads: int = 4,
        validation_freq: int = 1,
        checkpoint_freq: int = 1,
        effective_batch_size: int | None = None,
        scaleup_function: Callable[..., Any] | None = None,
        worker_memory: str | None = None,
        driver_memory: str | None = None,
        sums: str | None = None,
    ) -> None:
        """Train for `epochs` epochs with `batch_size` samples per logical worker and step; `engines_number` logical workers at most.

        Returns in one process only, that of rank 0, after the model was written; the job's other workers end inside this call.
        Frequencies are in epochs, 0 is never. `sums` is "exact" (the same bits on any number of workers) or "float" (faster: adds up in
        the gradients' own precision, and the bits depend on the workers); by default CONCERTINA_SUMS, else "exact". Raises ValueError
        for arguments out of range, and whatever the user's functions raise.
        """
        control: Control | None = None
        try:
            control = launch.connect("train")
            self._train(
                control,
                whole("epochs", epochs, 1),
                whole("batch_size", batch_size, 1),
                None if engines_number is None else whole("engines_number", engines_number, 1),
                whole("num_dataloader_threads", num_dataloader_threads, 0),
                whole("validation_freq", validation_freq, 0),
                whole("checkpoint_freq", checkpoint_freq, 0),
                None if effective_batch_size is None else whole("effective_batch_size", effective_batch_size, 1),
                scaleup_function,
                chosen(sums, os.environ.get("CONCERTINA_SUMS")),
            )
        except Exception as error:
            process.users_lines(error)
            if control is not None:
                last, text = process.described(error)
                control.send({"type": "failed", "error": last, "traceback": text})
                control.close()
            sys.stdout.flush()
            raise
        if control is not None:
            control.close()

    def _train(
        self,
        control: Control | None,
        epochs: int,
        batch_size: int,
        engines_number: int | None,
        loader_threads: int,
        validation_freq: int,
        checkpoint_freq: int,
        effective_batch_size: int | None,
        scaleup_function: Callable[..., Any] | None,
        sums_mode: str,
    ) -> None:
        if engines_number is not None and effective_batch_size is not None:
            raise ValueError(
                f"engines_number is {engines_number} and effective_batch_size is {effective_batch_size}; accepted is one of the two"
            )
        if scaleup_function is not None:
            require_callable("scaleup_function", scaleup_function)
        logical_workers, step_samples = global_batch(batch_size, engines_number, effective_batch_size)
        seed = process.job_seed()
        place = launch.Place(control)
        parts = self._keras_parts if self._keras else self._torch_parts
        trainee, samples, micro_batches, evaluation, files, device = parts(
            batch_size, step_samples, logical_workers, seed, place, loader_threads
        )
        params = {"optimizer": self._optimizer, "epochs": epochs, "batch_size": batch_size}
        engine = Engine(
            trainee,
            samples,
            Reporter(self._training_logger(), self._callbacks, params, self.model),
            place.checkpoints,
            files,
            place.membership,
            place.send,
            epochs,
            logical_workers,
            validation_freq,
            checkpoint_freq,
            device,
            None if scaleup_function is None else lambda epoch, most: _scaled(scaleup_function, epoch, most),
            exit_process,
            place.watch,
            sums_mode,
            place.bucket_bytes,
        )
        place.join(logical_workers, samples.steps_per_epoch, epochs)
        try:
            engine.run(micro_batches, evaluation)
        finally:
            place.close()
            samples.close()

    def _torch_parts(
        self, batch_size: int, step_samples: int, logical_workers: int, seed: int, place: launch.Place, loaders: int
    ) -> tuple[Any, ...]:
        device = process.device()
        self.model.to(device)
        training, test = _datasets(self._datasets_function())
        samples = Samples(training, step_samples, logical_workers, seed, self._collate, loaders, launch.loading_patience())
        scale = LossScale() if self._mixed_precision == "fp16" else None
        model = StepModel(self.model, self._optimizer, self._loss_function, Precision(self._mixed_precision, device), scale)
        loader = TrainLoader(training, batch_size, samples.steps_per_epoch)
        sample = self._sample_inputs(samples, device) if self._onnx else None
        return (
            Trainee(self.model, self._optimizers, device, self._clipping, scale),
            samples,
            MicroBatches(model, samples, self._fn_step_train, self._accuracy, device, loader),
            Evaluation(
                model, test, batch_size, self._fn_test, self._accuracy, device, self._collate, seed, self._fn_test_per_batch
            ),
            ModelFiles(place.results, self.model, self._optimizers.state_dicts, sample),
            device,
        )

    def _keras_parts(
        self, batch_size: int, step_samples: int, logical_workers: int, seed: int, place: launch.Place, loaders: int
    ) -> tuple[Any, ...]:
        backend = _keras_backend()
        backend.require_repeatable()
        backend.seed_randomness(partition.number_from("datasets", seed))
        training, test = _datasets(self._datasets_function())
        samples = backend.KerasSamples(training, step_samples, logical_workers, seed, self.model)
        backend.build(self.model, samples, seed)
        trainee = backend.KerasTrainee(self.model, self._optimizer)
        computation = backend.Computation(self.model, self._loss_function)
        computation.training(*samples.load(0, samples.slices(0)[0]))
        model = backend.KerasStepModel(self.model, self._optimizer, self._loss_function)
        return (
            trainee,
            samples,
            backend.KerasMicroBatches(computation, trainee, samples, self._accuracy, seed),
            backend.KerasEvaluation(
                model, test, batch_size, self._fn_test, self._accuracy, seed, self._fn_test_per_batch, computation
            ),
            backend.KerasFiles(place.results, self.model, self._optimizer),
            torch.device("cpu"),
        )

    def _training_logger(self) -> Any:
        return self._logger if self._logger is not None else training_log()

    def _sample_inputs(self, samples: Samples, device: torch.device) -> Callable[[], tuple[Any, ...]]:
        from concertina.batches import moved, split

        return lambda: split(moved(samples.load(0, samples.slices(0)[0]), device))[0]


class TrainLoader:
    """What a custom step sees as its loader: the data set and the numbers, not an iterator, for the engine picks the samples."""

    def __init__(self, dataset: Any, batch_size: int, steps: int):
        self.dataset = dataset
        self.batch_size = batch_size
        self._steps = steps

    def __len__(self) -> int:
        return self._steps


def _datasets(returned: Any) -> tuple[Any, Any]:
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        raise ValueError(
            f"datasets_function returned a {type(returned).__name__}; accepted is a tuple of training set and test set"
        )
    return returned[0], returned[1]


def _scaled(function: Callable[..., Any], epoch: int, most: int) -> int:
    wanted = function(epoch, most)
    return max(1, min(most, whole("the result of scaleup_function", wanted, 1)))


def _backend(model: Any) -> str:
    """"pytorch", "keras" or "tensorflow"; which of the last two is the user's word for the same."""
    asked = os.environ.get("FABRIC_BACKEND") or ""
    if asked not in ("", "pytorch", "tensorflow", "keras"):
        raise ValueError(f"FABRIC_BACKEND is {asked!r}; accepted are pytorch, tensorflow and keras")
    roots = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    found = "keras" if "keras" in roots else "pytorch" if isinstance(model, torch.nn.Module) else ""
    if not found:
        legacy = " of Keras 2" if "tf_keras" in roots else ""
        raise ValueError(f"model is a {type(model).__name__}{legacy}; accepted is a torch.nn.Module or a Keras 3 model")
    if asked and (asked == "pytorch") != (found == "pytorch"):
        raise ValueError(f"FABRIC_BACKEND is {asked!r}, model is a {type(model).__name__}; accepted with it is {found}, or none")
    return asked or found


def _accuracy(metrics: Any, usual: Callable[..., Any]) -> Any:
    chosen = metrics[0] if isinstance(metrics, (list, tuple)) and len(metrics) == 1 else metrics
    if chosen is None or chosen in ("accuracy", "acc"):
        return usual
    require_callable("metrics", chosen)
    return chosen


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def _first(*candidates: Any) -> Any:
    return next((each for each in candidates if each is not None), None)
