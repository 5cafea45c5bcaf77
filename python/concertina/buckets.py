"""A step's gradients in buckets: summed and exchanged one after the other, while the backward pass still computes the next ones.

Which tensors share a bucket, and the order of the buckets, follow from the tensors' sizes alone, so they are the same on all workers
and in all steps. When a worker passes a bucket on is its own affair: the bits and what travels do not depend on it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

import torch

from concertina import partition, sums
from concertina.reduction import Reduction


class Bucket:
    """Tensors that are exchanged together; `total` holds this worker's sum."""

    def __init__(self, tensors: range, start: int, stop: int, total: sums.GridSum | sums.FloatSum):
        self.tensors = tensors
        self.start = start
        self.stop = stop
        self.total = total


class Buckets:
    """This worker's sums, bucket by bucket in the order of the exchange. `most`: greatest size in bytes, None for one bucket."""

    def __init__(
        self,
        shapes: list[torch.Size],
        dtype: torch.dtype,
        mode: str,
        logical_workers: int,
        device: torch.device,
        most: int | None,
    ):
        lengths = [shape.numel() for shape in shapes]
        width = torch.empty((), dtype=dtype).element_size()
        if most is None:
            most = width * sum(lengths)
        self._tensors = len(shapes)
        self.dtype = torch.float64 if mode == "exact" else dtype
        runs = partition.buckets(lengths, width, most)
        longest = max(sum(lengths[run.start : run.stop]) for run in runs)
        room = sums.GridSum.room(longest, device) if mode == "exact" else 0
        work = torch.zeros(room, dtype=torch.float64, device=device)
        self.all: list[Bucket] = []
        stop = sum(lengths)
        for run in runs:
            own = shapes[run.start : run.stop]
            start = stop - sum(lengths[run.start : run.stop])
            exact = mode == "exact"
            total = sums.GridSum(own, logical_workers, device, work) if exact else sums.FloatSum(own, dtype, device)
            self.all.append(Bucket(run, start, stop, total))
            stop = start

    def begin(self, bounds: list[float]) -> None:
        for each in self.all:
            each.total.begin(bounds[each.tensors.start : each.tensors.stop])

    @property
    def memory(self) -> list[torch.Tensor]:
        """What the sums are kept in."""
        return [each.total.total for each in self.all]

    @property
    def lengths(self) -> list[int]:
        return [each.stop - each.start for each in self.all]

    @property
    def maxima(self) -> list[float]:
        """In the order of the tensors."""
        found = [-1.0] * self._tensors
        for each in self.all:
            found[each.tensors.start : each.tensors.stop] = each.total.maxima
        return found


class Behind:
    """A thread that runs tasks one after the other; after one that failed none, until `settle` has said so."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._open = 0
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def submit(self, task: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="concertina-exchange", daemon=True)
            self._thread.start()
        with self._changed:
            self._open += 1
        self._tasks.put(task)

    def settle(self) -> None:
        """Wait for all tasks; raises what one of them raised."""
        with self._changed:
            while self._open:
                self._changed.wait()
            error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        while True:
            task = self._tasks.get()
            try:
                if self._error is None:
                    task()
            except BaseException as error:
                self._error = error
            with self._changed:
                self._open -= 1
                self._changed.notify_all()


class Overlap:
    """Adds micro-batches to the buckets and passes each bucket on as soon as nothing more can come to it.

    In a worker's last micro-batch of a step hooks on the parameters say which gradients are there; a bucket is added up in the hook that
    completes it, and a thread exchanges it. Everything else waits for the end of the micro-batch: gradients that do not come, the
    first step of a process, which shows how often each gradient comes, and all of it with a torch that has no such hooks.

    Code of the user's may change a gradient after it came, by a second backward pass or by hand. That is noticed at the
    end of the micro-batch; `changed` then says that the attempt is void, and `stop_overlapping` keeps it from happening again.
    """

    def __init__(self, parameters: list[torch.Tensor], buckets: Buckets, device: torch.device):
        self.buckets = buckets
        self.changed = False
        self.overlapping = True
        self._parameters = parameters
        self._device = device
        self._bucket_of = {k: place for place, each in enumerate(buckets.all) for k in each.tensors}
        self._needed: list[int] | None = None
        self._hooked = False
        self._last = False
        self._listening = False
        self._lock = threading.Lock()
        self._behind = Behind()
        self._copying: Any = None

    def begin(self, reduction: Reduction, divisor: float, mean: torch.Tensor, bounds: list[float]) -> None:
        """Start an attempt of a step; `mean` is all parameters' mean gradients in one vector, in main memory."""
        self._reduction = reduction
        self.buckets.begin(bounds)
        reduction.begin(divisor, [mean[each.start : each.stop] for each in self.buckets.all])
        self.changed = False
        self._last = self._listening = False
        self._next = 0
        self._added: dict[int, list[tuple]] = {}
        self._added_at: dict[int, Any] = {}

    def listen(self, weight: float) -> None:
        """The next micro-batch is this worker's last of the step."""
        self._last = True
        if not self.overlapping or self._reduction.group.size == 1 or len(self.buckets.all) == 1 or not self._hook():
            return
        self._weight = weight
        self._fired = [0] * len(self._parameters)
        self._missing = [len(each.tensors) for each in self.buckets.all]
        self._begun = self._event()
        self._listening = True

    def add(self, gradients: list[torch.Tensor | None], weight: float) -> None:
        """A micro-batch is complete."""
        listened, self._listening = self._listening, False
        if listened:
            fired = self._fired
            self._needed = [max(1, *each) for each in zip(fired, self._needed or fired)]
            self._judge(gradients)
        for place, each in enumerate(self.buckets.all):
            if place not in self._added:
                self._add(place, gradients[each.tensors.start : each.tensors.stop], weight)
            if self._last:
                self._pass_on(place + 1)

    def settle(self) -> torch.Tensor:
        """Have all buckets but the last passed on, which is returned, in main memory. Raises GroupBroken."""
        self._pass_on(len(self.buckets.all))
        self._reduction.group.aside = False
        self._behind.settle()
        return self._fetched(len(self.buckets.all) - 1)

    def abandon(self) -> None:
        """Wait until nothing is exchanged any more; the group has been aborted."""
        with contextlib.suppress(BaseException):
            self._behind.settle()

    def stop_overlapping(self) -> None:
        self.overlapping = False

    def _hook(self) -> bool:
        if not self._hooked:
            hookable = [each for each in self._parameters if hasattr(each, "register_post_accumulate_grad_hook")]
            if len(hookable) < len(self._parameters) or not all(each.requires_grad for each in hookable):
                return False
            for k, each in enumerate(hookable):
                each.register_post_accumulate_grad_hook(lambda _, k=k: self._came(k))
            self._hooked = True
        return True

    def _came(self, k: int) -> None:
        """The gradient of parameter k has been accumulated, in whichever thread the backward pass runs."""
        if not self._listening:
            return
        with self._lock:
            self._fired[k] += 1
            if self._needed is None or self._fired[k] != self._needed[k]:
                return
            place = self._bucket_of[k]
            self._missing[place] -= 1
            if self._missing[place]:
                return
            each = self.buckets.all[place]
            if self._begun is not None:
                torch.cuda.current_stream(self._device).wait_event(self._begun)
            self._add(place, [self._parameters[number].grad for number in each.tensors], self._weight)
            ready = self._next
            while ready in self._added:
                ready += 1
            self._pass_on(ready)

    def _add(self, place: int, gradients: list[torch.Tensor | None], weight: float) -> None:
        with torch.no_grad():
            self.buckets.all[place].total.add(gradients, weight)
            if self._listening:
                marks = [None if each is None else _fingerprint(each) for each in gradients]
                versions = [None if each is None else each._version for each in gradients]
                self._added[place] = list(zip(gradients, versions, marks))
        self._added_at[place] = self._event()

    def _judge(self, gradients: list[torch.Tensor | None]) -> None:
        """Whether the gradients that have been added are still what they were."""
        marks = []
        for place, seen in self._added.items():
            for k, (then, version, mark) in zip(self.buckets.all[place].tensors, seen):
                now = gradients[k]
                if now is not then or (now is not None and now._version != version):
                    self.changed = True
                    return
                if now is not None:
                    marks.append((mark, _fingerprint(now)))
        if marks:
            before, after = (torch.stack(each) for each in zip(*marks))
            self.changed = not torch.equal(before, after)

    def _pass_on(self, stop: int) -> None:
        """Have the buckets before `stop` exchanged, but for the last of all, which waits for the losses."""
        for place in range(self._next, min(stop, len(self.buckets.all) - 1)):
            self._next = place + 1
            reduction = self._reduction
            if reduction.group.size == 1:
                reduction.pass_on(self._fetched(place))
            else:
                reduction.group.aside = True
                self._behind.submit(lambda place=place: reduction.pass_on(self._fetched(place)))

    def _fetched(self, place: int) -> torch.Tensor:
        """A bucket's sum, in main memory."""
        event, total = self._added_at.get(place), self.buckets.all[place].total.finish()
        if total.device.type == "cpu":
            return total
        if event is None:
            return total.cpu()
        event.synchronize()
        if self._copying is None:
            self._copying = torch.cuda.Stream(self._device)
        with torch.cuda.stream(self._copying):
            return total.cpu()

    def _event(self) -> Any:
        """A point in the device's work up to now; None where there is nothing to wait for."""
        if self._device.type != "cuda":
            return None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self._device))
        return event


def _fingerprint(gradient: torch.Tensor) -> torch.Tensor:
    """Numbers that change with any one bit, and hardly ever stay when more do: the sum of the bits, and that of the values."""
    flat = (gradient.detach().to_dense() if gradient.is_sparse else gradient.detach()).reshape(-1)
    size = flat.element_size()
    wide = not flat.numel() * size % 8 and not flat.storage_offset() * size % 8
    whole = torch.int64 if wide else {1: torch.uint8, 2: torch.int16, 4: torch.int32}[size]
    return torch.stack((flat.view(whole).sum(dtype=torch.int64), flat.sum().to(torch.float64).view(torch.int64)))
