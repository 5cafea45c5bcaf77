import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from harness import Job, Nursery  # noqa: E402


@pytest.fixture(scope="session")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def job(nursery, tmp_path):
    made = []

    def make(name="job", **options):
        made.append(Job(nursery, tmp_path / name, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
