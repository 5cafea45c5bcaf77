"""Ray Train's side of the pause benchmark: an elastic TorchTrainer on a Ray cluster of its own, one processor per "node".

Ray is installed, when it is missing, into a virtual environment below `.concertina/build`, beside all that the jobs' Python has.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from measured import report
from measured.torchrun import CODE
from measured.window import SETTLED_STEPS, settled, window

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = os.environ.get("CONCERTINA_HOME") or os.path.dirname(BENCH)
LIMIT_SECONDS = 300
INSTALL_SECONDS = 600

# As short as they can be set, in its favour: the defaults are 60 s, 2 s and 5 s. How often Ray itself looks for new nodes, every 20 s,
# cannot be set; that time is no pause, for training goes on in it.
RESIZE_SECONDS = 1.0
ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "0.5",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
}
FLAGS = [
    f"ScalingConfig(num_workers=(1, 4), elastic_resize_monitor_interval_s={RESIZE_SECONDS})",
    "FailureConfig(max_failures=-1)",
    "CheckpointConfig(num_to_keep=2)",
    "TorchConfig(backend='gloo')",
    *(f"{name}={value}" for name, value in ENVIRONMENT.items()),
]


class Missing(Exception):
    """Ray cannot be had; the text says why."""


def python():
    """(A Python that imports Ray Train and the torch of the jobs' Python, Ray's version). Raises Missing."""
    folder = os.path.join(HOME, ".concertina", "build", "ray")
    interpreter = os.path.join(folder, "bin", "python")
    listed = subprocess.run([sys.executable, "-c", "import sys; print(*sys.path, sep='\\n')"], capture_output=True, text=True, check=True).stdout
    beside = "".join(line + "\n" for line in listed.splitlines() if line.endswith(("site-packages", "dist-packages")))
    known = Path(folder, "beside")
    version = _version(interpreter) if known.exists() and known.read_text(encoding="utf-8") == beside else None
    if version is None:
        report.progress("installing Ray for the comparison, into .concertina/build/ray")
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", folder])
        packages = _run([interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
        Path(packages, "beside.pth").write_text(beside, encoding="utf-8")
        options = ["--retries", "0", "--timeout", "15", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        _run([interpreter, "-m", "pip", "install", *options, "ray[train]"])
        version = _version(interpreter)
        if version is None:
            raise Missing("Ray was installed but `import ray.train.torch` fails")
        known.write_text(beside, encoding="utf-8")
    return interpreter, version


def _version(interpreter):
    try:
        done = subprocess.run([interpreter, "-c", "import ray, ray.train.torch; print(ray.__version__)"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _run(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(str(error)) from error
    if done.returncode:
        raise Missing((done.stderr or done.stdout).strip().splitlines()[-1][:500])
    return done.stdout


def end_processes(scratch):
    """Whatever is left of a cluster of Ray: its processes have its scratch folder in their arguments or environment."""
    mark = scratch.encode()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as command, open(f"/proc/{name}/environ", "rb") as environment:
                ours = mark in command.read() or mark in environment.read()
            if ours:
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            pass


class RayTrain:
    """An elastic job that can be grown, shrunk and hurt. Not thread-safe; a context manager that ends every process it started.

    :param interpreter: a Python with Ray
    :param checkpoint_steps: steps from one checkpoint to the next
    :param model: the script's arguments for its model
    :param batch: samples of a step
    :param steps: in a row that make the job settled
    """

    def __init__(self, interpreter, folder, checkpoint_steps, model, batch, steps=SETTLED_STEPS):
        shutil.rmtree(folder, ignore_errors=True)
        self.trace = os.path.join(folder, "trace")
        os.makedirs(self.trace)
        self._folder = folder
        self._steps = steps
        self._nodes = 1
        # Ray puts sockets there, whose names must be short.
        self._scratch = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
        # Ray writes a file there, too, and does not make the folder itself.
        os.makedirs("/tmp/ray", exist_ok=True)
        self._command = [interpreter, os.path.join(BENCH, "scripts", "ray", "main.py"), *model.split(), f"--global-batch={batch}"]
        self._command += [f"--checkpoint-steps={checkpoint_steps}", f"--folder={folder}", f"--trace={self.trace}"]
        self._command += [f"--interval={RESIZE_SECONDS}", f"--scratch={self._scratch}"]

    def __enter__(self):
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(CODE), "CONCERTINA_BENCH_SCRATCH": self._scratch}
        with open(os.path.join(self._folder, "log"), "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        self._lines = []
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            self._await(1)
            settled(self.trace, 1, 0, self._steps, LIMIT_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            pass
        end_processes(self._scratch)
        self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def grow(self, count):
        """Adds nodes to the cluster and returns what it did to the training."""
        return self._changed(self._nodes + count)

    def shrink(self, count):
        """Ends nodes in the polite way (TERM), the newest first."""
        return self._changed(self._nodes - count)

    def kill(self):
        """Kills the process of the newest worker with KILL; its node lives."""
        victim = self._settled(0).workers[-1]
        since = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        return window(self.trace, since, self._settled(since))

    def _changed(self, nodes):
        since = time.monotonic()
        self._process.stdin.write(json.dumps({"nodes": nodes}) + "\n")
        self._process.stdin.flush()
        self._nodes = nodes
        self._await(nodes)
        return window(self.trace, since, self._settled(since))

    def _settled(self, since):
        return settled(self.trace, self._nodes, since, self._steps, LIMIT_SECONDS)

    def _listen(self):
        for line in self._process.stdout:
            try:
                self._lines.append(json.loads(line)["nodes"])
            except (ValueError, TypeError, KeyError):
                pass

    def _await(self, nodes):
        limit = time.monotonic() + LIMIT_SECONDS
        while not self._lines or self._lines[-1] != nodes:
            if self._process.poll() is not None or time.monotonic() > limit:
                raise TimeoutError(f"Ray had no {nodes} nodes within {LIMIT_SECONDS} s, see {self._folder}/log")
            time.sleep(0.05)
