"""What users call has types throughout: mypy, as mypy.ini sets it up, finds nothing."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
FOLDER = os.environ.get("CONCERTINA_MYPY", "")


@pytest.mark.skipif(not FOLDER and importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_the_types_of_what_users_call_hold(tmp_path):
    known = {**os.environ, "PYTHONPATH": FOLDER}
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=HOME, env=known, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
