"""Searches on landscapes with our samplers and with Optuna's, each in a process of its own that is asked and told."""

import glob
import json
import os
import subprocess
import sys

from measured import report

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(HOME, "bench", "scripts", "search")
BUILD = os.path.join(HOME, ".concertina", "build")


def class_path():
    """The program's jars, which the command built just now."""
    jars = glob.glob(os.path.join(BUILD, "current", "*.jar"))
    if not any(os.path.basename(jar).startswith("search-") for jar in jars):
        sys.exit(f"there is no search-*.jar in {BUILD}/current: run this as ./concertina bench search")
    return os.pathsep.join(jars)


def classes():
    """Compiles what asks our samplers; returns the class path to run it with."""
    folder = os.path.join(BUILD, "bench-search")
    path = class_path()
    compiler = os.path.join(os.environ["JAVA_HOME"], "bin", "javac")
    subprocess.run([compiler, "-nowarn", "-d", folder, "-cp", path, os.path.join(SCRIPTS, "AskTell.java")], check=True)
    return folder + os.pathsep + path


def optuna_python():
    """A Python with Optuna, SciPy and the torch that its Gaussian process needs, beside what the jobs' Python has; made once."""
    folder = os.path.join(BUILD, "optuna")
    python = os.path.join(folder, "bin", "python")
    wanted = "import optuna, scipy, torch"
    if not os.path.exists(python) or subprocess.run([python, "-c", wanted], capture_output=True, check=False).returncode:
        report.progress("making a Python environment with Optuna")
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        where = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True
        ).stdout.strip()
        with open(os.path.join(where, "beside.pth"), "w", encoding="utf-8") as file:
            file.write("\n".join(packages) + "\n")
        install = [python, "-m", "pip", "install", "-q", "--retries", "0", "--disable-pip-version-check", "optuna", "scipy", "torch"]
        subprocess.run(install, check=True, stdout=sys.stderr)
    return python


def optuna_versions(python):
    code = "import importlib.metadata as m, json; print(json.dumps({p: m.version(p) for p in ('optuna', 'scipy', 'torch', 'numpy')}))"
    return json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)


class Process:
    """A child that answers lines with lines."""

    def __init__(self, command):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def say(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.child.args[0]} ended with {self.child.wait()}")
        return line.rstrip("\n")

    def close(self):
        self.child.stdin.close()
        self.child.wait()


class Optuna(Process):
    def __init__(self, python):
        super().__init__([python, os.path.join(SCRIPTS, "with_optuna.py")])

    def search(self, landscape, sampler, seed, trials):
        self.say(json.dumps({"landscape": landscape.name, "sampler": sampler, "seed": seed, "trials": trials}))
        return json.loads(self.answer())

    def cost(self, sampler, trials, questions):
        """Seconds of the processor for each of some suggestions after so many random trials on Hartmann's function."""
        self.say(json.dumps({"cost": sampler, "trials": trials, "questions": questions}))
        return json.loads(self.answer())


class Ours(Process):
    FLAGS = ("-XX:+UseSerialGC", "-Xmx256m")

    def __init__(self, path):
        super().__init__([os.path.join(os.environ["JAVA_HOME"], "bin", "java"), *self.FLAGS, "-cp", path, "AskTell"])

    def start(self, landscape, sampler, seed, trials):
        """Begins a search; returns how to read the values of its points."""
        readers = {}
        for kind, name, *rest in landscape.parameters:
            condition = rest[1:] if kind == "choice" else rest[2:]
            if kind == "choice":
                readers[name] = {str(value): value for value in rest[0]}.__getitem__
                fields = [",".join(map(str, rest[0]))]
            else:
                readers[name] = int if kind == "whole" else float
                fields = rest[:2]
            self.say("\t".join(map(str, [kind, name, *fields, *(condition[0] if condition else ())])))
        self.say(f"start\t{sampler}\t{seed}\t{trials}")
        return readers

    def search(self, landscape, sampler, seed, trials):
        readers = self.start(landscape, sampler, seed, trials)
        losses, seconds = [], []
        for _ in range(trials):
            self.say("ask")
            nanoseconds, _, *values = self.answer().split("\t")
            seconds.append(int(nanoseconds) / 1e9)
            losses.append(landscape.loss({name: readers[name](value) for name, value in zip(values[::2], values[1::2])}))
            self.say(f"tell\t{losses[-1]!r}")
        return {"losses": losses, "seconds": seconds}

    def cost(self, landscape, sampler, trials, questions):
        self.start(landscape, sampler, 1, trials)
        self.say(f"cost\t{trials}\t{questions}")
        return [int(each) / 1e9 for each in self.answer().split("\t")]

    def memory(self, landscape, sampler, trials):
        """Bytes that are kept after so many trials."""
        self.start(landscape, sampler, 1, trials)
        self.say(f"cost\t{trials}\t1")
        self.answer()
        self.say("memory")
        return int(self.answer())
