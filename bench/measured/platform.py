"""Concertina's side of the rescale benchmark: a platform of its own in a scratch folder, started as anybody starts one."""

import base64
import http.client
import io
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tarfile
import time
import urllib.parse
import urllib.request

from measured.window import SETTLED_STEPS, settled, window

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOME = os.environ.get("CONCERTINA_HOME") or os.path.dirname(BENCH)
EXEC = "/platform/rest/deeplearning/v1"


def _code(files):
    """A part of a form with an archive of files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, path in files.items():
            tar.add(path, "bench/" + name)
    head = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="bench.modelDir.tar"\r\n\r\n'
    return head + archive.getvalue() + b"\r\n"


class Platform:
    """Server and agent with some CPU slots. Not thread-safe; a context manager that takes everything down.

    :param settings: further ones of the server, key to value
    """

    def __init__(self, folder, slots, settings=None):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.folder = os.path.join(folder, "data")
        self._slots = slots
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._configuration = os.path.join(folder, "configuration.yaml")
        with open(self._configuration, "w", encoding="utf-8") as file:
            file.write(f"https-port: {port}\n" + "".join(f"{key}: {value}\n" for key, value in (settings or {}).items()))
        self._port = port
        self._address = f"https://127.0.0.1:{port}"
        self._token = None

    def __enter__(self):
        self.command("up", "--data", self.folder, "--config", self._configuration, "--slots", str(self._slots))
        self._log_on()
        return self

    def _log_on(self):
        self._tls = ssl.create_default_context(cafile=os.path.join(self.folder, "server", "tls", "certificate.pem"))
        with open(os.path.join(self.folder, "run", "client.yaml"), encoding="utf-8") as file:
            entries = dict(line.strip().split(": ", 1) for line in file if ": " in line)
        who = ":".join(entries[key].strip("\"'") for key in ("user", "password"))
        basic = {"Authorization": "Basic " + base64.b64encode(who.encode()).decode()}
        self._token = json.loads(self._call("GET", "/auth/v1/logon", basic))["accessToken"]

    def __exit__(self, *exception):
        self.command("down", "--data", self.folder)

    def submit(self, arguments, files):
        """Submits code and returns the job's id.

        :param files: name in the archive to path on disk
        """
        line = arguments + " --model-dir bench --model-main main.py"
        return self._upload(EXEC + "/execs?args=" + urllib.parse.quote(line), _code(files))["id"]

    def search(self, description, files):
        """Creates a search.

        :param description: as `docs/search.md` says; its code lies in the folder `bench`
        :param files: name in the archive to path on disk
        """
        data = b'--limit\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + json.dumps(description).encode() + b"\r\n"
        self._upload(EXEC + "/hypersearch", data + _code(files))

    def ended(self, search, seconds):
        """Waits until a search has ended; returns it with all its trials."""
        limit = time.monotonic() + seconds
        path = "/concertina/v1/searches/" + urllib.parse.quote(search)
        while True:
            seen = self.ask(path + "?latest=0")
            if seen["state"] not in ("SUBMITTED", "RUNNING"):
                return self.ask(path)
            if time.monotonic() > limit:
                raise TimeoutError(f"search {search} has not ended within {seconds} s: {seen}")
            time.sleep(0.1)

    def finish(self, search):
        """Deletes a search, and waits until none of its jobs holds a slot any more."""
        self._call("DELETE", f"{EXEC}/hypersearch/{urllib.parse.quote(search)}")
        while any(slot["held"] for agent in self.ask("/concertina/v1/cluster")["agents"] for slot in agent["slots"]):
            time.sleep(0.05)

    def ask(self, path):
        """What a GET is answered with, read as JSON."""
        return json.loads(self._call("GET", path))

    def connection(self):
        """One that stays open, to be used with the headers below."""
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=60, context=self._tls)

    def headers(self):
        return {"X-Auth-Token": self._token}

    def stop(self, job):
        self._call("POST", f"{EXEC}/execs/{job}/stop")

    def job(self, job):
        """The job as the platform describes it."""
        return json.loads(self._call("GET", f"/concertina/v1/jobs/{job}"))

    def command(self, *words):
        """Runs `./concertina` and returns what it printed; raises with that text when it fails."""
        done = subprocess.run([os.path.join(HOME, "concertina"), *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"concertina {words[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def _upload(self, path, parts):
        return json.loads(self._call("POST", path, {"Content-Type": "multipart/form-data; boundary=limit"}, parts + b"--limit--\r\n"))

    def _call(self, method, path, headers=None, body=None):
        allowed = headers or {}
        if self._token:
            allowed = {**allowed, "X-Auth-Token": self._token}
        request = urllib.request.Request(self._address + path, data=body, headers=allowed, method=method)
        with urllib.request.urlopen(request, timeout=60, context=self._tls) as answer:
            return answer.read()


class ElasticJob:
    """A job of at most four workers on four slots, grown and shrunk by the coming and going of a second job of the same kind.

    :param model: the script's arguments for its model
    :param batch: samples of a logical worker in a step
    :param steps: in a row that make the job settled
    :param device: `cpu` or `gpu`
    """

    def __init__(self, platform, folder, model, batch=16, steps=SETTLED_STEPS, device="cpu"):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self._platform = platform
        self._folder = folder
        self._arguments = f"{model} --batch-size {batch} --workerDeviceType {device}"
        self._steps = steps
        self._count = 0
        self._second = None
        self.trace, self.job = self._submit()
        self._settled(4, 0)

    def shrink(self):
        """Lets a second job take half of the slots."""
        since = time.monotonic()
        _, self._second = self._submit()
        return window(self.trace, since, self._settled(2, since))

    def grow(self):
        """Ends the second job; the first takes its slots back."""
        since = time.monotonic()
        self._platform.stop(self._second)
        return window(self.trace, since, self._settled(4, since))

    def kill(self):
        """Kills the newest worker with KILL."""
        victim = self._settled(4, 0).workers[-1]
        since = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        return window(self.trace, since, self._settled(4, since))

    def pauses_reported(self):
        """What the platform itself says of each change: members, milliseconds."""
        return [(change["members"], change["pauseMillis"]) for change in self._platform.job(self.job)["switches"]]

    def _settled(self, size, since):
        return settled(self.trace, size, since, self._steps)

    def _submit(self):
        self._count += 1
        trace = os.path.join(self._folder, f"trace{self._count}")
        os.makedirs(trace)
        digits = os.path.join(HOME, "examples", "digits")
        files = {name: os.path.join(digits, name) for name in ("network.py", "digits.csv.gz")}
        files["main.py"] = os.path.join(BENCH, "scripts", "elastic", "main.py")
        files["models.py"] = os.path.join(BENCH, "scripts", "elastic", "models.py")
        files["tracing.py"] = os.path.join(BENCH, "measured", "tracing.py")
        arguments = f"--exec-start edtPyTorch --numWorker 4 --workers 4 --trace {trace} {self._arguments}"
        return trace, self._platform.submit(arguments, files)
