"""Keras models for the engine: the same duties as `engine.Trainee`, `batches` and `files` do for PyTorch, on TensorFlow.

The engine's buffers stay torch tensors in main memory; numpy is the common ground. A training step is compiled once for each shape
of a sample, with the number of samples left open, so that its bits do not depend on which sizes a worker happened to see first.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import torch

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

try:
    import tensorflow
except ImportError as error:
    raise ImportError(
        f"TensorFlow cannot be imported ({error}); run '{sys.executable} -m pip install tensorflow' or 'tensorflow-cpu'"
    ) from None

import keras  # noqa: E402

from concertina import batches, partition, state  # noqa: E402
from concertina.evaluation import Judge, Row, mean  # noqa: E402
from concertina.keras_data import source_of  # noqa: E402

# Operations whose random numbers live in a kernel and not in a variable: nobody can set them for a (step, logical worker).
UNREPEATABLE = {
    "RandomUniform",
    "RandomUniformInt",
    "RandomStandardNormal",
    "TruncatedNormal",
    "ParameterizedTruncatedNormal",
    "RandomShuffle",
    "RandomGamma",
    "RandomPoisson",
    "RandomPoissonV2",
    "Multinomial",
}
_prepared = False
_hindrance = ""


def prepare() -> None:
    """Make TensorFlow repeatable in this process: deterministic kernels, and OMP_NUM_THREADS threads within an operation.

    Where TensorFlow has computed before with another number of threads, that can no longer be changed: `require_repeatable` tells.
    """
    global _prepared, _hindrance
    if _prepared:
        return
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(f"KERAS_BACKEND is {keras.backend.backend()!r}; accepted is tensorflow")
    wanted = torch.get_num_threads()
    threading = tensorflow.config.threading
    try:
        threading.set_intra_op_parallelism_threads(wanted)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        # TensorFlow took its numbers from the environment when it first computed.
        actual = threading.get_intra_op_parallelism_threads() or os.environ.get("TF_NUM_INTRAOP_THREADS")
        if str(actual) != str(wanted):
            _hindrance = (
                "TensorFlow computed before fabric_model was imported, with a number of threads of its own; accepted is "
                f"'from fabric_model import FabricModel' before that, or TF_NUM_INTRAOP_THREADS={wanted}"
            )
    tensorflow.config.experimental.enable_op_determinism()
    seed_randomness(partition.number_from("script", _job_seed()))
    _prepared = True


def require_repeatable() -> None:
    """Raises RuntimeError where a training in this process would have other bits than on other workers."""
    if _hindrance:
        raise RuntimeError(_hindrance)


def _job_seed() -> int:
    from concertina import process

    return process.job_seed()


def seed_randomness(number: int) -> None:
    """Seed torch, random, numpy, TensorFlow and Keras."""
    keras.utils.set_random_seed(number & 0x7FFFFFFF)
    batches.seed_randomness(number)


class KerasTrainee:
    """What is trained: a built Keras model and its optimizer. One per process, used by the training thread."""

    def __init__(self, model: Any, optimizer: Any):
        self.model = model
        self.optimizer = optimizer
        self._variables = list(model.trainable_variables)
        if not self._variables:
            raise ValueError("model has no weights to train; accepted is a model with at least one")
        for each in model.weights:
            if not hasattr(torch, each.dtype):
                raise ValueError(f"weight {each.path} has type {each.dtype}; accepted are types that PyTorch has too")
        self._buffers = list(model.non_trainable_weights)
        optimizer.build(self._variables)
        self.parameters = [torch.empty(tuple(each.shape), device="meta") for each in self._variables]
        dtypes = {each.dtype for each in self._variables}
        self.gradient_dtype = getattr(torch, dtypes.pop()) if len(dtypes) == 1 else torch.float64
        self.mean = torch.zeros(sum(each.numel() for each in self.parameters), dtype=self.gradient_dtype)
        pieces = torch.split(self.mean, [each.numel() for each in self.parameters])
        self._means = [piece.view(each.shape).numpy() for piece, each in zip(pieces, self.parameters)]
        self._latest: list[torch.Tensor | None] = []
        self._descents: dict[tuple[bool, ...], Callable] = {}
        self._rate = next((each for each in optimizer.variables if each.name == "learning_rate"), None)
        self._descent((True,) * len(self._variables))

    def start_step(self) -> None:
        """Whether a call trains is an argument in Keras, not a state."""

    def modes_kept(self) -> contextlib.AbstractContextManager[None]:
        """The same goes for code of the user's."""
        return contextlib.nullcontext()

    def forget_gradients(self) -> None:
        self._latest = [None] * len(self.parameters)

    def keep_gradients(self, gradients: list) -> None:
        self._latest = [None if each is None else _tensor(each) for each in gradients]

    def gradients(self) -> list[torch.Tensor | None]:
        return self._latest

    def descend(self, maxima: list[float]) -> None:
        """Optimizer step with the mean gradients; a weight that had no gradient in any micro-batch is left alone."""
        present = tuple(maximum >= 0.0 for maximum in maxima)
        if any(present):
            chosen = [mean.copy() for mean, there in zip(self._means, present) if there]
            self._descent(present)(*[tensorflow.constant(each) for each in chosen])
        self.forget_gradients()

    def _descent(self, present: tuple[bool, ...]) -> Callable:
        known = self._descents.get(present)
        if known is None:
            variables = [each for each, there in zip(self._variables, present) if there]
            types = [mean.dtype for mean, there in zip(self._means, present) if there]
            signature = [tensorflow.TensorSpec(each.shape, kind) for each, kind in zip(variables, types)]

            @tensorflow.function(input_signature=signature, autograph=False)
            def apply(*gradients):
                cast = [tensorflow.cast(gradient, each.dtype) for gradient, each in zip(gradients, variables)]
                self.optimizer.apply(cast, variables)

            known = self._descents[present] = apply.get_concrete_function()
        return known

    def buffers(self) -> list[torch.Tensor]:
        return [_tensor(each) for each in self._buffers]

    def set_buffers(self, sources: list[torch.Tensor]) -> None:
        for each, source in zip(self._buffers, sources):
            _assign(each, source)

    def loss_scale(self) -> float:
        return 1.0

    def schedule(self, completed: int, per_epoch: int) -> None:
        """A Keras optimizer has its schedule within."""

    def frozen(self) -> list[bool]:
        return [not each.trainable for each in self.model.weights]

    def hyperparameters(self) -> list:
        return [] if self._rate is None else [{"learning_rate": float(self._rate.numpy())}]

    def adopt_hyperparameters(self, groups: list) -> None:
        for group in groups:
            self._rate.assign(group["learning_rate"])

    def tensors(self) -> dict[str, torch.Tensor]:
        return named_weights(self.model)

    def overwritable(self) -> dict[str, torch.Tensor]:
        """None: the memory is TensorFlow's."""
        return {}

    def load(self, tensors: dict[str, torch.Tensor], optimizer: list) -> None:
        """Raises DamagedState when names or shapes are not this model's."""
        mine = self.model.weights
        names = _names(mine)
        slots = self.optimizer.variables
        if list(tensors) != names or any(tuple(each.shape) != tuple(tensors[name].shape) for name, each in zip(names, mine)):
            raise state.DamagedState("the state is of another model")
        if [tuple(each.shape) for each in slots] != [tuple(each.shape) for each in optimizer]:
            raise state.DamagedState("the state is of another optimizer")
        for name, each in zip(names, mine):
            _assign(each, tensors[name])
        for each, value in zip(slots, optimizer):
            _assign(each, value)

    def optimizer_state(self) -> list[torch.Tensor]:
        return [_tensor(each) for each in self.optimizer.variables]

    def weights_digest(self) -> str:
        return state.weights_digest(self.tensors())


def named_weights(model: Any) -> dict[str, torch.Tensor]:
    """A model's weights by "<position>/<name>": positions and names survive a file, automatic layer names do not."""
    return dict(zip(_names(model.weights), map(_tensor, model.weights)))


def _names(variables: list) -> list[str]:
    return [f"{position:05d}/{each.name}" for position, each in enumerate(variables)]


def _tensor(value: Any) -> torch.Tensor:
    return torch.from_numpy(numpy.ascontiguousarray(value.numpy()).reshape(tuple(value.shape)))


def _assign(variable: Any, value: torch.Tensor) -> None:
    # TensorFlow may keep the memory it is given, so it gets its own.
    variable.assign(value.detach().cpu().numpy().copy())


class Computation:
    """The model's training and test calls, compiled, and the random numbers they use."""

    def __init__(self, model: Any, loss: Any):
        self.model = model
        self._loss = keras.losses.get(loss)
        self._trained: dict[tuple, Callable] = {}
        self._tested: dict[tuple, Callable] = {}
        known = {id(each) for each in [*model.weights, *model.metrics_variables]}
        self._seeds = [each for each in model.variables if id(each) not in known]
        self._foreign: dict[str, Any] = {}

    @property
    def loss_function(self) -> Any:
        return self._loss

    def seed(self, number: int) -> None:
        """Every random number from here on follows from `number`."""
        batches.seed_randomness(number)
        for position, each in enumerate(self._seeds):
            each.assign([partition.number_from(number, position) & 0x7FFFFFFF, 0])
        for name in sorted(self._foreign):
            self._foreign[name].assign([partition.number_from(number, name) & 0x7FFFFFFF, 0])

    def train(self, inputs: Any, labels: Any) -> tuple[float, Any, list]:
        """Loss, outputs and a gradient, or None, for each weight that is trained."""
        loss, outputs, gradients = self.training(inputs, labels)(inputs, labels)
        return float(loss), outputs, gradients

    def test(self, inputs: Any, labels: Any) -> tuple[float, Any]:
        key, specification = _specification(inputs, labels)
        if key not in self._tested:

            @tensorflow.function(input_signature=specification, autograph=False)
            def compiled(inputs, labels):
                outputs = self.model(inputs, training=False)
                return self._mean_loss(labels, outputs), outputs

            self._tested[key] = compiled
        loss, outputs = self._tested[key](inputs, labels)
        return float(loss), outputs

    def training(self, inputs: Any, labels: Any) -> Callable:
        """The compiled training step for samples like these. Raises ValueError where the model could not be repeated."""
        key, specification = _specification(inputs, labels)
        if key not in self._trained:
            variables = self.model.trainable_variables

            @tensorflow.function(input_signature=specification, autograph=False)
            def compiled(inputs, labels):
                with tensorflow.GradientTape() as tape:
                    outputs = self.model(inputs, training=True)
                    loss = self._mean_loss(labels, outputs)
                gradients = tape.gradient(loss, [each.value for each in variables])
                return loss, outputs, [None if each is None else tensorflow.convert_to_tensor(each) for each in gradients]

            self._judge(compiled.get_concrete_function().graph)
            self._trained[key] = compiled
        return self._trained[key]

    def _mean_loss(self, labels: Any, outputs: Any) -> Any:
        loss = tensorflow.reduce_mean(self._loss(labels, outputs))
        return tensorflow.add_n([loss, *self.model.losses]) if self.model.losses else loss

    def _judge(self, graph: Any) -> None:
        definition = graph.as_graph_def()
        nodes = [*definition.node, *(node for each in definition.library.function for node in each.node_def)]
        for node in nodes:
            if node.op in UNREPEATABLE:
                raise ValueError(
                    f"model uses the TensorFlow operation {node.op}, whose random numbers cannot be repeated on another worker; "
                    "accepted are Keras layers and keras.random with a keras.random.SeedGenerator"
                )
        known = {id(each.value) for each in [*self.model.variables]}
        for each in graph.variables:
            if id(each) in known:
                continue
            if "seed_generator_state" not in each.name:
                raise ValueError(
                    f"model uses the variable {each.name}, which is not among its weights; accepted are variables that a layer "
                    "has as attributes, so that they can follow the model from worker to worker"
                )
            self._foreign[each.name] = each


def _specification(inputs: Any, labels: Any) -> tuple[tuple, list]:
    specification = tensorflow.nest.map_structure(
        lambda each: tensorflow.TensorSpec((None, *each.shape[1:]), each.dtype), [inputs, labels]
    )
    leaves = tensorflow.nest.flatten(specification)
    return tuple((tuple(each.shape[1:]), each.dtype.name) for each in leaves), specification


class KerasSamples(batches.Samples):
    """The training set as (step, logical worker) → (inputs, labels), numpy arrays; the same whoever asks."""

    plain = False

    def __init__(self, data: Any, step_samples: int, logical_workers: int, seed: int, model: Any):
        self.dataset = data
        self._source = source_of(data, model, "training", seed)
        self._lay_out(self._source.count, step_samples, logical_workers, seed)

    def ids(self, step: int, positions: range) -> torch.Tensor:
        epoch = step // self.steps_per_epoch
        if epoch != self._epoch:
            self._order = self._source.order(epoch)
            self._epoch = epoch
        return self._order[positions.start : positions.stop]

    def load(self, step: int, positions: range) -> tuple[Any, Any]:
        return self._source.take(self.ids(step, positions).tolist(), step // self.steps_per_epoch)


class KerasMicroBatches:
    """Computes one logical worker at a time, always from the same weights, moving statistics and random numbers."""

    def __init__(self, computation: Computation, trainee: KerasTrainee, samples: KerasSamples, accuracy: Callable, seed: int):
        self._computation = computation
        self._trainee = trainee
        self._samples = samples
        self._accuracy = accuracy
        self._seed = seed

    def compute(self, step: int, logical_worker: int, positions: range) -> tuple[float, float]:
        """Loss and accuracy in percent of one micro-batch."""
        batches.seed_randomness(partition.number_from("data", self._seed, step, logical_worker))
        inputs, labels = self._samples.load(step, positions)
        self._computation.training(inputs, labels)
        self._computation.seed(partition.number_from("compute", self._seed, step, logical_worker))
        loss, outputs, gradients = self._computation.train(inputs, labels)
        self._trainee.keep_gradients(gradients)
        return loss, float(self._accuracy(outputs, labels))


class KerasEvaluation(Judge):
    """The test set of a Keras model."""

    def __init__(
        self,
        model: KerasStepModel,
        data: Any,
        batch_size: int,
        test_function: Callable | None,
        accuracy: Callable,
        seed: int,
        apart: bool,
        computation: Computation,
    ):
        self._source = None if data is None else source_of(data, computation.model, "test", seed)
        count = 0 if self._source is None else self._source.count
        super().__init__(model, count, batch_size, test_function, accuracy, torch.device("cpu"), seed, apart)
        self._computation = computation

    def run(self, epoch: int) -> tuple[float, float] | None:
        """(loss, accuracy in percent), by this worker alone; None without a test set or samples."""
        if self._source is None:
            return None
        self._computation.seed(partition.number_from("test", self._seed, epoch))
        pieces = (self._source.take(list(self._numbers(index)), -1) for index in range(-(-self._count // self._batch_size)))
        if self._test_function is not None:
            return self._called(pieces, epoch)
        return mean([self._judged(*data) for data in pieces])

    def batch(self, epoch: int, index: int) -> Row:
        """One of the `batches`, with random numbers of its own."""
        batches.seed_randomness(partition.number_from("test data", self._seed, epoch, index))
        data = self._source.take(list(self._numbers(index)), -1)
        self._computation.seed(partition.number_from("test", self._seed, epoch, index))
        if self._test_function is None:
            return self._judged(*data)
        return *self._called([data], epoch), len(self._numbers(index))

    def _judged(self, inputs: Any, labels: Any) -> Row:
        loss, outputs = self._computation.test(inputs, labels)
        return loss, float(self._accuracy(outputs, labels)), len(tensorflow.nest.flatten(labels)[0])


class KerasStepModel:
    """The user's model as `fn_test` sees it: it behaves like the model and knows optimizer and loss."""

    def __init__(self, model: Any, optimizer: Any, loss_function: Any):
        self.module = model
        self._optimizer = optimizer
        self._loss_function = loss_function

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        return self.module(*inputs, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["module"], name)

    def get_optimizer(self) -> Any:
        return self._optimizer

    def get_loss_function(self) -> Any:
        return self._loss_function


class KerasFiles:
    """Writes below RESULT_DIR/model/train; each file appears whole or not at all, so writing twice is harmless.

    A model is one `.keras` file. A model of a class that Keras cannot describe leaves its weights alone, as `.weights.h5`.
    """

    def __init__(self, results: Path, model: Any, optimizer: Any):
        self._results = results
        self._folder = results / "model" / "train"
        self._model = model
        self._optimizer = optimizer

    def epoch(self, completed: int) -> None:
        """Files of an epoch; `completed` counts epochs from 1."""
        self._write(f"model_epoch_{completed}")

    def final(self) -> str:
        """The final files; the model file's path below RESULT_DIR."""
        return str(self._write("model_epoch_final").relative_to(self._results))

    def _write(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"{position:05d}/{each.name}": each.numpy() for position, each in enumerate(self._optimizer.variables)}
        temporary = self._folder / f".{name}.{os.getpid()}.npz"
        numpy.savez(temporary, **arrays)
        os.replace(temporary, self._folder / f"{name}_optimizer_state.npz")
        try:
            return self._save(self._model.save, name, ".keras")
        except NotImplementedError:
            return self._save(self._model.save_weights, name, ".weights.h5")

    def _save(self, save: Callable, name: str, suffix: str) -> Path:
        temporary = self._folder / f".{name}.{os.getpid()}{suffix}"
        path = self._folder / f"{name}{suffix}"
        try:
            save(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        return path


def accuracy_percent(loss: Any) -> Callable:
    """The accuracy Keras would choose for this loss and these shapes, in percent; 0.0 where that has no meaning."""
    name = getattr(loss, "name", None) or getattr(loss, "__name__", "")
    threshold = 0.0 if getattr(loss, "from_logits", False) else 0.5

    def accuracy(outputs: Any, labels: Any) -> float:
        if tensorflow.nest.is_nested(outputs) or tensorflow.nest.is_nested(labels):
            return 0.0
        outputs, labels = numpy.asarray(outputs), numpy.asarray(labels)
        if outputs.ndim < 2 or not labels.size:
            return 0.0
        if name == "binary_crossentropy":
            if labels.size != outputs.size:
                return 0.0
            right = (outputs.reshape(-1) > threshold) == (labels.reshape(-1) > 0.5)
        elif outputs.shape[-1] > 1 and "crossentropy" in name:
            predicted = outputs.argmax(-1)
            if labels.shape == outputs.shape:
                labels = labels.argmax(-1)
            if labels.size != predicted.size:
                return 0.0
            right = predicted.reshape(-1) == labels.reshape(-1)
        else:
            return 0.0
        return float(right.sum()) * 100.0 / right.size

    return accuracy


def register(custom_objects: Any) -> None:
    """Names by which Keras finds the user's own classes and functions."""
    if custom_objects is None:
        return
    if not isinstance(custom_objects, dict):
        raise ValueError(f"keras_custom_objects is a {type(custom_objects).__name__}; accepted is a dict of name to class or function")
    keras.saving.get_custom_objects().update(custom_objects)


def checked_loss(loss: Any) -> Any:
    """The loss as a function; raises ValueError for what Keras does not know."""
    try:
        return keras.losses.get(loss)
    except (ValueError, TypeError):
        raise ValueError(f"loss_function is {loss!r}; accepted is a Keras loss, its name or a function (labels, outputs)") from None


def checked_optimizer(optimizer: Any) -> Any:
    """The optimizer, made from its name if it is one; raises ValueError for anything else."""
    try:
        made = keras.optimizers.get(optimizer) if isinstance(optimizer, (str, dict)) else optimizer
    except ValueError:
        made = None
    if not isinstance(made, keras.optimizers.Optimizer) or isinstance(made, keras.optimizers.LossScaleOptimizer):
        shown = repr(optimizer) if isinstance(optimizer, str) else f"a {type(optimizer).__name__}"
        raise ValueError(f"optimizer is {shown}; accepted is a Keras optimizer other than LossScaleOptimizer, or its name")
    if getattr(made, "gradient_accumulation_steps", None):
        raise ValueError("optimizer has gradient_accumulation_steps; accepted is None, use effective_batch_size")
    return made


def build(model: Any, samples: KerasSamples, seed: int) -> None:
    """Give a model that waits for its first input its weights."""
    if model.built:
        return
    inputs, _ = samples.load(0, samples.slices(0)[0])
    seed_randomness(partition.number_from("build", seed))
    model(tensorflow.nest.map_structure(tensorflow.convert_to_tensor, inputs), training=False)
