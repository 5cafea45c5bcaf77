"""Gradients that are exchanged in buckets, while the backward pass runs: the same bits as in one piece after it."""

import copy
import io
import random
import time

import pytest
import torch

from concertina import partition, sums
from concertina.buckets import Behind, Buckets, Overlap, _fingerprint
from concertina.reduction import Reduction
from test_elastic import assert_each_sample_once, curve, finished, undisturbed  # noqa: F401
from test_kinds import KINDS, alone, rates  # noqa: F401
from test_mesh import meshes, together

CPU = torch.device("cpu")
OPTIONS = {"TEST_TWO_ROUNDS": 1, "CONCERTINA_BUCKET_BYTES": 300}


def overlapped(job, name=None):
    """Buckets that were added up before a backward pass ended, by all workers or by one."""
    return [int(line) for path in job.folder.glob(f"buckets.{name or '*'}") for line in path.read_text().split()]


@pytest.mark.parametrize("seed", range(20))
def test_buckets_cover_all_tensors_once_from_the_last_to_the_first(seed):
    chance = random.Random(seed)
    lengths = [chance.choice([0, 1, 7, 100, 5000]) for _ in range(chance.randrange(1, 30))]
    most = chance.choice([1, 50, 4000, 1 << 40])
    found = partition.buckets(lengths, 4, most)
    assert [k for each in reversed(found) for k in each] == list(range(len(lengths)))
    assert all(len(each) == 1 or 4 * sum(lengths[k] for k in each) <= most for each in found)


def means(group, logical_workers, shapes, batches, mode, most, bounds):
    """What this member holds after one exchange of its logical workers' gradients."""
    buckets = Buckets(shapes, torch.float32, mode, logical_workers, CPU, most)
    reduction = Reduction(group, logical_workers, len(shapes), buckets.lengths, buckets.dtype)
    mean = torch.zeros(sum(shape.numel() for shape in shapes))
    behind, count = Behind(), len(reduction.block)
    for step in range(2):
        buckets.begin(bounds)
        reduction.begin(3.0, [mean[each.start : each.stop] for each in buckets.all])
        for each in buckets.all:
            for logical_worker in reduction.block:
                each.total.add([batches[logical_worker][k] for k in each.tensors], 1.0)
            if each is not buckets.all[-1]:
                behind.submit(lambda each=each: reduction.pass_on(each.total.finish()))
        behind.settle()
        total = buckets.all[-1].total.finish()
        verdict = reduction.sum_up(step, 0, 5, b"", [1.0] * count, [2.0] * count, buckets.maxima, total, [])
        assert verdict.votes == [5] * group.size and not verdict.changed
        reduction.share([], b"")
    return [verdict.maxima, *mean.view(torch.int32).tolist()]


@pytest.mark.parametrize("mode", sums.MODES)
@pytest.mark.parametrize("seed", range(6))
def test_buckets_of_any_size_give_the_same_bits(seed, mode):
    chance, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    shapes = [torch.Size(chance.choice([(), (3,), (17, 5), (200, 70), (0,), (40, 3, 3)])) for _ in range(chance.randrange(1, 12))]
    logical_workers = chance.choice([4, 5, 7])
    batches = [
        [None if chance.random() < 0.2 else torch.randn(shape, generator=generator) for shape in shapes]
        for _ in range(logical_workers)
    ]
    results = {}
    for size in (1, 2, 3, 4):
        for most in (1, 1000, 30_000, 1 << 40):
            formed = meshes(size)
            results[size, most] = together(
                [
                    lambda group=group: means(group, logical_workers, shapes, batches, mode, most, [16.0] * len(shapes))
                    for group in formed
                ]
            )
            for group in formed:
                group.close()
            first = results[size, most][0]
            assert not isinstance(first, Exception), first
            assert all(each == first for each in results[size, most])
            assert first == results[1 if mode == "exact" else size, 1][0], (seed, size, most)


@pytest.mark.parametrize("kind", [*KINDS, "sometimes", "twice", "behind its back"])
def test_all_kinds_of_training_keep_their_bits_when_buckets_go_during_the_backward_pass(job, alone, kind):  # noqa: F811
    running = job(script="script_kinds.py", TEST_KIND=kind, **OPTIONS)
    running.gate(2)
    running.grow_to(2)
    for workers, keep_first in ((4, True), (3, False)):
        running.resize(workers, keep_first)
    running.kill(running.current[0])
    running.gate(1000)
    assert (finished(running), rates(running)) == alone(TEST_KIND=kind)
    assert overlapped(running)


@pytest.mark.parametrize(
    "kind,first,second",
    [("norm", 23, 17), ("no step function", 23, 17), ("by hand", 1, 1), ("behind its back", 5, 4), ("twice", 2, 2)],
)
def test_only_gradients_that_change_after_they_came_end_the_overlap(job, alone, kind, first, second):  # noqa: F811
    """A worker overlaps from its second step on; every fourth step has nothing for the second of two."""
    running = job(script="script_kinds.py", TEST_KIND=kind, **OPTIONS)
    running.grow_to(2)
    assert (finished(running), rates(running)) == alone(TEST_KIND=kind)
    buckets = len(partition.buckets([16 * 32, 32, 32 * 3, 3], 4, OPTIONS["CONCERTINA_BUCKET_BYTES"]))
    for name, steps in ((1, first), (2, second)):
        assert sorted(overlapped(running, name)) == sorted(steps * list(range(buckets)))


@pytest.mark.parametrize("samples", [1, 3, 33])
def test_workers_without_a_micro_batch_pass_their_buckets_on_alike(job, alone, samples):  # noqa: F811
    options = {"TEST_KIND": "norm", "TEST_SAMPLES": samples}
    running = job(script="script_kinds.py", **options, **OPTIONS)
    running.grow_to(4)
    assert finished(running) == alone(**options)[0]


@pytest.mark.parametrize("seed", range(6))
def test_a_worker_that_dies_in_the_middle_of_a_bucket_leaves_no_half_step(job, alone, seed):  # noqa: F811
    chance = random.Random(seed)
    workers = chance.choice([2, 3, 4])
    running = job(script="script_kinds.py", TEST_KIND="norm", TEST_DIE_IN_BUCKET=f"{chance.randrange(1, workers + 1)}:{chance.randrange(2, 60)}", **OPTIONS)
    started = running.start(workers)
    running.run(lambda: all(running.workers[name].address for name in started))
    running.want(started)
    assert (finished(running), rates(running)) == alone(TEST_KIND="norm")
    assert [worker.code for worker in running.workers.values()].count(-9) == 1


def test_a_spike_that_is_seen_in_buckets_already_passed_on_has_the_step_computed_again(job, undisturbed):  # noqa: F811
    options = {"TEST_SPIKE": "1e7", "TEST_OPTIMIZER": "sgd", "TEST_EPOCHS": "2", "TEST_MODEL": "cnn", "TEST_DECAY": "0.9"}
    running = job(**options, **OPTIONS)
    running.grow_to(3)
    assert (finished(running), curve(running)) == undisturbed(**options)
    assert assert_each_sample_once(running, epochs=2) == 4


def test_plain_sums_are_the_same_bits_with_buckets_and_without(job):
    digests = set()
    for number, options in enumerate(({}, OPTIONS, {**OPTIONS, "CONCERTINA_BUCKET_BYTES": 1})):
        running = job(f"job{number}", script="script_kinds.py", TEST_KIND="buffers", CONCERTINA_SUMS="float", **options)
        running.grow_to(4)
        digests.add(finished(running))
        assert bool(overlapped(running)) == bool(options)
    assert len(digests) == 1


@pytest.mark.parametrize("case", ["", "scheduler"])
def test_a_loop_of_ones_own_overlaps_too(job, case):
    digests = set()
    for workers, options in ((1, {}), (3, OPTIONS)):
        running = job(f"job{workers}", script="script_native.py", TEST_CASE=case, **options)
        running.grow_to(workers)
        digests.add(finished(running))
    assert len(digests) == 1 and overlapped(running)


def test_workers_with_buckets_of_different_sizes_fail_the_job_with_a_line_that_says_so(job):
    running = job(script="script_kinds.py", TEST_KIND="norm", **OPTIONS)
    running.gate(3)
    running.grow_to(1)
    running.run(lambda: running.step() >= 3)
    (newcomer,) = running.start(CONCERTINA_BUCKET_BYTES="400")
    running.run(lambda: running.workers[newcomer].address is not None)
    running.want(running.desired + [newcomer])
    running.run(lambda: running.pending is not None and running.pending["committed"])
    running.gate(1000)
    running.run(lambda: running.of_type("failed"))
    assert running.of_type("failed")[0]["error"] == (
        "ValueError: CONCERTINA_BUCKET_BYTES makes 3 buckets in this worker; accepted are the 4 of rank 0"
    )


def test_tasks_behind_run_in_order_and_none_after_one_that_failed():
    behind, done = Behind(), []
    for number in range(50):
        behind.submit(lambda number=number: done.append(number))
    behind.settle()
    assert done == list(range(50))
    behind.submit(lambda: 1 // 0)
    behind.submit(lambda: done.append(50))
    with pytest.raises(ZeroDivisionError):
        behind.settle()
    behind.submit(lambda: done.append(51))
    behind.settle()
    assert done[50:] == [51]


def test_a_worker_that_computes_is_not_taken_for_one_that_waits_while_a_bucket_travels():
    first, second = meshes(2)
    first.aside = True
    received = bytearray(4)
    behind = Behind()
    behind.submit(lambda: first.exchange({}, {1: [memoryview(received)]}))
    limit = time.monotonic() + 10.0
    while not first._owing[1] and time.monotonic() < limit:
        pass
    assert first._owing[1] and first.awaited() == []
    first.aside = False
    assert first.awaited() == ["job-1.1"]
    second.exchange({0: [memoryview(b"abcd")]}, {})
    behind.settle()
    assert bytes(received) == b"abcd"
    for each in (first, second):
        each.close()


def test_a_model_that_is_listened_to_can_be_copied_and_pickled():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    overlap = Overlap(list(model.parameters()), Buckets([each.shape for each in model.parameters()], torch.float32, "exact", 4, CPU, 1), CPU)
    assert overlap._hook() == hasattr(torch.Tensor, "register_post_accumulate_grad_hook")
    file = io.BytesIO()
    torch.save(model, file)
    for other in (copy.deepcopy(model), torch.load(io.BytesIO(file.getvalue()), weights_only=False)):
        other(torch.ones(1, 3)).sum().backward()
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(model.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 1000, 1001])
def test_a_gradient_that_was_changed_by_hand_is_told_from_what_it_was(dtype, length):
    generator = torch.Generator().manual_seed(length)
    whole = torch.randn(length + 1, generator=generator).to(dtype)
    changes = [
        lambda each: each.neg_(),
        lambda each: each.mul_(2.0),
        lambda each: each.clamp_(-0.01, 0.01),
        lambda each: each[-1:].add_(1.0),
        lambda each: each,
    ]
    for change in changes:
        for gradient in (whole.clone()[:length], whole.clone()[1:], whole.clone()[1:].view(1, -1).t()):
            before, was = gradient.clone(), _fingerprint(gradient)
            change(gradient)
            assert torch.equal(was, _fingerprint(gradient)) == torch.equal(before, gradient)
    unclear = torch.tensor([float("nan"), 1.0], dtype=dtype)
    assert torch.equal(_fingerprint(unclear), _fingerprint(unclear))
