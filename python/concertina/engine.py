"""The training loop of one worker: steps, switches of generation, recovery, and rank 0's work between steps."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import torch

from concertina import evaluation, partition, process, state, sums, transfer
from concertina.batches import MicroBatches, Modes, Samples
from concertina.buckets import Buckets, Overlap
from concertina.checkpoints import Checkpoints
from concertina.evaluation import Evaluation, Row
from concertina.files import ModelFiles
from concertina.membership import LOADING_SECONDS, Membership, Pending, Stopped
from concertina.mesh import GroupBroken, Mesh
from concertina.optimizing import Clipping, LossScale, Optimizers
from concertina.reduction import Reduction, Verdict
from concertina.reports import Reporter
from concertina.watch import BETWEEN, COMPUTING, IDLE, STATE, Watch

PROGRESS_SECONDS = 0.1
MOST_ATTEMPTS = 8
# A newcomer's first micro-batches: how often it looks where the others are, and how often it runs after them before it joins.
ASKING_SECONDS = 0.05
LOADING_TRIES = 3
# The C library seldom gives a step the memory that the one before it freed, as small things lie between.
STEPS_OF_GRADIENTS = 3
# For what changes until the switch, in the memory that is made ready for the state.
SPARE_BYTES = 1 << 16


class Trainee:
    """What is trained: the module and its optimizers, with the views and snapshots that a step needs. One per process."""

    def __init__(
        self, module: torch.nn.Module, optimizers: Optimizers, device: torch.device, clipping: Clipping, scale: LossScale | None
    ):
        self.module = module
        self._modes = Modes(module)
        self._optimizers = optimizers
        self.descending = False
        self._scale = scale
        self._clipping = clipping
        _check(module)
        self.names = [name for name, each in module.named_parameters() if each.requires_grad]
        self.parameters = [each for each in module.parameters() if each.requires_grad]
        known = {id(each) for each in module.parameters()}
        if any(id(each) not in known for each in optimizers.parameters()):
            raise ValueError("optimizer holds parameters that are not the model's; accepted are parameters of the model")
        if not self.parameters:
            raise ValueError("model has no parameters to train; accepted is a model with at least one")
        trained = {id(each) for each in self.parameters}
        self._sparse = optimizers.sparse()
        self._held = [each for each in optimizers.parameters() if id(each) not in trained]
        self._places = [
            (owner, name, each) for owner in module.modules() for name, each in owner._buffers.items() if each is not None
        ]
        dtypes = {each.dtype for each in self.parameters}
        self.gradient_dtype = dtypes.pop() if len(dtypes) == 1 else torch.float64
        length = sum(each.numel() for each in self.parameters)
        self.mean = torch.zeros(length, dtype=self.gradient_dtype)
        self._mean_there = self.mean if device.type == "cpu" else torch.zeros_like(self.mean, device=device)
        pieces = torch.split(self._mean_there, [each.numel() for each in self.parameters])
        self._gradients = [piece.view(each.shape) for piece, each in zip(pieces, self.parameters)]

    def forget_gradients(self) -> None:
        for each in self.parameters:
            each.grad = None

    def gradients(self) -> list[torch.Tensor | None]:
        if any(each.grad is not None for each in self._held):
            raise ValueError(
                "a parameter that was frozen when train was called has a gradient; accepted is requires_grad=True at that time, "
                "and fn_step_train freezing it for the epochs in which it is not to be trained"
            )
        return [each.grad for each in self.parameters]

    def frozen(self) -> list[bool]:
        return [not each.requires_grad for each in self.module.parameters()]

    def descend(self, maxima: list[float]) -> None:
        """Optimizer step with the clipped mean gradients; a parameter without a gradient in any micro-batch is left alone.

        With a loss scale, a step whose gradients overflowed is left out.
        """
        if self._scale is not None and not self._scale.accept(self.mean):
            self.forget_gradients()
            return
        self._clipping.apply(self.mean)
        if self._mean_there is not self.mean:
            self._mean_there.copy_(self.mean)
        for each, gradient, maximum in zip(self.parameters, self._gradients, maxima):
            if maximum < 0.0:
                each.grad = None
            else:
                each.grad = gradient if gradient.dtype == each.dtype else gradient.to(each.dtype)
                if id(each) in self._sparse:
                    each.grad = each.grad.to_sparse(1)
        self.descending = True
        try:
            self._optimizers.step()
        finally:
            self.descending = False
        self.forget_gradients()

    def start_step(self) -> None:
        if not self.module.training:
            self.module.train()

    def modes_kept(self) -> contextlib.AbstractContextManager[None]:
        """Whatever runs inside, training goes on with the same parts of the module in training mode."""
        return self._modes.kept()

    def buffers(self) -> list[torch.Tensor]:
        """The same tensors every time; where user code assigned others, their values come into these."""
        for owner, name, mine in self._places:
            now = owner._buffers[name]
            if now is not mine:
                with torch.no_grad():
                    mine.copy_(now)
                owner._buffers[name] = mine
        return [mine for _, _, mine in self._places]

    def set_buffers(self, sources: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for target, source in zip(self.buffers(), sources):
                target.copy_(source)

    def hyperparameters(self) -> list:
        return self._optimizers.hyperparameters()

    def adopt_hyperparameters(self, groups: list) -> None:
        self._optimizers.adopt_hyperparameters(groups)

    def schedule(self, completed: int, per_epoch: int) -> None:
        """Step the learning-rate schedules where this many steps of the job are complete."""
        self._optimizers.schedule(completed, per_epoch)

    def loss_scale(self) -> float:
        return 1.0 if self._scale is None else self._scale.value

    def tensors(self) -> dict[str, torch.Tensor]:
        named = {name: each.detach() for name, each in self.module.named_parameters()}
        named.update({name: each.detach() for name, each in self.module.named_buffers()})
        return named

    def overwritable(self) -> dict[str, torch.Tensor]:
        """Those of `tensors` into whose memory another worker's may be written before `load` gets them."""
        return self.tensors()

    def load(self, tensors: dict[str, torch.Tensor], optimizers: dict) -> None:
        """Raises DamagedState when names or shapes are not this model's."""
        mine = self.tensors()
        if mine.keys() != tensors.keys() or any(mine[name].shape != tensors[name].shape for name in mine):
            raise state.DamagedState("the state is of another model")
        self._optimizers.load(optimizers)
        with torch.no_grad():
            for name, each in mine.items():
                if each.data_ptr() != tensors[name].data_ptr():
                    each.copy_(tensors[name])
        if self._scale is not None and optimizers["scale"] is not None:
            self._scale.load(optimizers["scale"])

    def optimizer_state(self) -> Any:
        return {**self._optimizers.state(), "scale": None if self._scale is None else self._scale.state()}

    def weights_digest(self) -> str:
        return state.weights_digest(self.module.state_dict())


def _check(module: torch.nn.Module) -> None:
    """Raises ValueError, with its name, for a tensor that cannot be summed or carried; buffers that overlap themselves become others."""
    for kind, named in (("parameter", module.named_parameters()), ("buffer", module.named_buffers())):
        for name, each in named:
            if torch.nn.parameter.is_lazy(each):
                raise ValueError(f"{kind} {name} has no shape yet; accepted is a model that was called once, which shapes its lazy layers")
            if each.layout is not torch.strided or each.is_quantized:
                what = str(each.dtype if each.is_quantized else each.layout).partition(".")[2]
                raise ValueError(f"{kind} {name} is {what}; accepted are dense tensors that are not quantized")
            if each.requires_grad and not each.is_floating_point():
                what = str(each.dtype).partition(".")[2]
                raise ValueError(
                    f"{kind} {name} is {what}; accepted are parameters of real numbers, which torch.view_as_complex makes complex in forward"
                )
    apart: dict[int, torch.Tensor] = {}
    for owner in module.modules():
        for name, each in owner._buffers.items():
            if each is not None and any(not step and size > 1 for size, step in zip(each.shape, each.stride())):
                owner._buffers[name] = apart.setdefault(id(each), each.clone(memory_format=torch.contiguous_format))


class Report:
    """What one finished step showed: enough for any worker to log it."""

    def __init__(self, generation: int, step: int, loss: float, accuracy: float, workers: int, milliseconds: float):
        self.generation = generation
        self.step = step
        self.loss = loss
        self.accuracy = accuracy
        self.workers = workers
        self.milliseconds = milliseconds


class MicroBatch:
    """One logical worker's share of a step: the caller computes it and leaves loss and accuracy (percent) here."""

    def __init__(self, step: int, logical_worker: int, positions: range):
        self.step = step
        self.logical_worker = logical_worker
        self.positions = positions
        self.loss = math.nan
        self.accuracy = 0.0


class TestBatch:
    """One batch of the test set that this worker is to judge; the caller leaves loss, accuracy (percent) and samples here."""

    def __init__(self, epoch: int, index: int):
        self.epoch = epoch
        self.index = index
        self.row: Row = (math.nan, 0.0, 0)


class EpochEnd:
    """An epoch's last step is done. The leader's caller may leave (loss, accuracy in percent) of the test set in `tested`.

    After a death the end of an epoch may come again, on the next rank 0.
    """

    def __init__(self, epoch: int, leader: bool):
        self.epoch = epoch
        self.leader = leader
        self.tested: tuple[float, float] | None = None


class Engine:
    """Trains to the end of the last epoch whatever happens to the other workers, then returns on rank 0.

    `course` is the one loop; who computes the micro-batches it yields is the caller's business (`run` is one such caller). On the other
    workers it ends the process, with code 0, when they leave the job or the job is done. Everything here belongs to the training
    thread; other threads reach it only through `Membership`.
    """

    def __init__(
        self,
        trainee: Trainee,
        samples: Samples,
        reporter: Reporter,
        checkpoints: Checkpoints,
        files: ModelFiles,
        membership: Membership,
        send: Callable[[dict], None],
        epochs: int,
        logical_workers: int,
        validation_freq: int,
        checkpoint_freq: int,
        device: torch.device,
        wanted_workers: Callable[[int, int], int] | None,
        leave: Callable[[], None],
        watch: Watch,
        sums_mode: str = "exact",
        bucket_bytes: int | None = None,
    ):
        self._trainee = trainee
        self._samples = samples
        self._reporter = reporter
        self._checkpoints = checkpoints
        self._files = files
        self._membership = membership
        membership.tell_state(lambda: [each for each in self._sizes() if each >= state.LARGE_BYTES], self._memory_to_send)
        self._send = send
        self._epochs = epochs
        self._logical_workers = logical_workers
        self._validation_freq = validation_freq
        self._checkpoint_freq = checkpoint_freq
        self._device = device
        self._wanted_workers = wanted_workers
        self._leave = leave
        self._watch = watch
        self._steps = samples.steps_per_epoch * epochs
        shapes = [each.shape for each in trainee.parameters]
        self._sums_mode = sums_mode
        self._buckets = Buckets(shapes, trainee.gradient_dtype, sums_mode, logical_workers, device, bucket_bytes)
        self._overlap = Overlap(trainee.parameters, self._buckets, device)
        self._bounds = [sums.FIRST_BOUND] * len(trainee.parameters)
        self._mesh: Mesh | None = None
        self._joined = -1
        self._rooms: state.Rooms | None = None
        self._overwritten = False
        self._keeps_memory = False
        self._reduction: Reduction | None = None
        self._prepared: Reduction | None = None
        self._report: Report | None = None
        self._logged = 0
        self._memory: list | None = None
        self._boundary = -1
        self._passed = -1
        self._test_batches = 0
        self._alone = ""
        self._agreed = -1
        self._hyperparameters_sent: str | None = None
        self._step_ended: float | None = None
        self._pause: tuple[int, int, float] | None = None
        self._pause_began: float | None = None
        self._progress_sent = 0.0
        self._wanted: int | None = None
        self._final: dict | None = None
        self._began = time.monotonic()

    @property
    def step(self) -> int:
        """Completed steps, over all epochs; -1 while this worker holds no state."""
        return self._membership.completed

    def run(self, micro_batches: MicroBatches, tests: Evaluation) -> None:
        self._test_batches = tests.batches
        self._alone = tests.alone
        for due in self.course():
            if isinstance(due, MicroBatch):
                try:
                    due.loss, due.accuracy = micro_batches.compute(due.step, due.logical_worker, due.positions)
                except (OSError, MemoryError, RuntimeError) as error:
                    if self._joined == self.step and self._mesh.size > 1 and state.short_of_memory(error):
                        self._renounce(error)
                    raise
            elif isinstance(due, TestBatch):
                due.row = tests.batch(due.epoch, due.index)
            elif due.leader:
                due.tested = tests.run(due.epoch)

    def course(self) -> Iterator[MicroBatch | TestBatch | EpochEnd]:
        """What this worker is to do next, until the job is done: micro-batches, and work at the end of epochs.

        Batches of the test set come only to a caller that has told how many there are, as `run` does.

        Each has its results when the next is asked for; a micro-batch also its gradients, in the parameters' `grad`.
        """
        self._keeps_memory = self._device.type == "cpu" and process.keep_memory()
        with process.termination(self._membership.stop):
            try:
                yield from self._course()
            except Stopped:
                self._rest()

    def _course(self) -> Iterator[MicroBatch | TestBatch | EpochEnd]:
        self._await_generation()
        while True:
            try:
                while self.step < self._steps:
                    yield from self._work_between_steps()
                    if (yield from self._take_step()):
                        self._switch()
                yield from self._work_between_steps()
                self._part()
                break
            except GroupBroken as broken:
                if self._membership.stopped:
                    raise Stopped from broken
                self._pause_began = self._pause_began or self._step_ended
                self._mesh.abort(str(broken))
                self._overlap.abandon()
                self._membership.broken(self._mesh, str(broken))
                self._await_generation()
        self._watch.end()
        rank = self._mesh.rank
        self._membership.leave()
        self._checkpoints.finish()
        if rank != 0:
            self._reporter.flush()
            self._leave()

    def _rest(self) -> None:
        """End by SIGTERM with a checkpoint of the last step. The others stay until rank 0, which decides that step, has written."""
        step = self.step
        if step >= 0:
            first = self._mesh is not None and self._mesh.rank == 0
            if first:
                self._memory = self._reporter.memory(True)
            self._checkpoints.now(step, self._snapshot, spare=not first)
            self._reporter.flush()
            self._reporter.say(f"Stopped after step {step}.")
        process.terminate()

    # Generations

    def _await_generation(self) -> None:
        """Enter the next generation that stands, again and again until one holds."""
        while True:
            self._watch.enter(IDLE, None, self.step)
            pending = self._membership.await_formed()
            if pending.mesh is None:
                self._depart(pending.generation)
            mesh = pending.mesh
            newcomer = self.step < 0 and not pending.immediate
            try:
                if newcomer:
                    self._make_room(pending)
                process.take_priority_back()
                if newcomer:
                    self._load_first(pending)
                try:
                    self._membership.enter(pending.generation)
                except GroupBroken:
                    continue
                try:
                    self._enter(mesh, pending)
                    return
                except (GroupBroken, state.DamagedState) as broken:
                    self._membership.broken(mesh, str(broken))
            except (OSError, MemoryError, RuntimeError) as error:
                if self.step >= 0 or mesh.rank == pending.source or not state.short_of_memory(error):
                    raise
                self._renounce(error)

    def _renounce(self, error: BaseException) -> None:
        """A newcomer without memory for the state or for its first step ends; the others go on without it."""
        last, _ = process.described(error)
        self._reporter.say(f"This worker has no memory to take part and ends: {last}")
        self._send({"type": "short", "error": last})
        self._membership.leave()
        process.kill()

    def _make_room(self, pending: Pending) -> None:
        """A newcomer, while the others go on training: have memory, which costs time when it is first written."""
        self._rooms = state.Rooms(self._membership.sizes_elsewhere(pending), {"tensors": self._trainee.overwritable()})
        self._prepared = self._new_reduction(pending.mesh)
        for each in (self._trainee.mean, *self._buckets.memory, self._prepared.memory):
            each.zero_()
        self._touch_memory()

    def _touch_memory(self) -> None:
        if self._keeps_memory:
            process.touch_memory(STEPS_OF_GRADIENTS * self._trainee.mean.numel() * self._trainee.mean.element_size())

    def _load_first(self, pending: Pending) -> None:
        """A newcomer, while the others go on training: have the micro-batches of the step it will begin with."""
        if self._samples.ahead is None:
            pending.loaded.set()
            return
        membership, mesh = self._membership, pending.mesh
        block = partition.block(self._logical_workers, mesh.size, mesh.rank)
        tries = 0
        until = time.monotonic() + 2 * LOADING_SECONDS
        while time.monotonic() < until:
            step = membership.step_elsewhere(pending)
            self._watch.enter(COMPUTING, None, self.step)
            at_hand = step < 0 or self._samples.hold(step + 1, block, self._steps)
            self._watch.enter(IDLE, None, self.step)
            tries += 1
            if at_hand or tries == LOADING_TRIES:
                pending.loaded.set()
            if membership.await_commit(pending, ASKING_SECONDS if pending.loaded.is_set() else 0.0):
                break

    def _switch(self) -> None:
        """All members voted for the pending generation: enter it now, or leave."""
        generation = self._membership.vote()
        if not generation:
            raise GroupBroken("told to stop")
        self._pause_began = self._step_ended
        pending = self._membership.enter(generation)
        if pending.mesh is None:
            self._depart(generation)
        self._enter(pending.mesh, pending)

    def _enter(self, mesh: Mesh, pending: Pending) -> None:
        source, receivers = pending.source, pending.receivers
        self._mesh = mesh
        self._watch.enter(STATE, mesh, self.step)
        prepared, self._prepared = self._prepared, None
        self._reduction = prepared if prepared is not None and prepared.group is mesh else self._new_reduction(mesh)
        self._hyperparameters_sent = None
        self._agreed = -1
        stateless = self.step < 0
        if stateless and prepared is None:
            self._touch_memory()
        if mesh.rank == source:
            if stateless:
                self._start()
                receivers = list(range(mesh.size))
            targets = [each for each in receivers if each != source]
            if targets:
                transfer.send(mesh, targets, self._snapshot(), pending.memory)
        elif stateless or mesh.rank in receivers:
            # A state that counts is replaced by a whole one only.
            rooms = self._rooms if stateless else None
            try:
                content = transfer.receive(mesh, source, rooms)
            finally:
                self._overwritten = self._overwritten or (rooms is not None and rooms.overwriting)
            theirs = content.get("sums") if isinstance(content, dict) else None
            if theirs != self._sums_mode:
                raise ValueError(f"sums is {self._sums_mode!r} in this worker; accepted is that of rank {source}, {theirs!r}")
            mine, others = self._buckets.lengths, content.get("buckets") or []
            if mine != others and sum(mine) == sum(others):
                raise ValueError(
                    f"CONCERTINA_BUCKET_BYTES makes {len(mine)} buckets in this worker; accepted are the {len(others)} of rank {source}"
                )
            if content.get("tests") != self._test_batches:
                raise ValueError(
                    f"the test set has {self._test_batches} batches in this worker; accepted is as many as in that of rank {source}, "
                    f"{content.get('tests')}"
                )
            try:
                self._membership.apply(lambda: self._adopt(content))
            except state.DamagedState as error:
                # Its checksum was right, so trying again would not help.
                raise ValueError(
                    f"{error}: accepted is a script that builds the same model, optimizers and schedules in every worker"
                ) from None
            if stateless:
                self._joined = self.step
                self._pause_began = None
        self._rooms = None
        now = time.monotonic()
        pause = 0.0 if self._pause_began is None else (now - self._pause_began) * 1000.0
        self._pause = (mesh.generation, self.step, pause)
        self._pause_began = None

    def _new_reduction(self, mesh: Mesh) -> Reduction:
        return Reduction(mesh, self._logical_workers, len(self._bounds), self._buckets.lengths, self._buckets.dtype)

    def _start(self) -> None:
        """Rank 0 of a job nobody holds the state of: the newest checkpoint, else the beginning."""
        content = self._checkpoints.newest()
        while content is not None:
            try:
                self._membership.apply(lambda: self._adopt(content))
                self._reporter.say(f"Resumed from the checkpoint of step {self.step}.")
                return
            except state.DamagedState as error:
                self._reporter.say(f"Checkpoint not used: {error}.")
                content = None
        if self._overwritten:
            self._reporter.say("Half of a state has overwritten the first weights; this worker ends, and another has them.")
            process.kill()
        self._membership.apply(lambda: 0)

    def _depart(self, generation: int) -> None:
        self._membership.leave()
        self._checkpoints.finish()
        self._reporter.flush()
        self._send({"type": "left", "generation": generation, "step": self.step})
        self._leave()

    def _part(self) -> None:
        """Nobody goes before rank 0 has written the final files; should it die, another does them."""
        signal = bytearray(1)
        others = [rank for rank in range(self._mesh.size) if rank != self._mesh.rank]
        if self._mesh.rank == 0:
            self._mesh.exchange({rank: [memoryview(b"!")] for rank in others}, {})
        else:
            self._mesh.exchange({}, {0: [memoryview(signal)]})

    def _sizes(self) -> list[int]:
        """Bytes of each tensor of the state; any thread."""
        try:
            return state.sizes([self._trainee.tensors(), self._trainee.optimizer_state()])
        except Exception:
            # The training thread was just changing them; how an optimizer takes that is its own affair.
            return []

    def _memory_to_send(self, wanted: Callable[[], bool]) -> transfer.Shared:
        """What the present state takes between workers of one machine, made ready while `wanted`; any thread."""
        return transfer.Shared(sum(self._sizes()) + SPARE_BYTES, wanted)

    def _snapshot(self) -> dict:
        report = self._report
        return {
            "step": self.step,
            "bounds": self._bounds,
            "sums": self._sums_mode,
            "buckets": self._buckets.lengths,
            "tests": self._test_batches,
            "overlapping": self._overlap.overlapping,
            "tensors": self._trainee.tensors(),
            "optimizer": self._trainee.optimizer_state(),
            "report": None if report is None else list(vars(report).values()),
            "logged": self._logged,
            "memory": self._reporter.memory(True) if self._reporter.begun else self._memory,
            "boundary": self._boundary,
        }

    def _adopt(self, content: dict) -> int:
        if not isinstance(content, dict) or len(content.get("bounds", ())) != len(self._bounds):
            raise state.DamagedState("the state is of another model")
        self._trainee.load(content["tensors"], content["optimizer"])
        self._bounds = content["bounds"]
        if not content.get("overlapping", True):
            self._overlap.stop_overlapping()
        self._report = None if content["report"] is None else Report(*content["report"])
        self._logged = max(self._logged, content["logged"])
        self._memory = content["memory"]
        if self._boundary < content["boundary"]:
            self._boundary = content["boundary"]
        return content["step"]

    # Steps

    def _take_step(self) -> Generator[MicroBatch, None, bool]:
        """Compute, exchange and apply one step. Whether all members voted to switch after it."""
        began = time.monotonic()
        self._watch.enter(COMPUTING, self._mesh, self.step)
        step, trainee, reduction, overlap = self.step, self._trainee, self._reduction, self._overlap
        slices = self._samples.slices(step)
        divisor = sum(map(len, slices)) / self._samples.full_slice
        divisor *= trainee.loss_scale()
        # Until the step is applied they are this attempt's alone: a worker that heard of no overflow must not differ after a break.
        bounds = self._bounds
        before = [each.detach().clone() for each in trainee.buffers()]
        for attempt in range(MOST_ATTEMPTS):
            computing = time.monotonic()
            overlap.begin(reduction, divisor, trainee.mean, bounds)
            losses, accuracies, after = yield from self._compute(step, slices, before)
            self._watch.computed((time.monotonic() - computing) / max(1, len(reduction.block)))
            total = overlap.settle()
            vote = self._membership.vote()
            text = self._text(vote)
            maxima, changed = self._buckets.maxima, overlap.changed
            verdict = reduction.sum_up(step, attempt, vote, text, losses, accuracies, maxima, total, after, changed)
            if verdict.changed:
                overlap.stop_overlapping()
            elif not sums.overflowing(bounds, verdict.maxima):
                break
            else:
                bounds = sums.raised(bounds, verdict.maxima)
            # The text of this attempt is not taken up: what it said of the optimizer has to be said again.
            self._hyperparameters_sent = None
        else:
            raise RuntimeError(f"gradients of step {step} differ from one computation to the next; the model is not deterministic")
        arrived = reduction.share(after, text)
        self._membership.apply(lambda: self._apply(step, verdict, bounds, slices, after, arrived, began))
        self._watch.stepped(time.monotonic() - began)
        if self._pause is not None:
            generation, first, pause = self._pause
            self._send({"type": "switched", "generation": generation, "step": first, "pauseMillis": round(pause, 3)})
            self._pause = None
        return len(set(verdict.votes)) == 1 and verdict.votes[0] != 0

    def _compute(
        self, step: int, slices: list[range], before: list[torch.Tensor]
    ) -> Generator[MicroBatch, None, tuple[list[float], list[float], list[torch.Tensor]]]:
        """This worker's micro-batches: their losses, accuracies, and the buffers logical worker 0 leaves (on other ranks, room)."""
        following = partition.block(self._logical_workers, *self._membership.following(self._mesh))
        self._samples.expect(step, self._reduction.block, following, self._steps)
        losses, accuracies = [], []
        after: list[torch.Tensor] = []
        last = max((each for each in self._reduction.block if slices[each]), default=-1)
        self._trainee.start_step()
        for logical_worker in self._reduction.block:
            positions = slices[logical_worker]
            if not positions:
                losses.append(0.0)
                accuracies.append(0.0)
                continue
            if self._mesh.aborted is not None:
                raise GroupBroken(self._mesh.aborted)
            self._trainee.forget_gradients()
            micro_batch = MicroBatch(step, logical_worker, positions)
            weight = len(positions) / self._samples.full_slice
            if logical_worker == last:
                self._overlap.listen(weight)
            yield micro_batch
            losses.append(micro_batch.loss)
            accuracies.append(micro_batch.accuracy)
            self._overlap.add(self._trainee.gradients(), weight)
            if logical_worker == 0:
                after = [each.detach().to("cpu", copy=True).contiguous() for each in self._trainee.buffers()]
            self._trainee.set_buffers(before)
        self._trainee.forget_gradients()
        if not after:
            after = [torch.empty(each.shape, dtype=each.dtype) for each in before]
        return losses, accuracies, after

    def _apply(
        self,
        step: int,
        verdict: Verdict,
        bounds: list[float],
        slices: list[range],
        after: list[torch.Tensor],
        arrived: bytes,
        began: float,
    ) -> int:
        if arrived and self._mesh.rank != 0:
            news = json.loads(arrived)
            if "optimizer" in news:
                self._trainee.adopt_hyperparameters(state.decode(news["optimizer"], []))
            self._memory = state.decode(news["memory"], [])
            self._logged = news["logged"]
        self._trainee.descend(verdict.maxima)
        self._trainee.schedule(step + 1, self._samples.steps_per_epoch)
        self._trainee.set_buffers(after)
        self._bounds = sums.followed(bounds, verdict.maxima)
        count = sum(map(len, slices))
        loss = sum(len(part) * each for part, each in zip(slices, verdict.losses) if part) / count
        accuracy = sum(len(part) * each for part, each in zip(slices, verdict.accuracies) if part) / count
        self._step_ended = time.monotonic()
        milliseconds = (self._step_ended - began) * 1000.0
        self._report = Report(self._mesh.generation, step + 1, loss, accuracy, self._mesh.size, milliseconds)
        return step + 1

    def _text(self, vote: int) -> bytes:
        """Rank 0's news for the others: what callbacks changed in the optimizer, and what logger and callbacks remember."""
        if self._mesh.rank != 0 or self._mesh.size == 1:
            return b""
        news: dict[str, Any] = {
            "memory": state.encode(self._reporter.memory(vote != 0), []),
            "logged": self._logged,
        }
        hyperparameters = state.encode(self._trainee.hyperparameters(), [])
        described = repr(hyperparameters)
        if described != self._hyperparameters_sent:
            news["optimizer"] = hyperparameters
            self._hyperparameters_sent = described
        return json.dumps(news).encode()

    # Rank 0 between steps

    def _work_between_steps(self) -> Iterator[TestBatch | EpochEnd]:
        """Rank 0: log the step that ended, do what an epoch's end and beginning ask for, keep checkpoints, write the final files."""
        self._watch.enter(BETWEEN, self._mesh, self.step)
        step, per_epoch = self.step, self._samples.steps_per_epoch
        to_test = self._agree(step)
        if self._mesh.rank != 0:
            if step and step % per_epoch == 0 and self._passed != step:
                self._passed = step
                with self._trainee.modes_kept():
                    yield EpochEnd(step // per_epoch - 1, False)
            if to_test:
                yield from self._share_test(step // per_epoch - 1)
            return
        if self._final is None:
            with self._trainee.modes_kept():
                yield from self._lead(step)

    def _lead(self, step: int) -> Iterator[TestBatch | EpochEnd]:
        """Rank 0's part of it."""
        per_epoch = self._samples.steps_per_epoch
        if not self._reporter.begun:
            # A schedule that on_train_begin makes anew would put its first rate into the optimizer.
            kept = self._trainee.hyperparameters()
            self._reporter.begin(self._memory)
            if self._memory is not None:
                self._trainee.adopt_hyperparameters(kept)
        self._log()
        if self._membership.stopped:
            raise Stopped
        frozen = self._trainee.frozen()
        if step % per_epoch == 0 and self._boundary != step:
            epoch = step // per_epoch
            if epoch:
                yield from self._end_epoch(epoch - 1)
            if epoch < self._epochs:
                if not epoch:
                    self._reporter.say("START TRAINING")
                self._reporter.epoch_begin(epoch)
                if self._wanted_workers is not None:
                    self._wanted = self._wanted_workers(epoch, self._logical_workers)
            self._boundary = step
            if self._trainee.frozen() != frozen:
                raise ValueError(
                    "a callback changed requires_grad of a parameter; accepted is doing so in fn_step_train, which every worker runs"
                )
        self._memory = self._reporter.memory(True) if self._checkpoints.due() else self._memory
        if step < self._steps:
            self._checkpoints.offer(step, self._snapshot)
        else:
            yield from self._finish()

    def _log(self) -> None:
        report, per_epoch = self._report, self._samples.steps_per_epoch
        if report is None or report.step <= self._logged:
            return
        iteration = (report.step - 1) % per_epoch + 1
        epoch = (report.step - 1) // per_epoch
        self._reporter.step(report.loss, report.accuracy, iteration, epoch, report.workers)
        self._logged = report.step
        now = time.monotonic()
        if now - self._progress_sent >= PROGRESS_SECONDS or report.step == self._steps:
            self._progress_sent = now
            message = {
                "type": "progress",
                "generation": report.generation,
                "epoch": epoch,
                "step": report.step,
                "steps": self._steps,
                "loss": report.loss,
                "accuracy": report.accuracy,
                "stepMillis": round(report.milliseconds, 3),
            }
            if self._wanted is not None:
                message["wanted"] = self._wanted
            self._send(message)

    def _agree(self, step: int) -> int:
        """Once per generation at an epoch's end: how many batches of the test set all its workers are to share now."""
        if not self._test_batches or not step or step % self._samples.steps_per_epoch or self._agreed == step:
            return 0
        self._agreed = step
        wanted = 0
        if self._mesh.rank == 0 and self._test_due(step):
            wanted = self._test_batches
        return evaluation.agree(self._mesh, wanted)

    def _test_due(self, step: int) -> bool:
        epoch = step // self._samples.steps_per_epoch
        if step == self._steps:
            return self._final is None
        return self._boundary != step and self._validation_freq > 0 and epoch % self._validation_freq == 0

    def _share_test(self, epoch: int) -> Generator[TestBatch, None, list[Row]]:
        """This worker's batches of the test set, each from the same buffers; on rank 0 the rows of all."""
        mesh, rows = self._mesh, []
        before = [each.detach().clone() for each in self._trainee.buffers()]
        with self._trainee.modes_kept():
            for index in partition.block(self._test_batches, mesh.size, mesh.rank):
                if mesh.aborted is not None or (mesh.rank == 0 and self._membership.stopped):
                    raise GroupBroken(mesh.aborted or "told to stop")
                batch = TestBatch(epoch, index)
                yield batch
                rows.append(batch.row)
                self._trainee.set_buffers(before)
        return evaluation.gather(mesh, self._test_batches, rows)

    def _end_epoch(self, epoch: int) -> Iterator[TestBatch | EpochEnd]:
        per_epoch = self._samples.steps_per_epoch
        last = epoch + 1 == self._epochs
        if self._checkpoint_freq and (epoch + 1) % self._checkpoint_freq == 0:
            self._files.epoch(epoch + 1)
        if not last and self._validation_freq and (epoch + 1) % self._validation_freq == 0:
            result = yield from self._test(epoch)
            if result is not None:
                self._reporter.tested(*result, per_epoch, epoch)
        self._reporter.epoch_end(epoch)

    def _test(self, epoch: int) -> Generator[TestBatch | EpochEnd, None, tuple[float, float] | None]:
        """Have the workers, or this one's caller, evaluate; buffers that change while the model is used are put back."""
        if self._test_batches:
            return evaluation.mean((yield from self._share_test(epoch)))
        if self._alone and self._mesh.size > 1:
            self._reporter.say(self._alone)
            self._alone = ""
        before = [each.detach().clone() for each in self._trainee.buffers()]
        end = EpochEnd(epoch, True)
        yield end
        self._trainee.set_buffers(before)
        return end.tested

    def _finish(self) -> Iterator[TestBatch | EpochEnd]:
        result = yield from self._test(self._epochs - 1)
        if result is not None:
            self._reporter.tested(*result, self._samples.steps_per_epoch, self._epochs - 1)
        path = self._files.final()
        self._reporter.end()
        seconds = time.monotonic() - self._began
        self._reporter.say(
            f"--------END TRAINING: completed epoch {self._epochs} in time {seconds:.2f} --------\n"
            f"--------END TRAINING: completed {self._samples.steps_per_epoch} iterations in {seconds:.2f} seconds.--------\n"
            "Waiting the job to stop..."
        )
        self._final = {
            "type": "done",
            "step": self.step,
            "testLoss": None if result is None else result[0],
            "testAccuracy": None if result is None else result[1],
            "weightsSha256": self._trainee.weights_digest(),
            "model": path,
        }
        self._checkpoints.finish()
        self._send(self._final)


def exit_process() -> None:
    """End a worker whose part is done: the rest of the user's script is rank 0's alone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
