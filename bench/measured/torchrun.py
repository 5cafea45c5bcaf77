"""torchrun's side of the rescale benchmark: one agent per "node", all on this machine, one process each."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from measured.window import settled, window

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

CODE = [BENCH, os.path.join(os.path.dirname(BENCH), "examples", "digits")]

# Its rendezvous settings, each as short as it can be set, in its favour: the defaults are 30 s, 5 s and 3.
SETTINGS = {"last_call_timeout": 1, "keep_alive_interval": 1, "keep_alive_max_attempt": 3}


class Torchrun:
    """An elastic torchrun job that can be grown, shrunk and hurt. Not thread-safe; a context manager that ends every process it started.

    :param folder: scratch folder, created anew
    :param checkpoint_steps: steps from one checkpoint to the next
    """

    def __init__(self, folder, checkpoint_steps, width):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.trace = os.path.join(folder, "trace")
        os.makedirs(self.trace)
        self._folder = folder
        self._checkpoint_steps = checkpoint_steps
        self._width = width
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
            command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1:4", "--nproc-per-node=1", "--max-restarts=1000"]
            command += ["--monitor-interval=0.1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{self._port}", "--rdzv-id=rescale"]
            command += ["--rdzv-conf=" + ",".join(f"{name}={value}" for name, value in SETTINGS.items())]
            command += [os.path.join(BENCH, "scripts", "torchrun", "main.py"), "--steps=100000000", f"--width={self._width}", f"--trace={self.trace}"]
            command += [f"--checkpoint={self._folder}/checkpoint.pth", f"--checkpoint-steps={self._checkpoint_steps}"]
            with open(os.path.join(self._folder, f"agent{len(self._agents)}.log"), "w", encoding="utf-8") as log:
                self._agents.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def start(self, size):
        self.add_agents(size)
        settled(self.trace, size, 0)

    def grow(self, count):
        """Adds agents to the running job and returns what it did to the training."""
        since = time.monotonic()
        size = len(self._agents) + count
        self.add_agents(count)
        return window(self.trace, since, settled(self.trace, size, since))

    def shrink(self, count):
        """Ends agents in the polite way (TERM), the newest first."""
        since = time.monotonic()
        leaving = self._agents[-count:]
        self._agents = self._agents[:-count]
        for agent in leaving:
            agent.terminate()
        measured = window(self.trace, since, settled(self.trace, len(self._agents), since))
        for agent in leaving:
            agent.wait()
        return measured

    def kill(self):
        """Kills the process of the newest worker with KILL; its agent lives."""
        since = time.monotonic()
        victim = settled(self.trace, len(self._agents), 0).workers[-1]
        since = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        return window(self.trace, since, settled(self.trace, len(self._agents), since))
