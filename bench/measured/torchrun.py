"""torchrun's side of the pause and rescale benchmarks: one agent per "node", all on this machine, one process each."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from measured.window import SETTLED_STEPS, settled, window

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

CODE = [BENCH, os.path.join(BENCH, "scripts", "elastic"), os.path.join(os.path.dirname(BENCH), "examples", "digits")]

# Its rendezvous settings, each as short as it can be set, in its favour: the defaults are 30 s, 5 s and 3.
SETTINGS = {"last_call_timeout": 1, "keep_alive_interval": 1, "keep_alive_max_attempt": 3}
FLAGS = ["--nnodes=1:4", "--nproc-per-node=1", "--max-restarts=1000", "--monitor-interval=0.1", "--rdzv-backend=c10d"]
FLAGS += ["--rdzv-conf=" + ",".join(f"{name}={value}" for name, value in SETTINGS.items())]


class Torchrun:
    """An elastic torchrun job that can be grown, shrunk and hurt. Not thread-safe; a context manager that ends every process it started.

    :param folder: scratch folder, created anew
    :param checkpoint_steps: steps from one checkpoint to the next
    :param model: the script's arguments for its model
    :param batch: samples of a step
    :param steps: in a row that make the job settled
    """

    def __init__(self, folder, checkpoint_steps, model, batch=64, steps=SETTLED_STEPS):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.trace = os.path.join(folder, "trace")
        os.makedirs(self.trace)
        self._folder = folder
        self._arguments = [*model.split(), f"--global-batch={batch}", f"--checkpoint-steps={checkpoint_steps}", "--steps=100000000"]
        self._steps = steps
        self._agents = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for agent in self._agents:
            agent.kill()
            agent.wait()
        for name in os.listdir(self.trace):
            try:
                os.kill(int(name.split(".")[0]), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def add_agents(self, count):
        for _ in range(count):
            environment = dict(os.environ, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1", OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(CODE))
            command = [sys.executable, "-m", "torch.distributed.run", *FLAGS, f"--rdzv-endpoint=127.0.0.1:{self._port}", "--rdzv-id=rescale"]
            command += [os.path.join(BENCH, "scripts", "torchrun", "main.py"), f"--trace={self.trace}", f"--checkpoint={self._folder}/checkpoint.pth"]
            command += self._arguments
            with open(os.path.join(self._folder, f"agent{len(self._agents)}.log"), "w", encoding="utf-8") as log:
                self._agents.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def start(self, size):
        self.add_agents(size)
        self._settled(size, 0)

    def grow(self, count):
        """Adds agents to the running job and returns what it did to the training."""
        since = time.monotonic()
        size = len(self._agents) + count
        self.add_agents(count)
        return window(self.trace, since, self._settled(size, since))

    def shrink(self, count):
        """Ends agents in the polite way (TERM), the newest first."""
        since = time.monotonic()
        leaving = self._agents[-count:]
        self._agents = self._agents[:-count]
        for agent in leaving:
            agent.terminate()
        measured = window(self.trace, since, self._settled(len(self._agents), since))
        for agent in leaving:
            agent.wait()
        return measured

    def kill(self):
        """Kills the process of the newest worker with KILL; its agent lives."""
        victim = self._settled(len(self._agents), 0).workers[-1]
        since = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        return window(self.trace, since, self._settled(len(self._agents), since))

    def _settled(self, size, since):
        return settled(self.trace, size, since, self._steps)
