"""The order-invariant sum: same bits in any order and grouping, close to the true sum, honest about what does not fit."""

import math
import random

import pytest
import torch

from concertina import sums

SHAPES = [torch.Size(shape) for shape in ((7, 5), (11,), (3, 2, 2), ())]


def gradients(seed, spread=6.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(shape, generator=generator) * 10.0 ** (spread * (torch.rand(shape, generator=generator) - 0.7))).to(dtype)
        for shape in SHAPES
    ]


def bits(tensor):
    return tensor.view(torch.int64).tolist()


def grouped_sum(batches, weights, order, groups, bounds, logical_workers):
    """Sum each group in its own accumulator, then the groups in the order given."""
    total = None
    for group in groups:
        grid = sums.GridSum(SHAPES, logical_workers, torch.device("cpu"))
        grid.begin(bounds)
        for number in group:
            grid.add(batches[order[number]], weights[order[number]])
        part = grid.finish()
        total = part.clone() if total is None else total + part
    return total


@pytest.mark.parametrize("seed", range(25))
def test_any_order_and_any_grouping_gives_the_same_bits(seed):
    chance = random.Random(seed)
    count = chance.randrange(1, 20)
    batches = [gradients(1000 * seed + number, spread=chance.choice([1.0, 6.0, 20.0])) for number in range(count)]
    weights = [chance.choice([1.0, 0.5, 0.3, 1 / 7]) for _ in range(count)]
    greatest = [max(float(batch[k].abs().max()) for batch in batches) for k in range(len(SHAPES))]
    bounds = [sums.power_of_two_above(each) * 2.0 ** chance.randrange(0, 9) for each in greatest]
    results = set()
    for _ in range(12):
        order = chance.sample(range(count), count)
        cuts = sorted(chance.sample(range(1, count), chance.randrange(0, min(count, 5)))) if count > 1 else []
        groups = [range(a, b) for a, b in zip([0, *cuts], [*cuts, count])]
        chance.shuffle(groups)
        results.add(tuple(bits(grouped_sum(batches, weights, order, groups, bounds, count))))
    assert len(results) == 1, f"seed {seed}"


@pytest.mark.parametrize("seed", range(10))
def test_the_mean_is_as_close_as_float32_can_say_for_elements_near_the_maximum(seed):
    count = 8
    batches = [gradients(seed * 50 + number, spread=0.0) for number in range(count)]
    bounds = [sums.wanted_bound(max(float(batch[k].abs().max()) for batch in batches)) for k in range(len(SHAPES))]
    grid = sums.GridSum(SHAPES, count, torch.device("cpu"))
    grid.begin(bounds)
    for batch in batches:
        grid.add(batch, 1.0)
    mean = torch.empty(grid.length)
    sums.mean_into(grid.finish(), float(count), mean)
    position = 0
    for k, shape in enumerate(SHAPES):
        exact = [math.fsum(values) / count for values in zip(*(batch[k].reshape(-1).tolist() for batch in batches))]
        grid_step = 8 * bounds[k] / 2.0**53
        for got, wanted in zip(mean[position : position + shape.numel()].tolist(), exact):
            assert abs(got - wanted) <= abs(wanted) * 2.0**-24 + grid_step / 2
        position += shape.numel()


def plain_grid_sum(shapes, batches, weights, bounds, logical_workers):
    """The definition, tensor by tensor: round each contribution to its grid, add up."""
    totals = []
    for k, shape in enumerate(shapes):
        constant = 0.75 * sums.power_of_two_above(float(max(logical_workers, 4))) * bounds[k]
        total = torch.zeros(shape, dtype=torch.float64)
        for batch, weight in zip(batches, weights):
            if batch[k] is not None:
                x = batch[k].to(torch.float64) * weight
                x = torch.where(x.abs() > sums.GREATEST_BOUND, x * math.inf, x)
                total += (x + constant) - constant
        totals.append(total.reshape(-1))
    return torch.cat(totals)


def plain_maximum(batches, weights, k):
    greatest = -1.0
    for batch, weight in zip(batches, weights):
        if batch[k] is not None:
            sizes = [abs(x * weight) for x in batch[k].reshape(-1).tolist()]
            greatest = max([greatest, 0.0, *(x for x in sizes if x <= sums.GREATEST_BOUND)])
    return greatest


@pytest.mark.parametrize("seed", range(30))
def test_stretches_give_the_bits_of_the_definition(seed, monkeypatch):
    chance = random.Random(seed)
    monkeypatch.setattr(sums, "STRETCH", chance.choice([8, 50, 300, 1 << 16]))
    monkeypatch.setattr(sums, "SMALL", chance.choice([1, 20, 1000]))
    generator = torch.Generator().manual_seed(seed)
    dtype = chance.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16, torch.float64])
    shapes = [torch.Size(chance.choice([(), (1,), (3, 5), (17,), (40, 11), (2, 3, 4, 5), (301,)])) for _ in range(chance.randrange(1, 9))]
    count = chance.choice([1, 2, 3, 5, 7, 12])
    specials = [math.nan, math.inf, -math.inf, 0.0, -0.0, torch.finfo(dtype).max, torch.finfo(dtype).tiny / 4]
    specials += [-1e300] if dtype == torch.float64 else []
    batches = []
    for _ in range(count):
        batch = []
        for shape in shapes:
            x = torch.randn(shape, generator=generator) * 2.0 ** torch.randint(-40, 40, shape, generator=generator)
            x = x.to(dtype).contiguous()
            for _ in range(chance.choice([0, 0, 1, 2])):
                x.view(-1)[chance.randrange(x.numel())] = chance.choice(specials)
            if x.ndim == 2 and chance.random() < 0.5:
                x = x.t().contiguous().t()
            batch.append(None if chance.random() < 0.15 else x)
        batches.append(batch)
    weights = [chance.choice([1.0, 1.0, 0.5, 1 / 3]) for _ in range(count)]
    maxima = [plain_maximum(batches, weights, k) for k in range(len(shapes))]
    bounds = [sums.wanted_bound(each) if each > 0 else 2.0**10 for each in maxima]
    grid = sums.GridSum(shapes, count, torch.device("cpu"))
    for offset in (1.0, 2.0):
        used = [bound * offset for bound in bounds]
        wanted = plain_grid_sum(shapes, batches, weights, used, count)
        grid.begin(used)
        for batch, weight in zip(batches, weights):
            grid.add(batch, weight)
        assert grid.maxima == maxima
        got = grid.finish()
        same = (got.view(torch.int64) == wanted.view(torch.int64)) | (got.isnan() & wanted.isnan())
        assert bool(same.all()), f"seed {seed}"
        for divisor in (1.0, 4.0, 3.0, 2.5):
            mean = torch.empty(grid.length, dtype=dtype)
            sums.mean_into(got.clone(), divisor, mean)
            plain = torch.nan_to_num((wanted / divisor).to(dtype), nan=math.nan, posinf=math.inf, neginf=-math.inf)
            assert torch.equal(mean.view(torch.uint8), plain.view(torch.uint8))


@pytest.mark.parametrize("seed", range(25))
def test_any_numbers_at_all_give_one_mean_in_any_grouping_and_nan_and_infinity_surface(seed):
    """Random exponents over all of the type, subnormals, the greatest values, NaN and infinities; V not a power of two."""
    chance = random.Random(seed)
    dtype = chance.choice([torch.float32, torch.float32, torch.bfloat16, torch.float64])
    lowest, highest = (-1080, 899) if dtype == torch.float64 else (-149, 127)
    count = chance.choice([3, 5, 6, 7, 11])

    def number():
        if chance.random() < 0.06:
            return chance.choice([math.nan, math.inf, -math.inf, 0.0, -0.0])
        return chance.choice([-1, 1]) * math.ldexp(chance.uniform(0.5, 1.0), chance.randint(lowest, highest))

    batches = [
        [torch.tensor([number() for _ in range(shape.numel())], dtype=torch.float64).to(dtype).view(shape) for shape in SHAPES]
        for _ in range(count)
    ]
    weights = [chance.choice([1.0, 0.5, 0.3]) for _ in range(count)]
    maxima = [plain_maximum(batches, weights, k) for k in range(len(SHAPES))]
    bounds = sums.raised([sums.LEAST_BOUND] * len(SHAPES), maxima)
    assert not sums.overflowing(bounds, maxima)
    means = []
    for _ in range(8):
        order = chance.sample(range(count), count)
        cuts = sorted(chance.sample(range(1, count), chance.randrange(0, 3)))
        groups = [range(a, b) for a, b in zip([0, *cuts], [*cuts, count])]
        chance.shuffle(groups)
        means.append(torch.empty(sum(shape.numel() for shape in SHAPES), dtype=dtype))
        sums.mean_into(grouped_sum(batches, weights, order, groups, bounds, count), float(count), means[-1])
    assert len({tuple(mean.view(torch.uint8).tolist()) for mean in means}) == 1, f"seed {seed}"
    flat = [torch.cat([each.reshape(-1) for each in batch]) for batch in batches]
    plain = sum(each.to(torch.float64) for each in flat)
    assert torch.equal(means[0].isnan(), plain.isnan())
    infinite = torch.stack([each.isinf() for each in flat]).any(0) & ~plain.isnan()
    assert bool(means[0][infinite].isinf().all()) and torch.equal(means[0][infinite].sign(), plain[infinite].sign().to(dtype))


def test_nothing_added_is_zero_also_after_another_step():
    for grid in (
        sums.GridSum(SHAPES, 4, torch.device("cpu")),
        sums.FloatSum(SHAPES, torch.float32, torch.device("cpu")),
    ):
        grid.begin([16.0] * len(SHAPES))
        grid.add(gradients(1, spread=0.0), 1.0)
        grid.begin([16.0] * len(SHAPES))
        assert not grid.finish().any() and grid.maxima == [-1.0] * len(SHAPES)
        grid.begin([16.0] * len(SHAPES))
        grid.add([None] * len(SHAPES), 1.0)
        assert not grid.finish().any() and grid.maxima == [-1.0] * len(SHAPES)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_plain_sums_are_those_of_torch(dtype):
    batches = [gradients(number, spread=2.0, dtype=dtype) for number in range(3)]
    batches[1][2] = None
    batches[2][0][0, 0] = math.inf
    batches[2][1][3] = math.nan
    plain = sums.FloatSum(SHAPES, dtype, torch.device("cpu"))
    for _ in range(2):
        plain.begin([1.0] * len(SHAPES))
        for batch, weight in zip(batches, (1.0, 0.5, 1.0)):
            plain.add(batch, weight)
        wanted = [batches[0][k].clone() for k in range(len(SHAPES))]
        for k, total in enumerate(wanted):
            for batch, weight in zip(batches[1:], (0.5, 1.0)):
                if batch[k] is not None:
                    total.add_(batch[k], alpha=weight)
        flat = torch.cat([each.reshape(-1) for each in wanted])
        assert plain.finish().dtype == dtype and torch.equal(torch.nan_to_num(plain.finish()), torch.nan_to_num(flat))
        assert bool(plain.finish().isnan().any()) and plain.maxima == [0.0] * len(SHAPES)
        assert not sums.overflowing([1.0] * len(SHAPES), plain.maxima)
        assert sums.followed([1.0] * len(SHAPES), plain.maxima) == [1.0] * len(SHAPES)


def test_the_contribution_at_the_bound_itself_still_sums_exactly():
    grid = sums.GridSum([torch.Size([2])], 4, torch.device("cpu"))
    grid.begin([1.0])
    for value in (1.0, 1.0, 1.0, 1.0):
        grid.add([torch.tensor([value, -value])], 1.0)
    assert grid.finish().tolist() == [4.0, -4.0]
    assert not sums.overflowing([1.0], grid.maxima)


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_infinities_and_nan_reach_the_mean_in_any_order(special):
    results = []
    for place in range(3):
        grid = sums.GridSum([torch.Size([3])], 4, torch.device("cpu"))
        grid.begin([16.0])
        for number in range(3):
            grid.add([torch.tensor([special if number == place else 1.5, 2.0, 3.0])], 1.0)
        assert grid.maxima == [3.0]
        mean = torch.empty(3)
        sums.mean_into(grid.finish(), 3.0, mean)
        results.append(mean.view(torch.int32).tolist())
    assert results[0] == results[1] == results[2]
    value = torch.tensor(results[0][0], dtype=torch.int32).view(torch.float32).item()
    assert math.isnan(value) if math.isnan(special) else value == special


def test_opposite_infinities_become_the_one_nan():
    seen = set()
    for first, second in ((math.inf, -math.inf), (-math.inf, math.inf), (math.nan, 1.0), (1.0, -math.nan)):
        grid = sums.GridSum([torch.Size([1])], 4, torch.device("cpu"))
        grid.begin([16.0])
        grid.add([torch.tensor([first])], 1.0)
        grid.add([torch.tensor([second])], 1.0)
        mean = torch.empty(1)
        sums.mean_into(grid.finish(), 2.0, mean)
        seen.add(mean.view(torch.int32).item())
    assert len(seen) == 1


def test_an_overflow_is_found_and_the_raised_bound_holds():
    grid = sums.GridSum([torch.Size([2]), torch.Size([1])], 4, torch.device("cpu"))
    bounds = [8.0, 8.0]
    grid.begin(bounds)
    grid.add([torch.tensor([9.0, 1.0]), torch.tensor([1.0])], 1.0)
    assert sums.overflowing(bounds, grid.maxima) == [0]
    raised = sums.raised(bounds, grid.maxima)
    assert raised[1] == 8.0 and raised[0] >= 9.0 and not sums.overflowing(raised, grid.maxima)


def test_bounds_rise_at_once_fall_slowly_and_ignore_silence():
    high = sums.wanted_bound(1000.0)
    assert sums.followed([1.0], [1000.0]) == [high]
    assert sums.followed([high], [1.0]) == [high / 2]
    assert sums.followed([high], [0.0]) == [high]
    assert sums.followed([high], [-1.0]) == [high]
    assert sums.followed([sums.LEAST_BOUND], [1e-40]) == [sums.LEAST_BOUND]


def test_a_parameter_without_gradient_is_told_apart_from_one_with_zero_gradient():
    grid = sums.GridSum([torch.Size([2]), torch.Size([2])], 4, torch.device("cpu"))
    grid.begin([1.0, 1.0])
    grid.add([None, torch.zeros(2)], 1.0)
    assert grid.maxima == [-1.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_sum_alike_in_any_order(dtype):
    batches = [gradients(number, spread=2.0, dtype=dtype) for number in range(6)]
    bounds = [sums.wanted_bound(max(float(batch[k].abs().max()) for batch in batches)) for k in range(len(SHAPES))]
    weights = [1.0] * 6
    forward = grouped_sum(batches, weights, list(range(6)), [range(6)], bounds, 6)
    backward = grouped_sum(batches, weights, list(range(5, -1, -1)), [range(0, 2), range(2, 6)], bounds, 6)
    assert bits(forward) == bits(backward)


def test_values_beyond_every_bound_count_as_infinite():
    grid = sums.GridSum([torch.Size([2])], 4, torch.device("cpu"))
    grid.begin([16.0])
    grid.add([torch.tensor([1e300, 2.0], dtype=torch.float64)], 1.0)
    assert grid.maxima == [2.0]
    assert grid.finish().tolist() == [math.inf, 2.0]
