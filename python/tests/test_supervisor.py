"""The supervisor as a program: what a script finds when it is forked, and what becomes of its processes."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

PYTHON = Path(__file__).resolve().parent.parent
PROGRAM = PYTHON / "concertina" / "supervisor.py"


class Supervised:
    """A running supervisor and a folder to run things in."""

    def __init__(self, folder, *modules):
        self.folder = folder
        words = [word for module in modules for word in ("--import", module)]
        self.process = subprocess.Popen(
            [sys.executable, "-u", str(PROGRAM), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self.answer()
        self.count = 0

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def say(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()

    def begin(self, *words, script=None, environment=None):
        self.count += 1
        name = "job-1.%d" % self.count
        request = {
            "run": name,
            "words": list(words),
            "folder": str(self.folder),
            "environment": {"PATH": os.environ["PATH"], "CONCERTINA_WORKER": name, **(environment or {})},
            "stdout": str(self.folder / (name + ".out")),
            "stderr": str(self.folder / (name + ".err")),
            "threads": 1,
        }
        if script is not None:
            request["script"] = str(script)
        self.say(**request)
        started = self.answer()
        assert started["started"] == name
        return name, started["process"]

    def run(self, *words, **more):
        name, process = self.begin(*words, **more)
        return self.answer(), self.out(name), self.err(name)

    def run_script(self, source, *arguments, **more):
        script = self.folder / "main.py"
        script.write_text(source)
        return self.run("main.py", *arguments, script=script, **more)

    def out(self, name):
        file = self.folder / (name + ".out")
        return file.read_text() if file.exists() else ""

    def err(self, name):
        return (self.folder / (name + ".err")).read_text()


@pytest.fixture
def supervised(tmp_path):
    running = Supervised(tmp_path)
    yield running
    running.process.stdin.close()
    running.process.wait(20)


def await_that(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def gone(process):
    try:
        state = Path("/proc/%d/stat" % process).read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def as_typed(folder, source, *arguments):
    """What a new interpreter makes of the same script."""
    (folder / "main.py").write_text(source)
    return subprocess.run(
        [sys.executable, "-u", "main.py", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


SCRIPTS = {
    "returns": "print('done')",
    "exits with a number": "import sys; sys.exit(7)",
    "exits with a large number": "import sys; sys.exit(1000)",
    "exits with words": "import sys; sys.exit('that was that')",
    "exits with nothing": "raise SystemExit",
    "raises": "def f():\n    raise ValueError('no good')\nf()",
    "raises from another error": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
    "is not Python": "x = = 1",
    "has an exit function": "import atexit; atexit.register(print, 'at exit')",
    "leaves a thread behind": (
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()"
    ),
    "shows itself": "print(__name__, __file__, __spec__, __package__, __doc__)\nimport sys; print(sys.argv, sys.path[0])",
    "has its own excepthook": "import sys\nsys.excepthook = lambda *e: print('hook', e[0].__name__)\nraise OSError",
    "has a docstring and annotations": "'doc'\nx: int = 1\nprint(__doc__, __annotations__)",
    "declares an encoding": "# -*- coding: latin-1 -*-\nprint(len('caf\u00e9'))",
}


@pytest.mark.parametrize("source", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_forked_script_behaves_as_in_a_new_interpreter(supervised, tmp_path, source):
    expected = as_typed(tmp_path, source, "-a", "b c")
    ending, out, err = supervised.run_script(source, "-a", "b c")
    assert (out, err) == (expected.stdout, expected.stderr)
    assert (ending["code"], ending["signal"]) == (expected.returncode, 0)


def test_classes_of_a_forked_script_can_be_pickled_and_spawned(supervised):
    ending, out, err = supervised.run_script(
        """
import multiprocessing, pickle

class Sample:
    pass

def double(x):
    return 2 * x

if __name__ == "__main__":
    assert type(pickle.loads(pickle.dumps(Sample()))) is Sample
    for method in ("spawn", "fork"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(method, pool.map(double, [1, 2]))
"""
    )
    assert (ending["code"], err) == (0, "")
    assert out == "spawn [2, 4]\nfork [2, 4]\n"


def test_a_script_sees_only_its_own_environment_and_paths(supervised, tmp_path):
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "helper.py").write_text("NAME = 'helper of the path'")
    ending, out, err = supervised.run_script(
        "import os, helper; print(sorted(os.environ)); print(helper.NAME)",
        environment={"PYTHONPATH": str(extra), "ONLY": "here"},
    )
    assert (ending["code"], err) == (0, "")
    assert out == "['CONCERTINA_PROCESS', 'CONCERTINA_WORKER', 'ONLY', 'PATH', 'PYTHONPATH']\nhelper of the path\n"


NICENESS = """
import os, threading
from concertina import process
there, done = threading.Event(), threading.Event()
found = []
def wait():
    there.set()
    done.wait()
    found.append(os.getpriority(os.PRIO_PROCESS, 0))
thread = threading.Thread(target=wait)
thread.start()
there.wait()
def weight():
    try:
        return open("/proc/self/autogroup").read().split()[-1]
    except OSError:
        return "0"
print(os.getpriority(os.PRIO_PROCESS, 0), weight())
process.take_priority_back()
done.set()
thread.join()
print(os.getpriority(os.PRIO_PROCESS, 0), *found, weight(), [name for name in os.environ if "NICENESS" in name])
"""


def priority_can_be_taken_back():
    found = []

    def there_and_back():
        usual = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, usual + 1)
        try:
            os.setpriority(os.PRIO_PROCESS, 0, usual)
            found.append(True)
        except OSError:
            pass

    thread = threading.Thread(target=there_and_back)
    thread.start()
    thread.join()
    return bool(found)


def test_a_newcomer_yields_while_it_prepares_itself_where_it_can_take_that_back(supervised):
    """Threads of a process have priorities of their own; all of them are to have the usual one afterwards."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    environment = {"PYTHONPATH": str(PYTHON)}
    _, out, err = supervised.run_script(NICENESS, environment={**environment, "CONCERTINA_NEWCOMER": "1"})
    yielding = min(usual + 5, 19) if priority_can_be_taken_back() else usual
    weighed = "5" if os.path.exists("/proc/self/autogroup") and os.geteuid() == 0 else "[05]"
    assert err == "" and re.fullmatch(rf"{yielding} {weighed}\n{usual} {usual} 0 \[\]\n", out)
    _, out, err = supervised.run_script(NICENESS, environment=environment)
    assert (out, err) == (f"{usual} 0\n{usual} {usual} 0 []\n", "")


def test_workers_forked_from_one_interpreter_draw_different_random_numbers(tmp_path):
    supervised = Supervised(tmp_path, "random", "multiprocessing", "torch", "numpy")
    source = """
import multiprocessing, random, sys
print(random.random(), multiprocessing.current_process().authkey.hex())
if "numpy" in sys.modules:
    print(sys.modules["numpy"].random.rand())
if "torch" in sys.modules:
    print(sys.modules["torch"].rand(1).item(), sys.modules["torch"].initial_seed())
"""
    first, second = supervised.run_script(source)[1].split(), supervised.run_script(source)[1].split()
    supervised.process.stdin.close()
    supervised.process.wait(20)
    assert len(first) == len(second) >= 2
    assert all(one != other for one, other in zip(first, second))


def test_a_worker_runs_its_own_finalizers_and_not_those_of_the_warm_interpreter(tmp_path, monkeypatch):
    (tmp_path / "warmed.py").write_text("import weakref\nclass Held: pass\nheld = Held()\nweakref.finalize(held, print, 'warm')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    supervised = Supervised(tmp_path, "warmed")
    ending, out, err = supervised.run_script(
        "import sys, weakref\nassert 'warmed' in sys.modules\nclass Mine: pass\nmine = Mine()\nweakref.finalize(mine, print, 'own')\n"
    )
    supervised.process.stdin.close()
    supervised.process.wait(20)
    assert (ending["code"], out, err) == (0, "own\n", "")


def test_the_end_of_a_worker_takes_what_it_left_behind(supervised):
    name, process = supervised.begin(
        "bash", "-c", "sleep 600 & echo $!; (setsid sleep 600 & echo $!); sleep 0.2; exit 5"
    )
    assert supervised.answer() == {"exited": name, "code": 5, "signal": 0}
    left = [int(word) for word in supervised.out(name).split()]
    assert len(left) == 2
    await_that(lambda: all(gone(each) for each in left))


def test_the_end_of_a_forked_script_takes_even_children_that_made_sessions_of_their_own(supervised):
    source = """
import os, time
for depth in range(2):
    if os.fork() == 0:
        os.setsid()
        if depth == 1 and os.fork():
            os._exit(0)
        print(os.getpid(), flush=True)
        time.sleep(600)
while True:
    if len(open(os.readlink("/proc/self/fd/1")).read().split()) == 2:
        break
    time.sleep(0.01)
"""
    answer, out, err = supervised.run_script(source)
    assert (answer["code"], err) == (0, "")
    left = [int(word) for word in out.split()]
    assert len(left) == 2
    await_that(lambda: all(gone(each) for each in left))


def test_a_signal_reaches_the_whole_group_and_is_told(supervised):
    name, process = supervised.begin("bash", "-c", "sleep 600 & echo $!; wait")
    await_that(lambda: supervised.out(name).strip())
    supervised.say(signal=name, number=int(signal.SIGTERM))
    assert supervised.answer() == {"exited": name, "code": -1, "signal": 15}
    await_that(lambda: gone(int(supervised.out(name))))


def test_a_program_that_does_not_exist_ends_with_127_and_says_so(supervised):
    ending, out, err = supervised.run("no-such-program")
    assert ending["code"] == 127
    assert err == "no-such-program: No such file or directory\n"


def test_the_end_of_the_agent_ends_every_worker_even_one_that_ignores_it(supervised):
    name, process = supervised.begin(
        "bash", "-c", "trap '' TERM; (setsid sleep 600 & echo $!); sleep 600 & echo $!; echo ready; while :; do wait; done"
    )
    await_that(lambda: "ready" in supervised.out(name))
    workers = [process] + [int(word) for word in supervised.out(name).split()[:2]]
    supervised.process.stdin.close()
    supervised.process.wait(20)
    await_that(lambda: all(gone(each) for each in workers))


def test_a_killed_supervisor_takes_its_workers_along(supervised):
    name, process = supervised.begin("sleep", "600")
    supervised.process.kill()
    await_that(lambda: gone(process))


def test_requests_that_are_not_understood_are_passed_over(supervised):
    supervised.process.stdin.write("nonsense\n[1]\n{\"run\": \"x\"}\n")
    supervised.process.stdin.flush()
    assert supervised.answer()["refused"] == "x"
    ending, out, err = supervised.run_script("print(1)")
    assert (ending["code"], out) == (0, "1\n")


def test_a_folder_that_is_missing_ends_the_worker_not_the_supervisor(supervised):
    name = "job-1.99"
    supervised.say(
        run=name,
        words=["true"],
        folder=str(supervised.folder / "missing"),
        environment={},
        stdout="/dev/null",
        stderr="/dev/null",
        threads=1,
    )
    assert supervised.answer()["started"] == name
    assert supervised.answer() == {"exited": name, "code": 70, "signal": 0}


def test_a_signal_right_after_the_fork_is_not_lost(supervised):
    requests = ""
    for number in range(20):
        worker = "job-2.%d" % number
        run = {"run": worker, "words": ["sleep", "1000"], "folder": str(supervised.folder), "environment": {"PATH": os.environ["PATH"]}}
        requests += json.dumps({**run, "stdout": "/dev/null", "stderr": "/dev/null", "threads": 1}) + "\n"
        requests += json.dumps({"signal": worker, "number": signal.SIGTERM}) + "\n"
    supervised.process.stdin.write(requests)
    supervised.process.stdin.flush()
    answers = [supervised.answer() for _ in range(40)]
    assert sorted(answer["signal"] for answer in answers if "exited" in answer) == [signal.SIGTERM] * 20
