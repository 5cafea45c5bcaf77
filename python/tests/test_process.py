"""What a worker's process asks of the system that runs it."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from concertina import process

HOME = Path(__file__).resolve().parents[1]
# Twelve tensors of 2 MB that are there at once, again and again, as in a step; 512 pages each.
STEPS = """
import resource, sys, torch
from concertina import process
if "keep" in sys.argv:
    process.keep_memory()
def step():
    kept = [torch.ones(1 << 19) for _ in range(12)]
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
if "touch" in sys.argv:
    process.touch_memory(3 * 12 << 21)
for _ in range(0 if "touch" in sys.argv else 3):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""
PAGES = 10 * 12 * 512
glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory in its own way")


def faults(*arguments, **settings):
    """Pages that ten such steps got from the system."""
    environment = {name: value for name, value in os.environ.items() if name not in process._MALLOC_SETTINGS}
    environment.update(settings, PYTHONPATH=str(HOME), OMP_NUM_THREADS="1")
    done = subprocess.run(
        [sys.executable, "-c", STEPS, *arguments], capture_output=True, text=True, env=environment, timeout=120, check=True
    )
    return int(done.stdout)


@glibc_only
def test_memory_of_a_step_is_kept_for_the_next():
    # A small thing in the gap that a step left costs the next some memory more, seldom, and at any step.
    assert faults("keep") < PAGES / 10


@glibc_only
def test_memory_that_was_touched_holds_the_first_steps_already():
    assert faults("keep", "touch") < PAGES / 100


def test_more_memory_than_there_is_is_not_touched(monkeypatch):
    monkeypatch.setattr(process, "MOST_TOUCHED_BYTES", 1 << 60)
    process.touch_memory(1 << 60)


def test_of_a_large_model_not_all_memory_is_touched(monkeypatch):
    asked, empty = [], torch.empty
    monkeypatch.setattr(torch, "empty", lambda size, **kind: asked.append(size) or empty(1, **kind))
    process.touch_memory(1 << 20)
    process.touch_memory(1 << 40)
    assert asked == [1 << 20, process.MOST_TOUCHED_BYTES]


@glibc_only
def test_a_setting_of_malloc_in_the_environment_is_respected():
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="65536") > PAGES / 2
