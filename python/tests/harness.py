"""A control server for one elastic job: real worker processes, a real Unix socket, the server's rules of docs/protocol.md section 2."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIMIT_SECONDS = 30.0


class Nursery:
    """Starts worker processes in milliseconds; one per test session and set of modules that they find imported."""

    def __init__(self, *modules):
        environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}:{HERE}", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py"), *modules], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        self._queues = {}
        self._owner = {}
        self._lock = threading.Lock()
        json.loads(self._process.stdout.readline())
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, name, script, cwd, environment, events):
        with self._lock:
            self._owner[name] = events
            line = json.dumps({"name": name, "script": str(script), "cwd": str(cwd), "env": environment})
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)

    def _read(self):
        for line in self._process.stdout:
            message = json.loads(line)
            with self._lock:
                if "started" in message:
                    events = self._owner.pop(message["name"])
                    self._queues[message["started"]] = (message["name"], events)
                    events.put((message["name"], {"type": "#started", "pid": message["started"]}))
                else:
                    name, events = self._queues.pop(message["ended"])
                    events.put((name, {"type": "#ended", "code": message["code"]}))


class Worker:
    def __init__(self, name):
        self.name = name
        self.pid = None
        self.socket = None
        self.talking = False
        self.address = None
        self.alive = True
        self.code = None
        self.answered = None
        self.formed = set()


class Job:
    """One job of V logical workers. `want` sets how many workers it should have; `run` pumps events until a condition holds."""

    _count = 0

    def __init__(self, nursery, folder, script="script_train.py", logical_workers=4, **environment):
        Job._count += 1
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.events = queue.Queue()
        self.workers = {}
        self.generation = 0
        self.current = []
        self.pending = None
        self.recovering = None
        self.desired = None
        self.done = None
        self.failed = None
        self.messages = []
        self.watchers = []
        self.held = 0
        self._number = Job._count
        self._nursery = nursery
        self._script = HERE / script
        self._next = 0
        path = f"/tmp/concertina-test-{os.getpid()}-{Job._count}"
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        self.environment = {
            "CONCERTINA_CONTROL": path,
            "CONCERTINA_LOGICAL_WORKERS": str(logical_workers),
            "CONCERTINA_JOB_SECRET": "a secret of this job",
            "CONCERTINA_LISTEN_HOST": "127.0.0.1",
            "RESULT_DIR": str(self.folder),
            "CHECKPOINT_DIR": str(self.folder / "checkpoint"),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            **{key: str(value) for key, value in environment.items()},
        }

    # What a test does

    def start(self, count=1, **environment):
        """Start worker processes; returns their names."""
        names = []
        for _ in range(count):
            self._next += 1
            name = f"job-{self._number}.{self._next}"
            self.workers[name] = Worker(name)
            log = self.folder / "log" / f"task{self._next}.node"
            log.mkdir(parents=True, exist_ok=True)
            own = {**self.environment, "CONCERTINA_WORKER": name, "CONCERTINA_WORKER_TOKEN": "t", "LOG_DIR": str(log)}
            own.update({key: str(value) for key, value in environment.items()})
            self._nursery.start(name, self._script, self.folder, own, self.events)
            names.append(name)
        return names

    def want(self, names):
        """Workers the job should consist of, as soon as they are prepared; current members keep their order."""
        self.desired = list(names)
        self._decide()

    def grow_to(self, count):
        alive = [name for name in (self.desired or []) if self.workers[name].alive]
        started = self.start(count - len(alive))
        if self.current:
            self.run(lambda: all(self.workers[name].address for name in started))
        self.want(alive + started)

    def shrink_to(self, count, keep_first=True):
        alive = [name for name in self.desired if self.workers[name].alive]
        self.want(alive[:count] if keep_first else alive[-count:])

    def gate(self, step):
        """Let the job complete this many steps and hold it there."""
        self.held = step
        temporary = self.folder / ".gate"
        temporary.write_text(str(step))
        temporary.replace(self.folder / "gate")

    def resize(self, workers, keep_first=True):
        """Let the job change to this many workers where the gate holds it, then on, step by step, until it has changed."""
        self.run(lambda: self.step() >= self.held)
        if workers > len(self.current):
            self.grow_to(workers)
        else:
            self.shrink_to(workers, keep_first)
        self.run(lambda: self.pending is not None and self.pending["committed"])

        def changed():
            return len(self.current) == workers and self.pending is None

        while not changed():
            self.gate(self.held + 1)
            self.run(lambda: changed() or self.step() >= self.held)

    def kill(self, name):
        os.kill(self.workers[name].pid, signal.SIGKILL)

    def run(self, until=None, limit=LIMIT_SECONDS):
        """Handle events until the condition holds (default: the job is over). Fails the test when it takes too long."""
        condition = until or self.over
        end = time.monotonic() + limit
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not within {limit} s; last messages {self.messages[-12:]}, {self.ends()}")
            try:
                name, message = self.events.get(timeout=min(left, 0.05))
            except queue.Empty:
                continue
            self._handle(self.workers[name], message)
            for watcher in list(self.watchers):
                watcher(self, name, message)
            self._decide()
        return self

    def over(self):
        return all(not worker.alive for worker in self.workers.values()) and (self.done or self.failed) is not None

    def step(self):
        """Most recent step that was reported."""
        return max((m["step"] for _, m in self.messages if m["type"] in ("progress", "switched")), default=0)

    def of_type(self, kind):
        return [message for _, message in self.messages if message["type"] == kind]

    def outputs(self):
        return {path.name: path.read_text() for path in sorted(self.folder.glob("*.out")) if path.stat().st_size}

    def ends(self):
        return {name: text[-800:] for name, text in self.outputs().items()}

    def close(self):
        for worker in self.workers.values():
            if worker.alive and worker.pid:
                try:
                    os.kill(worker.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if worker.socket is not None:
                worker.socket.close()
        self._listener.close()
        Path(self._path).unlink(missing_ok=True)

    # What the server does

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection):
        name = None
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    message = json.loads(line)
                    if name is None:
                        name = message["worker"]
                        self.workers[name].socket = connection
                        self.workers[name].talking = True
                    self.events.put((name, message))
        except (OSError, ValueError):
            pass
        if name is not None:
            self.events.put((name, {"type": "#silent"}))

    def _send(self, name, message):
        worker = self.workers[name]
        if worker.alive and worker.socket is not None:
            try:
                worker.socket.sendall((json.dumps(message) + "\n").encode())
            except OSError:
                pass

    def _handle(self, worker, message):
        kind = message["type"]
        self.messages.append((worker.name, {**message, "at": time.monotonic()}))
        if kind == "#started":
            worker.pid = message["pid"]
        elif kind == "#ended":
            worker.alive = False
            worker.code = message["code"]
            self._fail_for_code(worker)
            if worker.name in self.current or (self.pending and worker.name in self.pending["members"]):
                self._lost(worker.name)
        elif kind == "#silent":
            worker.talking = False
            self._fail_for_code(worker)
        elif kind == "prepared":
            worker.address = message["address"]
        elif kind == "formed" and self.pending and message["generation"] == self.pending["generation"]:
            self.pending["formed"].add(worker.name)
            if self.pending["formed"] >= set(self.pending["members"]):
                if self.pending["immediate"]:
                    self.current, self.pending = self.pending["members"], None
                else:
                    self.pending["committed"] = True
                    for name in dict.fromkeys(self.current + self.pending["members"]):
                        self._send(name, {"type": "commit", "generation": self.pending["generation"]})
        elif kind == "switched" and self.pending and message["generation"] == self.pending["generation"]:
            self.current, self.pending = self.pending["members"], None
        elif kind == "broken":
            if self.recovering is not None and message["generation"] == self.recovering["generation"]:
                self.recovering["steps"][worker.name] = message["step"]
            elif self.recovering is None and message["generation"] >= self.generation:
                self._recover()
        elif kind == "unformed" and self.recovering is None and self.pending:
            if message["generation"] == self.pending["generation"]:
                self._recover()
        elif kind == "left":
            self.current = [name for name in self.current if name != worker.name]
        elif kind == "done":
            self.done = message
        elif kind == "failed" and self.failed is None:
            self.failed = message
            for other in self.workers.values():
                if other.alive and other.pid and other is not worker:
                    self.kill(other.name)

    def _fail_for_code(self, worker):
        """A code fails the job, but what the worker said before it ended is heard first."""
        if worker.code is not None and worker.code > 0 and not worker.talking and self.failed is None:
            self.failed = {"error": f"exit code {worker.code}"}

    def _lost(self, name):
        if self.done is not None or self.failed is not None:
            return
        if name not in self.current and self.pending and not self.pending["committed"] and not self.pending["immediate"]:
            for other in dict.fromkeys(self.current + self.pending["members"]):
                self._send(other, {"type": "abandon", "generation": self.pending["generation"]})
            self.pending = None
            return
        if self.pending is None or self.pending["immediate"] or name in self.current or self.pending["committed"]:
            self._recover()

    def _recover(self):
        members = list(dict.fromkeys(self.current + (self.pending["members"] if self.pending else [])))
        asked = [name for name in members if self.workers[name].alive]
        self.recovering = {"generation": self.generation, "asked": asked, "steps": {}}
        self.current, self.pending = [], None
        for name in asked:
            self._send(name, {"type": "break", "generation": self.generation})

    def _decide(self):
        if self.done is not None or self.failed is not None:
            self._stop_spectators()
            return
        if self.recovering is not None:
            living = [name for name in self.recovering["asked"] if self.workers[name].alive]
            if not all(name in self.recovering["steps"] for name in living):
                return
            steps = {name: self.recovering["steps"][name] for name in living}
            self.recovering = None
            if living:
                self._plan_immediate(living, steps)
                return
        if self.pending is not None or self.desired is None:
            return
        ready = [name for name in self.desired if self.workers[name].alive and self.workers[name].address]
        if not self.current:
            if ready and len(ready) == len([name for name in self.desired if self.workers[name].alive]):
                self._plan_immediate(ready, {name: -1 for name in ready})
            return
        members = [name for name in self.current if name in ready] + [name for name in ready if name not in self.current]
        if members and members != self.current and members[0] in self.current:
            newcomers = [rank for rank, name in enumerate(members) if name not in self.current]
            self._announce(members, 0, newcomers, False, list(dict.fromkeys(self.current + members)))

    def _plan_immediate(self, members, steps):
        most = max(steps.values())
        source = next(rank for rank, name in enumerate(members) if steps[name] == most)
        receivers = [rank for rank, name in enumerate(members) if rank != source and (steps[name] != most or most < 0)]
        self._announce(members, source, receivers, True, members)

    def _announce(self, members, source, receivers, immediate, told):
        self.generation += 1
        self.pending = {
            "generation": self.generation,
            "members": members,
            "formed": set(),
            "committed": False,
            "immediate": immediate,
        }
        command = {
            "type": "generation",
            "generation": self.generation,
            "members": [{"worker": name, "address": self.workers[name].address} for name in members],
            "source": source,
            "receivers": receivers,
            "immediate": immediate,
        }
        for name in told:
            self._send(name, command)

    def _stop_spectators(self):
        # A member's last word that its connections stand may come after rank 0's that the job is done.
        members = self.current + (self.pending["members"] if self.pending else [])
        for worker in self.workers.values():
            if worker.alive and worker.pid and worker.name not in members and self.done is not None:
                try:
                    os.kill(worker.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
