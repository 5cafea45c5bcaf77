"""What an objective of a search asks for, is given, and leaves."""

import json
import random

import pytest

from concertina.trial import Choice, Real, Trial, Whole


def left(folder, name):
    return json.loads((folder / name).read_text())


def test_the_first_trial_runs_with_the_middle_of_every_range_and_records_what_was_asked(tmp_path):
    trial = Trial(-1, None, tmp_path)
    assert trial.real("rate", 1e-4, 1e-2, log=True) == pytest.approx(1e-3)
    assert trial.real("drop", 0, 1, step=0.25) == 0.5
    assert trial.whole("layers", 1, 4) in (2, 3)
    assert trial.choice("opt", ["sgd", None]) == "sgd"
    trial.report(5, step=7)
    trial._finish(3)
    assert left(tmp_path, "val_dict_list.json") == [{"steps": 7, "value": 5.0}, {"steps": 2, "value": 3.0}]
    asked = left(tmp_path, "asked.json")
    assert [each["name"] for each in asked] == ["rate", "drop", "layers", "opt"]
    assert asked[0]["scale"] == "log" and asked[0]["minDbVal"] == 1e-4 and not asked[0]["known"]
    assert asked[3]["discreateStrVal"] == ["sgd", "None"]


def test_a_trial_gets_what_the_search_gives_and_draws_what_it_does_not_know(tmp_path):
    given = {"rate": 0.5, "layers": 3, "opt": "None", "size": 16.0}

    def ask(trial):
        assert trial.real("rate", 0, 1) == 0.5
        assert trial.whole("layers", 1, 4) == 3
        assert trial.choice("opt", ["sgd", None]) is None
        assert trial.choice("size", [16, 32.5]) == 16
        return trial.real("late", 1, 100, log=True)

    first, again, other = (ask(Trial(number, given, tmp_path)) for number in (4, 4, 5))
    assert first == again != other
    trial = Trial(4, given, tmp_path)
    ask(trial)
    trial._finish(1.5)
    assert [each["known"] for each in left(tmp_path, "asked.json")] == [True, True, True, True, False]


def test_draws_lie_in_their_range_and_on_its_steps():
    draw = random.Random(3)
    assert {Whole(1, 9, step=3).drawn(draw) for _ in range(100)} == {1, 4, 7}
    assert {Whole(8, 64, log=True).drawn(draw) >= 8 for _ in range(100)} == {True}
    assert {Real(0, 1, step=0.4).drawn(draw) for _ in range(100)} <= {0.0, 0.4, 0.8}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Real(2, 1), "first not above the second"),
        (lambda: Real(0, 1, log=True), "more than 0 on a logarithmic scale"),
        (lambda: Real(0, 1, step=0), "a number above 0"),
        (lambda: Real(0, float("nan")), "finite numbers"),
        (lambda: Whole(1, 2.5), "whole numbers"),
        (lambda: Whole(1, 3, when={"opt": "sgd"}).posted(), "one earlier hyperparameter"),
        (lambda: Real(1, 3, when={}).posted(), "one earlier hyperparameter"),
        (lambda: Choice([]), "at least one"),
        (lambda: Choice([1, "1"]), "different texts"),
    ],
)
def test_what_is_no_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_value_outside_of_what_the_objective_asks_for_fails_the_trial(tmp_path):
    trial = Trial(0, {"rate": 2.0, "opt": "rmsprop"}, tmp_path)
    with pytest.raises(ValueError, match="rate is 2.0 in this trial; accepted by the objective is 0 to 1"):
        trial.real("rate", 0, 1)
    with pytest.raises(ValueError, match="opt is 'rmsprop'"):
        trial.choice("opt", ["sgd", "adam"])


def test_one_name_has_one_range_and_a_result_is_a_number(tmp_path):
    trial = Trial(0, {"rate": 0.5}, tmp_path)
    assert trial.real("rate", 0, 1) == trial.real("rate", 0, 1)
    with pytest.raises(ValueError, match="accepted is one of them"):
        trial.real("rate", 0, 2)
    for value in (None, "low", True, {}, {"loss": None}):
        with pytest.raises(TypeError, match="accepted is a number"):
            trial._finish(value)


def test_a_trial_finds_its_resource_and_what_it_goes_on_from(tmp_path, monkeypatch):
    assert Trial(-1, None, tmp_path).resource("epochs", 3) == 3
    trial = Trial(0, {"rate": 0.5, "epochs": 9}, tmp_path)
    assert trial.resource("epochs", 3) == 9
    assert trial.folder == tmp_path / "model" and trial.parent_folder is None
    monkeypatch.setenv("CONCERTINA_PARENT_RESULT", str(tmp_path / "parent"))
    assert trial.parent_folder == tmp_path / "parent" / "model"
    trial._finish(1)
    assert left(tmp_path, "asked.json") == []
    with pytest.raises(ValueError, match="accepted is the algorithm's ResourceName"):
        trial.resource("steps", 1)


def test_several_metrics_of_a_trial_lie_in_one_entry(tmp_path):
    trial = Trial(0, {"rate": 0.5}, tmp_path)
    trial.report({"loss": 3, "speed": 1.5})
    trial._finish({"loss": 2, "speed": 1})
    assert left(tmp_path, "val_dict_list.json") == [
        {"steps": 1, "loss": 3.0, "speed": 1.5},
        {"steps": 2, "loss": 2.0, "speed": 1.0},
    ]


def test_what_a_trial_reports_on_its_way_can_be_heard_by_a_search_that_stops_trials_early(tmp_path, monkeypatch):
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "log"))
    trial = Trial(0, {"rate": 0.5}, tmp_path)
    trial.report(0.5)
    trial.report({"value": 0.25}, step=3)
    trial._finish(0.125)
    lines = (tmp_path / "log" / "reports.txt").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"steps": 1, "value": 0.5}, {"steps": 3, "value": 0.25}]
    assert left(tmp_path, "val_dict_list.json")[-1] == {"steps": 3, "value": 0.125}


def test_a_condition_is_posted_and_does_not_make_another_range():
    assert Real(0, 1, when={"opt": ["sgd"]}).posted()["when"] == {"name": "opt", "values": ["sgd"]}
    assert Whole(1, 3, when={"layers": [2, 3]}).posted()["when"] == {"name": "layers", "values": ["2", "3"]}
    assert Choice(["a"], when={"opt": [None]}).posted()["when"] == {"name": "opt", "values": ["None"]}
    assert "when" not in Real(0, 1).posted() and Real(0, 1) == Real(0, 1, when={"opt": ["sgd"]})
