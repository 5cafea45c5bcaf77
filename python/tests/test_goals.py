"""What a search from Python is after."""

import pytest

from concertina.goals import Goals, dominates

ENTRIES = [{"loss": 1.0, "speed": 9.0, "memory": 20.0}, {"loss": 2.0, "speed": 5.0, "memory": 17.0}, {"loss": 0.5}]


def test_one_value_is_the_best_of_all_entries():
    entries = [{"value": 2.0}, {"value": 1.0}, {"value": 3.0}, {"value": float("nan")}]
    assert Goals.read(False, None, []).measured(entries) == ({"value": 1.0}, {})
    assert Goals.read(True, None, []).measured(entries) == ({"value": 3.0}, {})
    assert Goals.read(True, None, []).posted() == {"objectiveMetric": "value", "objective": "maximize"}


def test_several_values_come_from_the_last_entry_that_has_them_all():
    goals = Goals.read(False, {"loss": "minimize", "speed": "maximize"}, ["memory <= 16", "speed>=4"])
    assert goals.measured(ENTRIES) == ({"loss": 2.0, "speed": 5.0}, {"memory": 1.0})
    assert goals.losses({"loss": 2.0, "speed": 5.0}) == [2.0, -5.0]
    assert goals.posted() == {
        "objectives": [{"metric": "loss", "objective": "minimize"}, {"metric": "speed", "objective": "maximize"}],
        "constraints": [{"metric": "memory", "atMost": 16.0}, {"metric": "speed", "atLeast": 4.0}],
    }
    with pytest.raises(ValueError, match="no finite number for each of loss, speed, memory"):
        goals.measured(ENTRIES[2:])


def test_what_keeps_all_bounds_ranks_first():
    goals = Goals.read(False, None, ["memory<=16"])
    kept, near, far = ((9.0, {}), (1.0, {"memory": 0.5}), (0.0, {"memory": 3.0}))
    ranks = [goals.rank({"value": value}, missed) for value, missed in (kept, near, far)]
    assert ranks == sorted(ranks)
    assert dominates([1, 2], [1, 3]) and not dominates([1, 3], [2, 2]) and not dominates([1, 2], [1, 2])


@pytest.mark.parametrize(
    "maximize, directions, constraints, message",
    [
        (True, {"loss": "minimize"}, [], "accepted is a dict of metric"),
        (False, {}, [], "accepted is a dict of metric"),
        (False, {"loss": "least"}, [], "accepted is 'minimize' or 'maximize'"),
        (False, None, ["memory<16"], "accepted is METRIC<=NUMBER"),
        (False, None, ["memory<=much"], "accepted is METRIC<=NUMBER"),
        (False, None, "memory<=16", "accepted is a list"),
    ],
)
def test_what_is_no_goal_is_refused(maximize, directions, constraints, message):
    with pytest.raises(ValueError, match=message):
        Goals.read(maximize, directions, constraints)
