"""How fast a search gets through trials that do nothing, whether each is durable, and what the server's answers cost meanwhile.

Trials are created through REST and run as every trial does: a job each, in a process forked from the warm Python, its files shipped to
the server, its outcome recorded. When the search has finished the server is killed with KILL and started again, and what the new one knows is
counted. Ray Tune runs as many empty trials, or fewer, with as many at a time, on storage on the same disk.
"""

import http.client
import itertools
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

from measured import processes, ray_train, report
from measured.cluster import Cluster

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.join(BENCH, "scripts", "dispatch")
SLOTS = 4
LIMIT_SECONDS = 600
TARGET_TRIALS, TARGET_SECONDS = 1000, 40
# Others ask so often for small things, and every so many times for the list of all jobs.
PAUSE_SECONDS = 0.1
LIST = "/platform/rest/deeplearning/v1/execs"
LIST_EVERY = 20
SMALL = "small"
SPACE = [{"name": "rate", "type": "Range", "dataType": "DOUBLE", "minDbVal": 0.0, "maxDbVal": 1.0}]


def description(name, trials, parallel):
    return {
        "hpoName": name,
        "modelSpec": {"args": "--exec-start PyTorch --model-dir bench --model-main main.py"},
        "algoDef": {
            "algorithm": "Random",
            "algoParams": [{"name": "RandomSeed", "value": "1"}],
            "maxJobNum": trials,
            "maxParalleJobNum": parallel,
            "objectiveMetric": "loss",
            "objective": "minimize",
        },
        "hyperParams": SPACE,
    }


class Asking(threading.Thread):
    """Somebody who asks the server for things all the time over one connection, now and then for the list; a context manager."""

    def __init__(self, platform, paths):
        super().__init__(daemon=True)
        self._platform = platform
        self._ended = threading.Event()
        self.milliseconds = {path: [] for path in [*paths, LIST]}

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        self.join()

    def run(self):
        connection = self._platform.connection()
        for count in itertools.count():
            if self._ended.wait(PAUSE_SECONDS):
                return
            for path, times in self.milliseconds.items():
                if path == LIST and count % LIST_EVERY:
                    continue
                since = time.monotonic()
                try:
                    connection.request("GET", path, headers=self._platform.headers())
                    answer = connection.getresponse()
                    answer.read()
                except (http.client.HTTPException, OSError):
                    connection.close()
                    continue
                if answer.status != 200:
                    raise RuntimeError(f"{path} was answered with {answer.status}")
                times.append(1000 * (time.monotonic() - since))

    def quantiles(self):
        return {path: report.quantiles(times) for path, times in self.milliseconds.items()}


def check(search, trials):
    """Raises unless the search holds so many trials, all different, each finished with its value."""
    found = search["trials"]
    rates = {trial["parameters"]["rate"] for trial in found if trial["state"] == "FINISHED" and trial["value"] == trial["parameters"]["rate"]}
    jobs = {trial["job"] for trial in found}
    if search["state"] != "FINISHED" or not len(found) == len(rates) == len(jobs) == trials:
        raise AssertionError(f"{search['name']} is {search['state']} with {len(found)} trials, {len(rates)} of them with their own value")


def run(folder, trials, parallel):
    """One search on a platform of its own: (figures, latencies in milliseconds by what was asked, idle and in between)."""
    with Cluster(folder, 1, SLOTS, {"unfinished-jobs-limit": 2 * trials + 100}) as platform:
        script = {"main.py": os.path.join(SCRIPTS, "main.py")}
        platform.search(description(SMALL, 3, 1), script)
        small = platform.ended(SMALL, LIMIT_SECONDS)
        check(small, 3)
        paths = [f"/concertina/v1/searches/{SMALL}", f"/concertina/v1/jobs/{small['trials'][0]['job']}", "/concertina/v1/cluster"]
        with Asking(platform, paths) as before:
            time.sleep(3)
        server, agent = platform.process("server"), platform.process(platform.names[0])
        spent = processes.processor_seconds(server), processes.processor_seconds(agent)
        since = time.monotonic()
        with Asking(platform, paths) as meanwhile:
            platform.search(description("empty", trials, parallel), script)
            search = platform.ended("empty", LIMIT_SECONDS)
            seconds = time.monotonic() - since
        check(search, trials)
        figures = {
            "seconds": round(seconds, 2),
            "milliseconds_per_trial": round(1000 * seconds / trials, 1),
            "server_processor_seconds": round(processes.processor_seconds(server) - spent[0], 2),
            "agent_and_workers_processor_seconds": round(processes.processor_seconds(agent) - spent[1], 2),
        }
        figures["server_resident_megabytes"], figures["server_resident_megabytes_at_most"] = map(round, processes.memory_megabytes(server))
        since = time.monotonic()
        platform.kill("server")
        platform.start_server()
        figures["seconds_to_start_again_after_kill"] = round(time.monotonic() - since, 2)
        check(platform.ask("/concertina/v1/searches/empty"), trials)
        figures["durable_trials"] = trials
        return figures, {"idle": before.quantiles(), "while trials run": meanwhile.quantiles()}


def with_ray(folder, trials, reuse):
    """Seconds of so many empty trials with Ray Tune. Raises ray_train.Missing."""
    interpreter, version = ray_train.python()
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    scratch = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    command = [interpreter, os.path.join(SCRIPTS, "ray_tune.py"), "--trials", str(trials), "--parallel", str(SLOTS), "--folder", folder]
    command += ["--scratch", scratch, *(["--reuse"] if reuse else [])]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "CONCERTINA_BENCH_SCRATCH": scratch}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        process.kill()
        process.wait()
        ray_train.end_processes(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
    if process.returncode:
        raise RuntimeError(f"Ray Tune ended with {process.returncode}: {errors[-2000:]}")
    found = json.loads(output.splitlines()[-1])
    return {"version": version, "trials": trials, **{name: found[name] for name in ("seconds", "errors")}}


def measure(folder, trials, parallels, ray_trials):
    """(Figures, those of Ray Tune, every latency, targets).

    :param parallels: of each search, how many trials it may have under way
    :param ray_trials: how many Ray Tune runs; 0 leaves it out
    """
    figures, latencies, goals, ray = {}, {}, [], {}
    for parallel in parallels:
        name = f"{parallel} at a time"
        figures[name], latencies[name] = run(os.path.join(folder, f"dispatch-{parallel}"), trials, parallel)
        report.progress(f"dispatch: {trials} trials, {name}: {figures[name]['seconds']} s")
    for reuse in (False, True) if ray_trials else ():
        name = "actors used again" if reuse else "as it comes"
        try:
            ray[name] = with_ray(os.path.join(folder, "ray-tune"), ray_trials, reuse)
        except ray_train.Missing as error:
            ray = {"missing": str(error)}
            report.progress(f"dispatch: without Ray Tune: {error}")
            break
        ray[name]["milliseconds_per_trial"] = round(1000 * ray[name]["seconds"] / ray_trials, 1)
        report.progress(f"dispatch: {ray_trials} trials with Ray Tune, {name}: {ray[name]['seconds']:.1f} s")
    if trials == TARGET_TRIALS:
        for name, each in figures.items():
            goals.append(report.target(f"{trials} empty durable trials, {name}", each["seconds"], "≤", TARGET_SECONDS, "s"))
    ours = statistics.median(each["milliseconds_per_trial"] for each in figures.values())
    for name, each in ray.items():
        if isinstance(each, dict):
            each["times_ours"] = round(each["milliseconds_per_trial"] / ours, 1)
    figures["latency_ms"] = latencies
    return figures, ray, goals


def show(figures, ray):
    rows = [
        [f"ours, {name}", *(each[key] for key in ("seconds", "milliseconds_per_trial", "server_processor_seconds"))]
        + [each["agent_and_workers_processor_seconds"], each["server_resident_megabytes_at_most"]]
        for name, each in figures.items()
        if name != "latency_ms"
    ]
    rows += [
        [f"Ray Tune {each['version']}, {name}, {each['trials']} trials", f"{each['seconds']:.1f}", each["milliseconds_per_trial"], "", "", ""]
        for name, each in ray.items()
        if isinstance(each, dict)
    ]
    report.table(["empty trials", "s", "ms per trial", "server's processor s", "agent's and workers'", "server's MB at most"], rows)
    rows = [
        [path, name, when, each["p50"], each["p99"], each["greatest"], each["count"]]
        for name, moments in figures["latency_ms"].items()
        for when, paths in moments.items()
        for path, each in paths.items()
    ]
    report.table(["GET", "trials", "when", "p50 ms", "p99 ms", "greatest", "count"], rows)
