"""What the tests' training scripts share: their data, and where the test holds or kills a worker."""

import contextlib
import os
import resource
import signal
import time

import torch
from torch.utils.data import Dataset

import concertina.batches
import concertina.buckets
import concertina.engine
import concertina.membership
import concertina.mesh
import concertina.reduction
import concertina.state
import concertina.transfer

if os.environ.get("TEST_TWO_ROUNDS") == "1":
    concertina.reduction.SMALL_BYTES = 0

WORKER = os.environ.get("CONCERTINA_WORKER", "").rpartition(".")[2]


class Numbered(Dataset):
    """Samples (x, y, id), made from a fixed seed."""

    def __init__(self, count, shape, seed):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(count, *shape, generator=generator)
        self.y = (self.x.flatten(1)[:, :5].sum(1) > 0).long() + (self.x.flatten(1)[:, 5] > 0.5).long()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, number):
        noise = torch.rand(()) * 0.01
        return self.x[number] + noise, self.y[number], number


def wait_for_gate(number):
    """The test holds the job before this step until it has opened the gate beyond it."""
    limit = time.monotonic() + 120.0
    while True:
        try:
            with open(os.path.join(os.environ["RESULT_DIR"], "gate")) as file:
                if number < int(file.read() or 0):
                    return
        except FileNotFoundError:
            return
        if time.monotonic() > limit:
            raise RuntimeError("the gate did not open")
        time.sleep(0.001)


def die_where_told(number):
    if f"{WORKER}:{number}" in os.environ.get("CONCERTINA_FAIL_AT", "").split(","):
        os.kill(os.getpid(), signal.SIGKILL)


def note_stops():
    """Leave a file once this worker knows that it is to stop, which is some time after the signal."""
    stop = concertina.membership.Membership.stop

    def noted(membership):
        stop(membership)
        with open(os.path.join(os.environ["RESULT_DIR"], f"stopped.{WORKER}"), "w"):
            pass

    concertina.membership.Membership.stop = noted


def be_short_of_memory():
    """Where the test says so, this worker gets hardly any memory more once the state of the others is to arrive, or has arrived."""
    worker, _, when = os.environ.get("TEST_SHORT_OF_MEMORY", "").partition(":")
    if worker != WORKER:
        return
    make_room, receive = concertina.engine.Engine._make_room, concertina.transfer.receive
    compute = concertina.batches.MicroBatches.compute

    def limited(call, *given):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (1 << 20), resource.RLIM_INFINITY))
        return call(*given)

    def exhausted(*given):
        held = []
        with contextlib.suppress(MemoryError):
            while True:
                held.append(bytearray(1 << 20))
        return compute(*given)

    if when == "step":
        concertina.batches.MicroBatches.compute = lambda *given: limited(exhausted, *given)
        return
    concertina.engine.Engine._make_room = lambda *given: limited(make_room, *given)
    concertina.transfer.receive = lambda *given: limited(receive, *given)


def note_transfers():
    """Where the test lets tensors of any size count as large, write down how the state comes and goes.

    The last worker that the test names gets a damaged one.
    """
    if "TEST_LARGE_BYTES" not in os.environ:
        return
    concertina.state.LARGE_BYTES = concertina.transfer.SHARED_BYTES = int(os.environ["TEST_LARGE_BYTES"])
    notes = open(os.path.join(os.environ["RESULT_DIR"], f"transfers.{WORKER}"), "a", buffering=1)
    fill, empty, read = concertina.transfer.Shared.fill, concertina.state.Rooms.empty, concertina.transfer._read

    def filled(shared, views):
        notes.write("filled\n" if shared._touched else "written\n")
        return fill(shared, views)

    def placed(rooms, shape, dtype, place=None):
        found = empty(rooms, shape, dtype, place)
        notes.write("in place\n" if found is place else "beside\n")
        return found

    def damaged(file, views):
        read(file, views)
        views[0][0] = views[0][0] ^ 1

    concertina.transfer.Shared.fill, concertina.state.Rooms.empty = filled, placed
    if os.environ.get("TEST_DAMAGED_STATE") == WORKER:
        concertina.transfer._read = damaged


def note_buckets():
    """Write down which buckets are added up while a backward pass still runs, and die in the middle of one where the test says so."""
    add, exchange = concertina.buckets.Overlap._add, concertina.reduction.Reduction._exchange
    notes = open(os.path.join(os.environ["RESULT_DIR"], f"buckets.{WORKER}"), "a", buffering=1)
    exchanged = 0

    def noted(overlap, place, *others):
        if overlap._listening:
            notes.write(f"{place}\n")
        add(overlap, place, *others)

    def counted(reduction, total, *others):
        nonlocal exchanged
        exchanged += 1
        if f"{WORKER}:{exchanged}" in os.environ.get("TEST_DIE_IN_BUCKET", "").split(","):
            mesh = reduction.group
            for other in mesh._sockets.values():
                other.send(bytes(3))
            os.kill(os.getpid(), signal.SIGKILL)
        exchange(reduction, total, *others)

    concertina.buckets.Overlap._add = noted
    concertina.reduction.Reduction._exchange = counted
