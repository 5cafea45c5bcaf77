"""`FabricModel` where no job runs: checks what it is given, submits it as an elastic job, follows it, and brings the weights back."""

from __future__ import annotations

import inspect
import io
import os
import pickle
import re
import shlex
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_threads = torch.get_num_threads()
import fabric_model  # noqa: E402

# In a job one thread adds in a fixed order; a kernel computes what it likes.
torch.set_num_threads(_threads)

from concertina.client import FINAL_STATES, Access, Client, ClientError, Refused, Unreachable  # noqa: E402
from concertina.curves import Curves, progress_view  # noqa: E402
from concertina.optimizing import Optimizers  # noqa: E402
from concertina.packing import FOLDER, MAIN, pack  # noqa: E402
from concertina.sums import chosen  # noqa: E402

POLL_SECONDS = 1.0
# After so many looks at a worker that is gone nothing more of its log is expected; at the job's end it is looked at once more.
SILENT_POLLS = 10
PATIENCE_SECONDS = 300.0
STOP_SECONDS = 60.0
RESULT = "train/model_epoch_final"

_MEMORIES = {"worker_memory": "--workerMemory", "driver_memory": "--driverMemory"}
_LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "engines_number": 1,
    "num_dataloader_threads": 0,
    "validation_freq": 0,
    "checkpoint_freq": 0,
    "effective_batch_size": 1,
}
_FREE = ("engines_number", "effective_batch_size")
_MEMORY = re.compile(r"\d+(\.\d+)?[KMGTkmgt]([iI]?[bB]?)?")


class JobTraceback(Exception):
    """What the job's own Python printed."""

    def __init__(self, text: str):
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}\n"""'


class JobFailed(RuntimeError):
    """The job ended in another state than FINISHED; the cause, where there is one, is the traceback it ended with."""

    def __init__(self, message: str, trace: str):
        super().__init__(message)
        self._trace = trace

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the user's own lines first, none of the kernel's."""
        return [*self._trace.splitlines(), "", f"{type(self).__name__}: {self}"]


class FabricModel:
    """Takes what `fabric_model.FabricModel` takes, plus server=, user=, password=, token= and certificate= for the server.

    With EXEC_TYPE=notebook, a server= or CONCERTINA_URL, `train` submits an elastic job and this process trains nothing and holds no
    slot; without any of them it trains right here. Each call of `train` is a job of its own and starts from the weights that the
    model has in this process at that moment: the first ones, or those that `download` brought.
    """

    def __init__(
        self,
        *arguments: Any,
        server: str | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        certificate: str | None = None,
        **named: Any,
    ):
        self._local = fabric_model.FabricModel(*arguments, **named)
        self._arguments = dict(_signature(fabric_model.FabricModel.__init__).bind(*arguments, **named).arguments)
        self.model = self._arguments["model"]
        self._client: Client | None = None
        self._job = ""
        self._name = ""
        self._followers = 0
        if server or os.environ.get("CONCERTINA_URL") or os.environ.get("EXEC_TYPE") == "notebook":
            self._framework = framework(self.model)
            if self._framework == "edtPyTorch":
                _require_cpu(self.model)
            self._client = Client(Access.find(server, user, password, token, certificate))

    def get_optimizer(self) -> Any:
        return self._arguments["optimizer"]

    def get_loss_function(self) -> Any:
        return self._arguments["loss_function"]

    @property
    def job(self) -> str:
        """Id of the last job; empty before the first."""
        return self._job

    def train(self, *arguments: Any, **named: Any) -> None:
        """Train as `fabric_model.FabricModel.train` does with the same arguments, as a job, and wait for its end.

        `engines_number` is the most workers the job gets; without it and effective_batch_size that is the number of slots the
        platform has now. Interrupting the kernel stops the job. Raises ValueError for arguments out of range, CannotPack, ClientError,
        and JobFailed with the traceback of the job.
        """
        client = self._client
        if client is None:
            self._local.train(*arguments, **named)
            return
        given = _TRAIN.bind(*arguments, **named).arguments
        _check(given)
        if given.get("sums") is not None or os.environ.get("CONCERTINA_SUMS"):
            given["sums"] = chosen(given.get("sums"), os.environ.get("CONCERTINA_SUMS"))
        memories = [(flag, given.pop(name, None)) for name, flag in _MEMORIES.items()]
        if not client.access.token:
            client.logon()
        workers, samples = given.get("engines_number"), given.get("effective_batch_size")
        if workers is None:
            workers = -(-samples // given["batch_size"]) if samples is not None else _slots(client)
        if samples is None:
            given["engines_number"] = workers
        self._job = ""
        self._name = f"wmla-{client.user}-notebook-{time.time_ns() // 1_000_000}"
        words = ["--exec-start", self._framework, "--appName", self._name, "--cs-datastore-meta", "type=fs"]
        words += ["--numWorker", str(workers), "--workerDeviceNum", "1", "--model-dir", FOLDER, "--model-main", MAIN]
        for flag, memory in memories:
            words += [flag, memory] if memory else []
        try:
            with tempfile.TemporaryDirectory() as folder:
                archive = Path(folder) / f"{FOLDER}.modelDir.tar"
                for warning in pack(archive, self._arguments, given):
                    print(warning, flush=True)
                self._job = client.submit(shlex.join(words), archive, archive.name)
            print(f"Job {self._name} is submitted as {self._job}.", flush=True)
            view = self._follow(client)
        except KeyboardInterrupt:
            self._stop(client)
            raise
        finally:
            client.close()
        print(f"Job {self._name} finishes with state {view['state']}.")
        self._followers += 1
        print(f"driver service subprocess {self._followers} stopped", flush=True)
        if view["state"] != "FINISHED":
            trace = _traceback(client, self._job, view.get("reason", ""))
            message = f"job {self._name} ({self._job}) ended in state {view['state']}: {view.get('reason') or 'no reason known'}"
            raise JobFailed(message, trace) from (JobTraceback(trace) if trace else None)

    def download(self, out_dir: str | os.PathLike[str] | None = None) -> Path:
        """Fetch the last job's result into `out_dir` (the folder for temporary files unless given) and give the model its weights.

        Model and optimizer of this process then are what they would be after training here. Returns the path of the zip. Raises
        RuntimeError before the first job, ClientError when there is no result.
        """
        if self._client is None or not self._job:
            raise RuntimeError("there is no job to download from; train submits one when a server is named")
        folder = Path(out_dir) if out_dir is not None else Path(tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        with self._client as client:
            path = client.result(self._job, folder / f"{self._name}.zip")
        load = _load_torch if isinstance(self.model, torch.nn.Module) else _load_keras
        with zipfile.ZipFile(path) as result:
            load(result, self.model, self.get_optimizer())
        print(f"Save model:  {path}", flush=True)
        return path

    def _follow(self, client: Client) -> dict[str, Any]:
        """Show progress until the job has ended; returns its last description. A server that is away for a while is waited for."""
        view: dict[str, Any] = {}
        curves = Curves()
        show = progress_view(self._name)
        offsets: dict[int, int] = {}
        rests: dict[int, bytes] = {}
        silent: dict[int, int] = {}
        answered = time.monotonic()
        while True:
            try:
                view = client.describe(self._job)
                for worker in view["workers"]:
                    ordinal = worker["ordinal"]
                    # Of a job's many workers only those are asked again that may have more to say.
                    if silent.get(ordinal, 0) > SILENT_POLLS and view["state"] not in FINAL_STATES:
                        continue
                    piece = client.output(self._job, ordinal, offsets.get(ordinal, 0))
                    offsets[ordinal] = offsets.get(ordinal, 0) + len(piece)
                    silent[ordinal] = 0 if piece or worker["alive"] else silent.get(ordinal, 0) + 1
                    *lines, rests[ordinal] = (rests.get(ordinal, b"") + piece).split(b"\n")
                    curves.read(line.decode("utf-8", "replace") for line in lines)
                answered = time.monotonic()
            except Unreachable:
                if time.monotonic() - answered > PATIENCE_SECONDS:
                    raise
                time.sleep(POLL_SECONDS)
                continue
            curves.describe(view)
            ended = view["state"] in FINAL_STATES
            show(curves, ended)
            if ended:
                return view
            time.sleep(POLL_SECONDS)

    def _stop(self, client: Client) -> None:
        """The kernel was interrupted: nothing goes on that nobody waits for."""
        client.close()
        try:
            if not self._job:
                mine = [each["id"] for each in client.jobs(limit=50, sort_by="id:desc") if each.get("appName") == self._name]
                if not mine:
                    return
                self._job = mine[0]
            client.stop(self._job)
            print(f"Interrupted: job {self._name} ({self._job}) was told to stop.", flush=True)
            deadline = time.monotonic() + STOP_SECONDS
            state = client.get(self._job)["state"]
            while state not in FINAL_STATES and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS / 4)
                state = client.get(self._job)["state"]
            print(f"Job {self._name} finishes with state {state}.", flush=True)
        except ClientError as error:
            print(f"The job {self._job or self._name} could not be stopped: {error}", file=sys.stderr, flush=True)


def framework(model: Any) -> str:
    """The framework that a model which `fabric_model.FabricModel` accepts is submitted as."""
    return "edtPyTorch" if isinstance(model, torch.nn.Module) else "edtTensorflow"


def _load_torch(result: zipfile.ZipFile, model: torch.nn.Module, optimizer: Any) -> None:
    def content(suffix: str) -> Any:
        return torch.load(io.BytesIO(_member(result, suffix)[1]), map_location="cpu", weights_only=True)

    model.load_state_dict(content(".pth"))
    try:
        state = content("_optimizer_state.pth")
    except pickle.UnpicklingError:
        # Before torch 2.0 its loader that runs no code of the file knows no floating-point numbers.
        if not torch.__version__.startswith("1."):
            raise
        print(f"The optimizer stays as it was: torch {torch.__version__} cannot read its state safely, torch 2.0 can.", flush=True)
        return
    Optimizers(optimizer).load_state_dicts(state)


def _load_keras(result: zipfile.ZipFile, model: Any, optimizer: Any) -> None:
    import numpy

    suffix, content = _member(result, ".keras", ".weights.h5")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"model{suffix}"
        file.write_bytes(content)
        model.load_weights(file)
    with numpy.load(io.BytesIO(_member(result, "_optimizer_state.npz")[1]), allow_pickle=False) as arrays:
        if hasattr(optimizer, "build"):
            optimizer.build(model.trainable_variables)
            for variable, name in zip(optimizer.variables, sorted(arrays.files)):
                variable.assign(arrays[name])


def _member(result: zipfile.ZipFile, *suffixes: str) -> tuple[str, bytes]:
    """The first of these final files that the result has, and its suffix."""
    for suffix in suffixes:
        for name in result.namelist():
            if name == RESULT + suffix or name.endswith("/" + RESULT + suffix):
                return suffix, result.read(name)
    raise ClientError(f"{result.filename} holds no {RESULT}{suffixes[0]}; the job wrote none")


def _signature(method: Callable[..., Any]) -> inspect.Signature:
    """The parameters of a method without self."""
    whole = inspect.signature(method)
    return whole.replace(parameters=list(whole.parameters.values())[1:])


_TRAIN = _signature(fabric_model.FabricModel.train)
setattr(FabricModel.train, "__signature__", inspect.signature(fabric_model.FabricModel.train))


def _check(given: dict[str, Any]) -> None:
    """Kinds and ranges of the arguments that were given, before anything is sent; whole numbers become plain ones."""
    for name, least in _LEAST.items():
        value: Any = given.get(name)
        if name not in given or (value is None and name in _FREE):
            continue
        if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < least:
            raise ValueError(f"{name} is {value!r}; accepted is a whole number of at least {least}")
        given[name] = value.__index__()
    workers, samples, scaleup = given.get("engines_number"), given.get("effective_batch_size"), given.get("scaleup_function")
    if workers is not None and samples is not None:
        raise ValueError(f"engines_number is {workers} and effective_batch_size is {samples}; accepted is one of the two")
    if scaleup is not None and not callable(scaleup):
        raise ValueError(f"scaleup_function is a {type(scaleup).__name__}; accepted is a function")
    for name in _MEMORIES:
        memory = given.get(name)
        if memory is not None and not (isinstance(memory, str) and _MEMORY.fullmatch(memory)):
            raise ValueError(f"{name} is {memory!r}; accepted is a size such as '16G'")


def _require_cpu(model: torch.nn.Module) -> None:
    elsewhere = next((each.device for each in model.parameters() if each.device.type != "cpu"), None)
    if elsewhere is not None:
        raise ValueError(f"model has parameters on {elsewhere}; accepted are parameters on the CPU, the job moves them to its own slots")


def _slots(client: Client) -> int:
    return max(1, sum(len(agent["slots"]) for agent in client.cluster()["agents"] if agent.get("connected", True)))


def _traceback(client: Client, job: str, reason: str) -> str:
    """The traceback that ended the job: of all in its error output the first that ends as the reason does, else the last; else the end."""
    try:
        text = client.log(job, "errlog").strip()
    except (Refused, Unreachable):
        return ""
    finally:
        client.close()
    parts = re.split(r"(?m)^(?=Traceback \(most recent call last\):)", text)[1:]
    parts = [part.strip() for part in parts]
    last = re.sub(r" \(worker [^()]*\)$", "", reason).strip()
    return next((part for part in parts if last and part.endswith(last)), parts[-1] if parts else "\n".join(text.splitlines()[-20:]))

