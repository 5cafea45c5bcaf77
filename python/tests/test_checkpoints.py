"""Checkpoints when the writer is cut off anywhere, when the disk is full, how often they come and which are kept."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from concertina import checkpoints as module
from concertina import state
from concertina.checkpoints import Checkpoints

PYTHON_FOLDER = str(Path(__file__).resolve().parents[1])


def no_memory(*_):
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def value(step, floats=300_000):
    """1.2 MB: more than one piece."""
    return {"step": step, "tensors": {"w": torch.full((floats,), float(step)), "n": torch.tensor(step)}}


def step_of(content):
    assert content["tensors"]["w"].eq(content["step"]).all() and content["tensors"]["n"] == content["step"]
    return content["step"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def python(script, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": PYTHON_FOLDER},
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


class Faults:
    """Lets so many calls of the file system through, then every one fails, or the "process" ends there."""

    def __init__(self, monkeypatch, after, error):
        self.left, self.error, self.calls = after, error, 0
        for name in ("open", "write", "fsync", "replace"):
            monkeypatch.setattr(state.os, name, self.counted(getattr(os, name)))

    def counted(self, real):
        def call(*arguments, **options):
            self.calls += 1
            if self.calls > self.left:
                raise self.error
            return real(*arguments, **options)

        return call


def calls_of_one_write(folder):
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch, 1000, None)
        state.write_file(folder / "step-1.state", *state.pack(value(1), copy=True))
    return faults.calls


def test_a_write_that_fails_at_any_call_leaves_the_one_before_and_no_other_file(tmp_path, capsys):
    count = calls_of_one_write(tmp_path)
    assert count >= 9
    for after in range(count):
        folder = tmp_path / str(after)
        written = Checkpoints(folder, 0)
        written.now(1, lambda: value(1))
        with pytest.MonkeyPatch.context() as patch:
            Faults(patch, after, OSError(errno.ENOSPC, "No space left on device"))
            written.now(2, lambda: value(2))
        line = capsys.readouterr().out
        assert f"{folder}/step-000000000002.state could not be written: No space left on device; the newest is step-" in line
        renamed = after >= count - 2
        assert step_of(Checkpoints(folder, 0).newest()) == (2 if renamed else 1)
        assert not [name for name in names(folder) if name.startswith(".")]
        written.now(3, lambda: value(3))
        assert step_of(Checkpoints(folder, 0).newest()) == 3


STOPPED_AFTER = """
import os, signal, sys, torch
from pathlib import Path
from concertina import state
left = int(sys.argv[2])
def counted(real):
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call
for name in ("open", "write", "fsync", "replace"):
    setattr(os, name, counted(getattr(os, name)))
value = {"step": 2, "tensors": {"w": torch.full((300000,), 2.0), "n": torch.tensor(2)}}
children = []
header, tensors = state.pack(value, copy=True)
total = left
for calls in range(total):
    child = os.fork()
    if not child:
        left = calls
        state.write_file(Path(sys.argv[1]) / str(calls) / "step-000000000002.state", header, tensors)
        os._exit(0)
    children.append(os.waitpid(child, 0)[1])
print(*children)
"""


def test_a_process_that_is_killed_before_any_call_leaves_the_one_before_whole(tmp_path):
    count = calls_of_one_write(tmp_path)
    for calls in range(count):
        Checkpoints(tmp_path / str(calls), 0).now(1, lambda: value(1))
    process = python(STOPPED_AFTER, tmp_path, count)
    endings = process.communicate(timeout=120)[0].split()
    assert endings == [str(int(signal.SIGKILL))] * count
    for calls in range(count):
        assert step_of(Checkpoints(tmp_path / str(calls), 0).newest()) == (2 if calls >= count - 2 else 1)


KILLED_IN_A_WRITE = """
import sys, torch
from pathlib import Path
from concertina import state
value = {"step": 2, "tensors": {"w": torch.full((25_000_000,), 2.0), "n": torch.tensor(2)}}
header, tensors = state.pack(value, copy=True)
print("begin", flush=True)
while True:
    state.write_file(Path(sys.argv[1]) / "step-000000000002.state", header, tensors)
"""


def test_a_kill_in_the_middle_of_a_large_file_leaves_a_whole_one_and_the_rest_is_swept(tmp_path):
    Checkpoints(tmp_path, 0).now(1, lambda: value(1))
    process = python(KILLED_IN_A_WRITE, tmp_path)
    part = tmp_path / f".step-000000000002.state.{process.pid}"
    assert process.stdout.readline() == "begin\n"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 10_000_000):
        assert time.monotonic() < deadline and process.poll() is None
    process.kill()
    process.wait(60)
    assert step_of(Checkpoints(tmp_path, 0).newest()) in (1, 2)
    part.write_bytes(b"rest")
    Checkpoints(tmp_path, 0).now(3, lambda: value(3))
    assert not part.exists()


def test_a_file_cut_off_at_any_place_is_passed_over(tmp_path):
    written = Checkpoints(tmp_path, 0)
    written.now(1, lambda: value(1, 50))
    written.now(2, lambda: value(2, 50))
    newest = tmp_path / "step-000000000002.state"
    whole = newest.read_bytes()
    for length in range(len(whole)):
        newest.write_bytes(whole[:length])
        assert step_of(Checkpoints(tmp_path, 0).newest()) == 1
    newest.write_bytes(whole + b"x")
    assert step_of(Checkpoints(tmp_path, 0).newest()) == 1


LIMITED = """
import resource, sys, torch
from pathlib import Path
from concertina.checkpoints import Checkpoints
written = Checkpoints(Path(sys.argv[1]), 0)
def value(step, floats):
    return {"step": step, "tensors": {"w": torch.full((floats,), float(step)), "n": torch.tensor(step)}}
def write(step, floats):
    written.offer(step, lambda: value(step, floats))
    written.finish()
write(1, 1000)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
write(2, 1_000_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
print(sorted(path.name for path in Path(sys.argv[1]).iterdir()))
write(3, 1_000_000)
"""


def test_a_limit_on_the_size_of_files_costs_one_checkpoint_and_nothing_else(tmp_path):
    process = python(LIMITED, tmp_path)
    lines = process.communicate(timeout=120)[0].splitlines()
    assert process.returncode == 0
    assert "step-000000000002.state could not be written: File too large; the newest is step-000000000001.state" in lines[0]
    assert lines[1] == "['step-000000000001.state']"
    assert step_of(Checkpoints(tmp_path, 0).newest()) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_costs_checkpoints_until_there_is_room(tmp_path, capsys):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        written = Checkpoints(tmp_path, 0)
        written.now(1, lambda: value(1, 1000))
        (tmp_path / "other").write_bytes(b"x" * 1_500_000)
        written.now(2, lambda: value(2))
        assert "No space left on device; the newest is step-000000000001.state" in capsys.readouterr().out
        assert names(tmp_path) == ["other", "step-000000000001.state"]
        (tmp_path / "other").unlink()
        written.now(3, lambda: value(3))
        assert step_of(Checkpoints(tmp_path, 0).newest()) == 3
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("configured,cost,expected", [(30.0, 0.01, 30.0), (30.0, 0.5, 50.0), (1.0, 0.25, 25.0), (0.0, 5.0, 0.0)])
def test_the_interval_grows_until_checkpoints_cost_less_than_a_hundredth(tmp_path, monkeypatch, configured, cost, expected):
    clock, spent = Clock(), Clock()
    written = Checkpoints(tmp_path, configured, clock)

    def snapshot():
        spent.now += cost
        return value(1, 10)

    monkeypatch.setattr(module.time, "perf_counter", spent)
    monkeypatch.setattr(module.time, "thread_time", lambda: 0.0)
    clock.now = configured
    written.offer(1, snapshot)
    written.finish()
    assert written.interval == pytest.approx(expected)
    clock.now = configured + expected * 0.99
    assert written.due() == (expected == 0.0)
    clock.now = configured + expected * 1.01
    assert written.due()


def test_the_writers_processor_time_counts_as_cost(tmp_path):
    written = Checkpoints(tmp_path, 1e-9)
    written.offer(1, lambda: value(1))
    written.finish()
    assert written.interval >= 100 * written._spent > 0


def test_a_second_copy_takes_the_room_of_the_first_and_the_file_is_the_later_state(tmp_path):
    written = Checkpoints(tmp_path, 0)
    written.now(1, lambda: value(1))
    places = [tensor.data_ptr() for tensor in written._room]
    written.now(2, lambda: value(2))
    assert [tensor.data_ptr() for tensor in written._room] == places
    assert step_of(Checkpoints(tmp_path, 0).newest()) == 2
    written.now(3, lambda: value(3, 7))
    assert step_of(Checkpoints(tmp_path, 0).newest()) == 3


def test_the_newest_are_kept_and_the_first_of_every_period(tmp_path):
    plain, hourly = tmp_path / "plain", tmp_path / "hourly"
    for step in range(1, 9):
        Checkpoints(plain, 0, kept=3).now(step, lambda: value(step, 5))
        Checkpoints(hourly, 0, kept=1, hours=2).now(step, lambda: value(step, 5))
        path = hourly / f"step-{step:012d}.state"
        moment = 1_700_000_000 // 7200 * 7200 + step * 2400 - 1
        os.utime(path, (moment, moment))
    assert names(plain) == [f"step-{step:012d}.state" for step in (6, 7, 8)]
    Checkpoints(hourly, 0, kept=1, hours=2).now(9, lambda: value(9, 5))
    assert names(hourly) == [f"step-{step:012d}.state" for step in (1, 4, 7, 9)]


def test_a_checkpoint_that_finds_no_memory_is_not_passed_over_for_an_earlier_step(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, 0.0)
    checkpoints.now(7, lambda: value(7, 3_000_000))
    monkeypatch.setattr(state, "_memory", no_memory)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        checkpoints.newest()
    monkeypatch.setattr(torch, "empty", lambda *_, **__: torch.zeros(1 << 60))
    with pytest.raises(RuntimeError, match="allocate memory"):
        checkpoints.newest()
