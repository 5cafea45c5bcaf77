"""`concertina.report`: a line per call for those who follow, and a trial's result that is whole at any moment."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from concertina import metrics

HOME = Path(__file__).resolve().parent.parent


@pytest.fixture
def reports(tmp_path, monkeypatch):
    monkeypatch.setenv("LOG_DIR", str(tmp_path / "log"))
    monkeypatch.setenv("RESULT_DIR", str(tmp_path / "result"))
    monkeypatch.delenv("DLI_IS_ELASTIC", raising=False)
    monkeypatch.setattr(metrics, "_reports", metrics._Reports())
    return tmp_path


def result(folder):
    return json.loads((folder / "result" / "val_dict_list.json").read_text())


def lines(folder):
    return [json.loads(line) for line in (folder / "log" / "reports.txt").read_text().splitlines()]


def test_each_report_is_a_line_and_the_result_holds_them_all(reports):
    for step in range(1, 4):
        metrics.report(step, loss=1 / step, accuracy=step)
        metrics._reports.flush()
        assert result(reports) == lines(reports)
    assert result(reports)[2] == {"steps": 3, "loss": 1 / 3, "accuracy": 3}
    assert os.listdir(reports / "result") == ["val_dict_list.json"]


def test_a_script_that_ends_leaves_its_last_report(reports):
    script = "import concertina\nfor step in range(2000): concertina.report(step, loss=step)"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(HOME)}, timeout=60)
    assert [entry["loss"] for entry in result(reports)] == list(range(2000))


def test_a_step_reported_twice_is_one_entry(reports):
    metrics.report(1, loss=3.0)
    metrics.report(2, loss=2.0)
    metrics.report(1, accuracy=0.5)
    metrics.report(2, loss=1.5)
    metrics._reports.flush()
    assert result(reports) == [{"steps": 1, "loss": 3.0, "accuracy": 0.5}, {"steps": 2, "loss": 1.5}]


def test_what_others_have_written_to_the_result_is_kept(reports):
    (reports / "result").mkdir()
    file = reports / "result" / "val_dict_list.json"
    file.write_text('[{"steps": 1, "loss": 9}, {"steps": 2, "loss": 8}]')
    metrics.report(2, loss=7)
    metrics._reports.flush()
    assert result(reports) == [{"steps": 1, "loss": 9}, {"steps": 2, "loss": 7}]
    file.write_text('{"loss": 5}')
    metrics.report(3, loss=6)
    metrics._reports.flush()
    assert result(reports) == [{"loss": 5}, {"steps": 1, "loss": 9}, {"steps": 2, "loss": 7}, {"steps": 3, "loss": 6}]
    file.write_text('[{"loss":')
    metrics.report(4, loss=1)
    metrics._reports.flush()
    assert file.read_text() == '[{"loss":'


def test_in_an_elastic_job_the_leader_alone_writes_all_it_has_seen(reports, monkeypatch):
    monkeypatch.setenv("DLI_IS_ELASTIC", "true")
    metrics.report(1, loss=2)
    assert not (reports / "result").exists() and not (reports / "log").exists()
    metrics.lead()
    metrics.report(2, loss=1)
    metrics._reports.flush()
    assert result(reports) == [{"steps": 1, "loss": 2}, {"steps": 2, "loss": 1}]
    assert lines(reports) == [{"steps": 2, "loss": 1}]


def test_a_result_of_many_steps_stays_small_and_keeps_the_best(reports, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_ENTRIES", 100)
    monkeypatch.setattr(metrics._reports, "_next", math.inf)
    for step in range(1000):
        metrics.report(step, loss=abs(step - 333))
    metrics._reports.flush()
    found = result(reports)
    assert len(found) <= 100
    assert {"steps": 333, "loss": 0} in found and found[-1]["steps"] == 999


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: metrics.report("one", loss=1), TypeError, "step is 'one', accepted: a number"),
        (lambda: metrics.report(math.nan, loss=1), ValueError, "accepted: a finite number"),
        (lambda: metrics.report(1, loss="low"), TypeError, "loss is 'low', accepted: a number"),
        (lambda: metrics.report(1, steps=1), ValueError, "accepted: other names than step and steps"),
    ],
)
def test_what_is_no_number_is_refused(reports, call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_outside_the_platform_it_does_nothing(reports, monkeypatch):
    monkeypatch.delenv("LOG_DIR")
    monkeypatch.delenv("RESULT_DIR")
    metrics.report(1, loss=math.nan)
    assert os.listdir(reports) == []
