"""`concertina.search`: minimise or maximise a Python function on the cluster. Trials are ordinary jobs; this process computes nothing."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from concertina.client import FINAL_STATES, Access, Client, ClientError, Refused, Unreachable
from concertina.goals import Goals, dominates
from concertina.packing import FOLDER, MAIN, pack_objective
from concertina.trial import ASKED, PROBE, RESULTS, Choice, Real, Trial, Whole

POLL_SECONDS = 0.5
# So many trials are looked at each time, until the search has ended.
LATEST = 500
PATIENCE_SECONDS = 300.0
# Stands for a space that is yet to be learnt.
UNKNOWN = {"unknown": Choice([0, 1])}


class SearchFailed(RuntimeError):
    """No trial gave a value, or the algorithm failed; the message says why."""


@dataclass(frozen=True)
class TrialOutcome:
    """What came of a trial. `number` is -1 for the first job of a search whose space was learnt; `value` is None where it gave none.

    `values` holds all objectives where there are several, `violations` by how much it misses constraints that it misses.
    """

    number: int
    job: str
    state: str
    value: float | None
    parameters: dict[str, Any]
    reason: str
    values: dict[str, float] = field(default_factory=dict)
    violations: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchResult:
    """What came of a search. `state` is FINISHED, STOPPED when somebody else stopped it, or FAILED where only the first job gave a value."""

    name: str
    state: str
    reason: str
    trials: list[TrialOutcome]
    _goals: Goals = field(repr=False)
    _access: Access = field(repr=False)

    @property
    def best(self) -> TrialOutcome:
        """The trial with the best value, of several objectives the first; one that misses a constraint only where none keeps all.

        Raises ValueError where none has a value.
        """
        measured = [trial for trial in self.trials if trial.value is not None]
        if not measured:
            raise ValueError(f"no trial of search {self.name} gave a value")
        return min(measured, key=lambda trial: self._goals.rank(trial.values, trial.violations))

    @property
    def front(self) -> list[TrialOutcome]:
        """The trials that keep all constraints and that no other beats in every objective."""
        kept = [(trial, self._goals.losses(trial.values)) for trial in self.trials if trial.state == "FINISHED" and not trial.violations]
        return [trial for trial, losses in kept if not any(dominates(other, losses) for _, other in kept)]

    def importance(self) -> dict[str, float]:
        """The share of the value's variance that each hyperparameter explains by itself, the largest first."""
        with Client(self._access) as client:
            shares = client.search(self.name, "/importance")["importance"]
        return {each["parameter"]: each["share"] for each in shares}

    def to_csv(self, path: str | Path | None = None) -> str:
        """All trials that the server's search knows, as comma-separated values; saved too where a path is given."""
        with Client(self._access) as client:
            text = client.search_table(self.name).decode("utf-8")
        if path is not None:
            Path(path).write_bytes(text.encode("utf-8"))
        return text


def search(
    objective: Callable[[Trial], float | Mapping[str, float]],
    space: Mapping[str, Real | Whole | Choice] | None = None,
    *,
    trials: int = 20,
    parallel: int = 1,
    algorithm: str = "Auto",
    settings: Mapping[str, Any] | None = None,
    maximize: bool = False,
    directions: Mapping[str, str] | None = None,
    constraints: Sequence[str] = (),
    warm_start: Sequence[str] = (),
    early_stopping: Mapping[str, Any] | None = None,
    stop_when_converged: Mapping[str, Any] | None = None,
    minutes: int | None = None,
    name: str | None = None,
    arguments: str = "",
    progress: bool = True,
    server: str | None = None,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    certificate: str | None = None,
) -> SearchResult:
    """Search the hyperparameters for which `objective(trial)` returns the least value, or the greatest with `maximize`.

    The objective asks its trial for values: `trial.real("rate", 1e-5, 0.1, log=True)`, `trial.whole("layers", 1, 4)`,
    `trial.choice("optimizer", ["sgd", "adam"])`. Without `space`, the first of the `trials` runs by itself, with the middle of every
    range, to learn what is asked for; what it does not come past is later drawn at random. With `space`, a dict of names to `Real`,
    `Whole` and `Choice`, all trials are the algorithm's.

    Several objectives are named by `directions={"loss": "minimize", "speed": "maximize"}`, bounds by `constraints=["memory<=16"]`. The
    objective then returns a dict with all of these metrics; of a single objective without a name the key is "value". `warm_start` names
    earlier searches whose trials the algorithm learns from first. `early_stopping`, such as {"rule": "median"}, stops trials that report
    worse than others; `stop_when_converged`, such as {"patience": 20}, ends a search that no longer improves.

    Each trial is a job of one worker; `arguments` are further words of its command line, such as "--workerMemory 4g". `settings` are
    the algorithm's parameters, such as {"RandomSeed": 2}. Interrupting stops the search. The server is found as `concertina.client`
    finds it. Raises SearchFailed when no trial gave a value, ValueError and TypeError for what is not accepted.
    """
    least = 1 if space is not None else 2
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < least:
        raise ValueError(f"trials is {trials!r}; accepted is a whole number from {least}{'' if space is not None else ', as the first one learns the space'}")
    if not callable(objective):
        raise TypeError(f"objective is {objective!r}; accepted is a function of a trial")
    for key, kind in (space or {}).items():
        if not isinstance(kind, (Real, Whole, Choice)):
            raise TypeError(f"space[{key!r}] is {kind!r}; accepted is Real, Whole or Choice")
    if space is not None and not space:
        raise ValueError("space is {}; accepted is at least one hyperparameter, or None to learn it")
    goals = Goals.read(maximize, directions, constraints)
    access = Access.find(server, user, password, token, certificate)
    line = f"--exec-start PyTorch --model-dir {FOLDER} --model-main {MAIN} {arguments}".strip()
    with tempfile.TemporaryDirectory() as scratch, Client(access) as client:
        archive = Path(scratch, "search.modelDir.tar")
        warnings = pack_objective(archive, objective)
        run = _Run(client, archive, line, goals, progress)
        for warning in warnings:
            run.say(warning)
        request: dict[str, Any] = {
            "modelSpec": {"args": line},
            "algoDef": {
                "algorithm": algorithm,
                "maxJobNum": trials if space is not None else trials - 1,
                "maxParalleJobNum": parallel,
                "maxRunTime": -1 if minutes is None else minutes,
                **goals.posted(),
                **({"warmStart": {"searches": list(warm_start)}} if warm_start else {}),
                **({"earlyStopping": dict(early_stopping)} if early_stopping is not None else {}),
                **({"stopWhenConverged": dict(stop_when_converged)} if stop_when_converged is not None else {}),
                "algoParams": [{"name": key, "value": str(value)} for key, value in (settings or {}).items()],
            },
            "hyperParams": [{"name": key, **kind.posted()} for key, kind in (space or UNKNOWN).items()],
        }
        if name is not None:
            request["hpoName"] = name
        if space is not None:
            return run.search(request, [], False)
        # What is wrong with the rest need not wait for the end of the first trial.
        client.check_search(request)
        first, request["hyperParams"] = run.learn()
        return run.search(request, [first], True)


class _Run:
    """One call of `search`."""

    def __init__(self, client: Client, archive: Path, line: str, goals: Goals, progress: bool):
        self._client = client
        self._archive = archive
        self._line = line
        self._goals = goals
        self._progress = progress

    def say(self, text: str) -> None:
        if self._progress:
            print(text, flush=True)

    def learn(self) -> tuple[TrialOutcome, list[dict[str, Any]]]:
        """Run the objective once with the middle of every range, and see what it asks for."""
        job = self._client.submit(f"{self._line} {PROBE}", self._archive)
        self.say(f"Job {job} learns the space.")
        try:
            view = self._until(lambda: self._client.describe(job), FINAL_STATES)
        except KeyboardInterrupt:
            self._client.stop(job)
            self.say(f"Interrupted: job {job} was told to stop.")
            raise
        if view["state"] != "FINISHED":
            log = self._client.log(job, "errlog").strip()
            raise SearchFailed(f"the first trial, job {job}, ended in state {view['state']}: {view['reason']}" + (f"\n{log}" if log else ""))
        asked = json.loads(self._client.file(job, ASKED))
        if not asked:
            raise SearchFailed(f"the objective asked its trial for nothing in job {job}; accepted is at least one of real, whole, choice")
        try:
            values, violations = self._goals.measured(json.loads(self._client.file(job, RESULTS)))
        except ValueError as error:
            raise SearchFailed(f"the first trial, job {job}: {error}") from None
        parameters = {each["name"]: each["value"] for each in asked}
        value = next(iter(values.values()))
        reason = "the middle of every range, to learn the space"
        outcome = TrialOutcome(-1, job, "FINISHED", value, parameters, reason, values, violations)
        self.say(_line_of(outcome))
        return outcome, [{key: each[key] for key in each if key not in ("value", "known")} for each in asked]

    def search(self, request: dict[str, Any], before: list[TrialOutcome], learnt: bool) -> SearchResult:
        name = self._client.create_search(request, self._archive)
        self.say(f"Search {name} has begun.")
        try:
            view = self._follow(name)
        except KeyboardInterrupt:
            try:
                self._client.stop_search(name)
                self.say(f"Interrupted: search {name} was told to stop.")
            except ClientError as error:
                print(f"Search {name} could not be stopped: {error}", file=sys.stderr, flush=True)
            raise
        outcomes = [self._whole(_outcome(trial), learnt) for trial in view["trials"]]
        if view["state"] == "FAILED" and not before:
            raise SearchFailed(f"search {name}: {view['reason']}")
        return SearchResult(name, view["state"], view["reason"], [*before, *outcomes], self._goals, self._client.access)

    def _follow(self, name: str) -> dict[str, Any]:
        known: dict[int, str] = {}

        def look() -> dict[str, Any]:
            view = self._client.search(name, f"?latest={LATEST}")
            for trial in map(_outcome, view["trials"]):
                if known.get(trial.number) != trial.state:
                    known[trial.number] = trial.state
                    best = (view["best"] or {}).get("trial") == trial.number
                    self.say(_line_of(trial) + (" (best)" if best else ""))
            return view

        ends = ("FINISHED", "FAILED", "STOPPED")
        self._until(look, ends)
        view = self._until(lambda: self._client.search(name), ends)
        self.say(f"Search {name} is {view['state']}: {view['reason']}")
        return view

    def _until(self, look: Callable[[], dict[str, Any]], states: tuple[str, ...]) -> dict[str, Any]:
        """Look until one of the states is reached. A server that does not answer for a while is waited for."""
        heard = time.monotonic()
        while True:
            try:
                view = look()
                if view["state"] in states:
                    return view
                heard = time.monotonic()
            except Unreachable:
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    raise
            time.sleep(POLL_SECONDS)

    def _whole(self, trial: TrialOutcome, learnt: bool) -> TrialOutcome:
        """With what the objective asked for beside what the search gave, and nothing that it did not ask for."""
        if not learnt or trial.state != "FINISHED":
            return trial
        try:
            asked = json.loads(self._client.file(trial.job, ASKED))
        except Refused:
            return trial
        return replace(trial, parameters={each["name"]: each["value"] for each in asked})


def _outcome(trial: dict[str, Any]) -> TrialOutcome:
    return TrialOutcome(
        trial["trial"],
        trial["job"],
        trial["state"],
        trial["value"],
        dict(trial["parameters"]),
        trial["reason"],
        dict(trial["values"]),
        dict(trial["violations"]),
    )


def _line_of(trial: TrialOutcome) -> str:
    value = "".join(f"  {each:.5g}" for each in trial.values.values())
    value += "".join(f"  misses {name} by {by:.5g}" for name, by in trial.violations.items())
    shown = ", ".join(f"{name} {each:.5g}" if isinstance(each, float) else f"{name} {each}" for name, each in trial.parameters.items())
    reason = f"  {trial.reason}" if trial.state in ("FAILED", "KILLED") else ""
    return f"trial {trial.number:>3}  {trial.state:<9}{value}  {shown}{reason}"
