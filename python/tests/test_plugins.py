"""The process that runs a plug-in of the search, spoken to as the server does."""

import json
import os
import selectors
import subprocess
import sys
from pathlib import Path

import pytest

HOST = Path(__file__).resolve().parent.parent / "plugins" / "core" / "host.py"

COUNTING = """
import random
from plugins.core.logger import logger
from plugins.core.base_plugin_opt import BasePluginOptimizer

class PluginOptimizer(BasePluginOptimizer):
    def __init__(self, name, hyper_parameters, **kwargs):
        super().__init__(name, hyper_parameters, **kwargs)
        self.random = random.Random(int(kwargs["random_seed"]))
        print("not an answer")
        logger.info("made %s", name)

    def search(self, number_samples, last_exp_results):
        logger.debug("results %s", last_exp_results)
        return [{"rate": self.random.random()} for _ in range(number_samples)]

    def get_state(self):
        return {"random": self.random.getstate()}

    def set_state(self, state):
        self.random.setstate(state["random"])
"""


class Process:
    def __init__(self, folder, source):
        (folder / "optimizer.py").write_text(source)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(HOST)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def call(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, state=None, level="INFO"):
        return self.call(
            call="start",
            name="counting",
            folder=str(self.folder),
            hyperParameters=[{"name": "rate", "type": "Range", "dataType": "DOUBLE"}],
            arguments={"random_seed": "2"},
            logLevel=level,
            state=state,
        )

    def search(self, count=2, results=None):
        return self.call(call="search", count=count, results=results)

    def end(self, code=0):
        error = self.process.communicate(timeout=60)[1]
        assert self.process.returncode == code
        return error


@pytest.fixture
def process(tmp_path):
    made = []

    def make(source):
        made.append(Process(tmp_path, source))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()


def test_a_plugin_proposes_and_its_prints_go_to_the_log(process):
    one = process(COUNTING)
    assert one.start(level="DEBUG") == {}
    answer = one.search()
    assert len(answer["points"]) == 2
    assert answer["more"] is True
    assert one.search(1, [{"id": 0, "state": "FINISHED", "metricVal": 0.5}])["points"][0].keys() == {"rate"}
    log = one.end()
    assert "not an answer" in log
    assert "INFO made counting" in log
    assert "DEBUG results [{'id': 0" in log


def test_a_state_carries_over_to_a_new_process(process):
    one = process(COUNTING)
    one.start()
    state = one.search(3)["state"]
    expected = one.search(3)["points"]
    one.end()
    other = process(COUNTING)
    other.start(state)
    assert other.search(3)["points"] == expected
    other.end()


BODY = """
from plugins.core.base_plugin_opt import BasePluginOptimizer
class PluginOptimizer(BasePluginOptimizer):
    def search(self, number_samples, last_exp_results):
        {}
"""


@pytest.mark.parametrize(
    "body,error",
    [
        ("raise KeyError('gone')", "KeyError: 'gone'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return 5", "ValueError: search returned a int; accepted is a list of dicts"),
        ("return [5]", "ValueError: search returned a list with a int; accepted is a list of dicts"),
        ("return [{'rate': float('nan')}]", "ValueError: search returned nan for 'rate'; accepted is a finite number"),
        ("return [{'rate': 1 << 9999}]", "ValueError: search returned a whole number of 10000 bits for 'rate'; accepted are at most 1023"),
        ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "Odd"),
        ("raise ValueError('\\n')", "ValueError: "),
        ("return [{'rate': [1]}]", "ValueError: search returned '[1]' of type list for 'rate'; accepted are numbers and texts"),
    ],
)
def test_what_a_plugin_does_wrong_is_said_and_it_lives_on(process, body, error):
    one = process(BODY.format(body))
    one.start()
    answer = one.search()
    assert answer["error"] == error
    assert "Traceback" in answer["traceback"]
    assert one.search()["error"] == error
    one.end()


def test_where_a_plugin_failed_is_told_without_what_led_there(process):
    one = process(BODY.format("raise KeyError('gone')"))
    one.start()
    lines = one.search()["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith('optimizer.py", line 5, in search')
    one.end()


@pytest.mark.parametrize(
    "source,error",
    [
        ("", "ValueError: optimizer.py has no class PluginOptimizer"),
        ("class PluginOptimizer: pass", "ValueError: optimizer.py has no class PluginOptimizer"),
        ("1 +", "SyntaxError: "),
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_says_why(process, source, error):
    one = process(source)
    assert one.start()["error"].startswith(error)
    one.end()


def test_what_is_too_much_is_dropped_and_what_is_too_little_ends(process):
    one = process(BODY.format("return [{'rate': 1}] * (1000000 if number_samples > 1 else 0)"))
    one.start()
    answer = one.search(2)
    assert answer["points"] == [{"rate": 1}, {"rate": 1}]
    assert answer["more"] is True
    assert one.search(1)["more"] is False
    assert "returned 1000000 points where 2 were wanted" in one.end()


def test_a_state_that_is_too_large_is_refused(process):
    one = process(BODY.format("return [{'rate': 1}]") + "\n    def get_state(self):\n        return {'much': bytes(17 << 20)}\n")
    one.start()
    assert one.search(1)["error"].endswith("bytes when pickled; accepted are at most 16777216")
    one.end()


def test_what_a_plugin_started_ends_with_it(process):
    one = process("import subprocess" + BODY.format("subprocess.Popen(['sleep', '1000']); return [{'rate': 1}]"))
    one.start()
    assert one.search(1)["points"] == [{"rate": 1}]
    # Comes to the end of the log, which the child holds as well.
    one.end()


# Leaves a process of a session of its own, whose parent has ended.
LEAVING = "import os, subprocess, sys" + BODY.format(
    """subprocess.run([sys.executable, '-c', "import os, subprocess; print(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid, flush=True)"], stdout=open('left', 'w'))
        {}"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted by what keeps a plug-in on Linux alone")
@pytest.mark.parametrize(
    "end,code",
    [("return [{'rate': 1}]", 0), ("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", 1), ("os.kill(os.getppid(), 15)\n        while True: pass", 1)],
)
def test_what_a_plugin_left_in_another_session_ends_with_it_however_it_ends(process, tmp_path, monkeypatch, end, code):
    monkeypatch.chdir(tmp_path)
    one = process(LEAVING.format(end))
    one.start()
    try:
        one.search(1)
    except ValueError:
        # It ended without an answer.
        pass
    # Comes to the end of the log, which what was left holds as well.
    one.end(code)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "left").read_text()), 0)


def test_numpy_scalars_become_numbers(process):
    pytest.importorskip("numpy")
    one = process("import numpy" + BODY.format("return [{'rate': numpy.float64(0.5), 'depth': numpy.int64(3), 'kind': 'x'}]"))
    one.start()
    assert one.search(1)["points"] == [{"rate": 0.5, "depth": 3, "kind": "x"}]
    one.end()


def test_a_plug_in_that_computes_ends_with_a_killed_parent(tmp_path):
    (tmp_path / "optimizer.py").write_text(BODY.format("print('computing', flush=True)\n        while True:\n            pass"))
    starts = json.dumps(
        {"call": "start", "name": "endless", "folder": str(tmp_path), "hyperParameters": [], "arguments": {}, "logLevel": "INFO", "state": None}
    )
    searches = json.dumps({"call": "search", "count": 1, "results": None})
    # As a server does, the parent keeps the pipes' ends until it is killed.
    program = f"""
import subprocess, sys
host = subprocess.Popen([sys.executable, "-I", {str(HOST)!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
host.stdin.write({starts!r} + "\\n" + {searches!r} + "\\n")
host.stdin.flush()
host.wait()
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    # The host holds the other end of its log: that closes when the process is gone.
    with selectors.DefaultSelector() as selector:
        selector.register(parent.stderr, selectors.EVENT_READ)
        assert selector.select(timeout=60)
        assert parent.stderr.readline() == b"computing\n"
        parent.kill()
        parent.wait()
        assert selector.select(timeout=60), "the plug-in computes on without its parent"
    assert parent.stderr.read() == b""
    parent.stderr.close()
