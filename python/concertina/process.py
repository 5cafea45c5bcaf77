"""The process a job's script runs in: its environment, its threads, its random numbers, and errors that show the user's lines."""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import errno
import os
import signal
import sys
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from concertina import batches, partition

# A character may take twelve bytes in JSON, and the agent ends the connection of a worker that writes more than 256 KiB at once.
LONGEST_TRACEBACK = 19_000
LONGEST_ERROR = 1_000
LONGEST_YIELD_SECONDS = 5.0
MOST_TOUCHED_BYTES = 1 << 30

# Of the C library's mallopt, by the names of malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_MOST = 2**31 - 1
_MALLOC_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")

_RUNTIME_FOLDER = str(Path(__file__).resolve().parent)
_RUNTIME_FILES = {str(Path(_RUNTIME_FOLDER).parent / "fabric_model.py")}


def job_seed() -> int:
    """The seed all random numbers of the job derive from; CONCERTINA_SEED, default 0."""
    text = os.environ.get("CONCERTINA_SEED") or "0"
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"CONCERTINA_SEED is {text!r}; accepted is a whole number") from None


def prepare_process() -> None:
    """Make what follows in this process repeatable; called when fabric_model is imported, and after a fork of a warm parent.

    Fixes the number of threads of one operation (OMP_NUM_THREADS, default 1), because it decides in which order kernels add; asks
    torch for deterministic kernels; seeds torch, random and numpy, so that every worker builds the same first weights.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(threads) if threads.isdigit() and int(threads) > 0 else 1)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    if hasattr(torch.utils, "deterministic"):
        # Otherwise torch fills all new memory with NaN, which costs time and which nothing that is defined ever reads.
        torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    batches.seed_randomness(partition.number_from("script", job_seed()))


def keep_memory() -> bool:
    """Have the C library keep for the next step what a step frees, which it else gives back to the system and gets again page by page.

    Whether it does: it stays as it is where the environment has settings of malloc, and in a C library that knows no such setting.
    """
    if any(name in os.environ for name in _MALLOC_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _MOST) and mallopt(_M_MMAP_MAX, 0))


def touch_memory(size: int) -> None:
    """After `keep_memory`: have so many bytes, though at most 1 GiB and what there is, ready for what is allocated next."""
    with contextlib.suppress(RuntimeError, MemoryError):
        torch.empty(min(size, MOST_TOUCHED_BYTES), dtype=torch.uint8).zero_()


def take_priority_back() -> None:
    """For a newcomer that has prepared itself: compute with the priority of the others from now on, in all threads and children.

    Without privileges the kernel takes one such change of a session in a tenth of a second, from all of the machine.
    """
    session = os.environ.pop("CONCERTINA_SESSION_NICENESS", None)
    until = time.monotonic() + LONGEST_YIELD_SECONDS
    while session is not None:
        try:
            Path("/proc/self/autogroup").write_text(session)
            session = None
        except OSError as refusal:
            if refusal.errno != errno.EAGAIN or time.monotonic() > until:
                print(f"this worker goes on with less of the processors: {refusal}", flush=True)
                session = None
            else:
                time.sleep(0.02)
    usual = os.environ.pop("CONCERTINA_NICENESS", None)
    if usual is not None:
        os.setpriority(os.PRIO_PGRP, 0, int(usual))


def device() -> torch.device:
    """The GPU of this worker's slot, or the CPU when the slot has none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return torch.device("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def require_own(call: str) -> None:
    """Raises RuntimeError, naming `call`, in a process that the script forked from the worker's own."""
    own = os.environ.get("CONCERTINA_PROCESS") or str(os.getpid())
    if own != str(os.getpid()):
        raise RuntimeError(
            f"{call} was called in process {os.getpid()}, which the script has started; accepted is the worker's own process, {own}"
        )


@contextlib.contextmanager
def termination(asked: Callable[[], None]) -> Iterator[None]:
    """While inside, SIGTERM calls `asked` in a thread of its own instead of ending the process, unless the script handles it itself."""
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if mine:
        # The handler interrupts the training thread, which may hold any lock.
        signal.signal(signal.SIGTERM, lambda number, frame: _thread.start_new_thread(asked, ()))
    try:
        yield
    finally:
        if mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def terminate() -> None:
    """End this process as SIGTERM would have."""
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        signal.pause()


def kill() -> None:
    """End this process as SIGKILL does, by which the server takes it for a loss, not for an error of the script."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def users_lines(error: BaseException) -> BaseException:
    """`error` with the runtime's own frames taken out of its traceback, unless nothing would be left."""
    kept = []
    trace = error.__traceback__
    while trace is not None:
        if not is_runtime(trace.tb_frame.f_code.co_filename):
            kept.append(trace)
        trace = trace.tb_next
    if not kept:
        return error
    following = None
    for each in reversed(kept):
        following = types.TracebackType(following, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return error.with_traceback(following)


def described(error: BaseException) -> tuple[str, str]:
    """Last line and full text of an error's traceback; of a very long line only the beginning, of a very long text the end."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    last = traceback.format_exception_only(type(error), error)[-1].strip()
    return last[:LONGEST_ERROR], text[-LONGEST_TRACEBACK:]


def is_runtime(file: str) -> bool:
    return file in _RUNTIME_FILES or file.startswith(_RUNTIME_FOLDER + os.sep)
