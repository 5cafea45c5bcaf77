"""A platform whose server and agents are processes of the benchmark, so that each can be killed and started again."""

import glob
import json
import os
import signal
import subprocess
import time

from measured.platform import HOME, Platform

LIMIT_SECONDS = 90


class Cluster(Platform):
    """A server and agents, started with the commands that production starts. Not thread-safe.

    :param agents: how many
    :param slots: CPU shares of each; None for the GPUs that it finds, which are the same for all agents of this machine
    :param settings: further ones of the server, key to value
    """

    def __init__(self, folder, agents, slots=2, settings=None):
        super().__init__(folder, slots, settings)
        self.names = [f"node{number + 1}" for number in range(agents)]
        self._folder = folder
        self._processes = {}

    def __enter__(self):
        try:
            self.start_server()
            for name in self.names:
                self.start_agent(name)
            self.await_agents()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        # An agent that ends in an orderly way takes its workers along, so agents go first.
        for name in [*self.names, "server"]:
            process = self._processes.get(name)
            if process is not None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def start_server(self):
        self._start("server", "512m", "concertina.server.Main", "serve", "--detached", "--data", self.folder, "--config", self._configuration)
        limit = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                if self._token is None:
                    self._log_on()
                self.connected()
                return
            except (OSError, ValueError, KeyError) as error:
                if self._processes["server"].poll() is not None or time.monotonic() > limit:
                    raise RuntimeError(f"the server did not start ({error}): see {self._folder}/server.log") from error
                time.sleep(0.03)

    def start_agent(self, name):
        """Starts an agent and does not wait for it."""
        server = os.path.join(self.folder, "server")
        slots = () if self._slots is None else ("--slots", str(self._slots))
        self._start(
            name, "96m", "concertina.agent.AgentMain", "--server", self._address, "--server-certificate", f"{server}/tls/certificate.pem",
            "--token-file", f"{server}/agent-token", "--name", name, *slots, "--data", f"{self.folder}/agents/{name}",
            "--python", os.environ["CONCERTINA_PYTHON"], "--home", HOME, "--data-folder", f"{self.folder}/data",
            "--shared-folder", f"{self.folder}/shared",
        )  # fmt: skip

    def await_agents(self):
        """Waits until every agent has joined."""
        limit = time.monotonic() + LIMIT_SECONDS
        while not set(self.names) <= self.connected():
            dead = [name for name, process in self._processes.items() if process.poll() is not None]
            if dead or time.monotonic() > limit:
                raise RuntimeError(f"connected are {sorted(self.connected())}, ended {dead}: see the logs in {self._folder}")
            time.sleep(0.05)

    def connected(self):
        """Names of the agents that the server hears from."""
        return {each["agent"] for each in json.loads(self._call("GET", "/concertina/v1/cluster"))["agents"] if each["connected"]}

    def process(self, name):
        """Process id of the server or an agent."""
        return self._processes[name].pid

    def kill(self, name):
        """KILL for the server or an agent."""
        process = self._processes[name]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def _start(self, name, heap, main, *arguments):
        classes = os.environ.get("CONCERTINA_CLASS_PATH")
        if not classes:
            built = os.path.realpath(os.path.join(HOME, ".concertina", "build", "current"))
            classes = os.pathsep.join(sorted(glob.glob(os.path.join(built, "*.jar"))))
        java = os.path.join(os.environ["JAVA_HOME"], "bin", "java")
        command = [java, "-XX:+UseSerialGC", "-Xms96m", f"-Xmx{heap}", "--enable-native-access=ALL-UNNAMED"]
        if name in self.names:
            # One processor a slot, so that workers compute with one thread, as all that they are compared with, on any machine.
            command.append(f"-XX:ActiveProcessorCount={self._slots or 1}")
        command += ["-cp", classes, main, *arguments]
        with open(os.path.join(self._folder, f"{name}.log"), "a", encoding="utf-8") as log:
            # A session of its own, as `up` gives it.
            self._processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, "CONCERTINA_HOME": HOME}, start_new_session=True
            )
