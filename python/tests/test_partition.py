"""Which samples belong to which logical worker: everything once, whoever computes it."""

import random

import pytest

from concertina import partition


@pytest.mark.parametrize("logical_workers", range(1, 9))
@pytest.mark.parametrize("workers", range(1, 9))
def test_blocks_cover_every_logical_worker_once_and_in_order(logical_workers, workers):
    blocks = [partition.block(logical_workers, workers, rank) for rank in range(workers)]
    assert [each for block in blocks for each in block] == list(range(logical_workers))
    assert max(map(len, blocks)) == -(-logical_workers // workers)
    assert sorted(map(len, blocks), reverse=True) == list(map(len, blocks))


@pytest.mark.parametrize("seed", range(50))
def test_slices_use_each_sample_once_and_are_never_needlessly_small(seed):
    chance = random.Random(seed)
    logical_workers, batch = chance.randrange(1, 12), chance.randrange(1, 40)
    samples = chance.randrange(1, logical_workers * batch + 1)
    smallest = min(2, batch)
    slices = partition.slices(samples, logical_workers, smallest)
    assert len(slices) == logical_workers
    assert [each for part in slices for each in part] == list(range(samples)), f"seed {seed}"
    assert slices[0]
    assert all(len(part) >= min(smallest, samples) for part in slices if part)
    assert max(map(len, slices)) <= max(batch, 3)


def test_a_full_step_gives_every_logical_worker_its_batch():
    assert list(map(len, partition.slices(40, 5, 2))) == [8] * 5
    assert list(map(len, partition.slices(5, 5, 1))) == [1] * 5


def test_the_order_is_a_permutation_fixed_by_seed_and_epoch():
    first = partition.order(3, 0, 100).tolist()
    assert sorted(first) == list(range(100))
    assert partition.order(3, 0, 100).tolist() == first
    assert partition.order(3, 1, 100).tolist() != first
    assert partition.order(4, 0, 100).tolist() != first


def test_numbers_fit_a_seed_and_depend_on_every_part():
    numbers = {partition.number_from("compute", seed, step, worker) for seed in range(3) for step in range(20) for worker in range(5)}
    assert len(numbers) == 300
    assert all(0 <= number < 2**63 for number in numbers)
