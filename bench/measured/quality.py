"""How close searches come to the least value of a landscape, ours beside Optuna's, each single search in a process of its own.

What a search found can be kept in a folder, one file each, so that a run which was interrupted goes on where it was. A file counts only
while nothing that it depends on has changed: the landscapes, the versions of the packages, and our own classes or the script that asks Optuna.
"""

import hashlib
import importlib.util
import itertools
import json
import multiprocessing
import os
import signal
import statistics
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor, as_completed

from measured import report, searches
from measured.landscapes import BY_NAME

AT = (10, 25, 50, 100, 300, 1000)
OURS = {f"concertina {name}": name for name in ("auto", "bayesian", "cma-es", "tpe", "sobol", "random")}
PEERS = {"optuna tpe": "tpe", "optuna tpe multivariate": "tpe-multivariate", "optuna gp": "gp"}
SIDES = OURS | PEERS
MAIN = "concertina auto"
# Regrets below this share of the median first one count as equal.
CLOSE = 1e-5


def chosen(text):
    """The sides that a text names with commas between them; `ours` is what is compared and `peers` all of Optuna's. Raises ValueError."""
    groups = {"ours": [MAIN], "peers": list(PEERS)}
    names = [name for each in text.split(",") for name in groups.get(each.strip(), [each.strip()])]
    for name in names:
        if name not in SIDES:
            raise ValueError(f"sides is '{name}', accepted: ours, peers, {', '.join(SIDES)}")
    return list(dict.fromkeys(names))


def digest(*parts):
    """A short name for bytes that changes with them."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


def _contents(path):
    with open(path, "rb") as file:
        return file.read()


def search_classes(path):
    """The digest of our samplers as they are on a class path, whatever the date of the jar."""
    jar = next(each for each in path.split(os.pathsep) if os.path.basename(each).startswith("search-"))
    with zipfile.ZipFile(jar) as entries:
        names = sorted(name for name in entries.namelist() if name.endswith(".class"))
        return digest(*(name.encode() + entries.read(name) for name in names), _contents(os.path.join(searches.SCRIPTS, "AskTell.java")))


def versions(sides, path, python):
    """Side to all that its results depend on."""
    ours = {}
    if path:
        ours = {"search classes": search_classes(path), **{name: report.versions(name)[name] for name in ("torch", "numpy")}}
    optuna = {}
    if python:
        optuna = {**searches.optuna_versions(python), "with_optuna.py": digest(_contents(os.path.join(searches.SCRIPTS, "with_optuna.py")))}
    landscapes = {"landscapes.py": digest(_contents(os.path.join(os.path.dirname(os.path.abspath(__file__)), "landscapes.py")))}
    landscapes["digits"] = "of scikit-learn" if importlib.util.find_spec("sklearn") else "drawn"
    return {side: {**landscapes, **(ours if side in OURS else optuna)} for side in sides}


class Kept:
    """Searches that ended, as files; each is there whole or not at all. Without a folder nothing is kept."""

    def __init__(self, folder, used, trials):
        self._folder, self._used, self._trials = folder, used, trials
        if folder:
            os.makedirs(folder, exist_ok=True)

    def read(self, name, seed, side):
        """The search, or None if it did not run or would be another today."""
        if not self._folder:
            return None
        try:
            with open(self._path(name, seed, side), encoding="utf-8") as file:
                kept = json.load(file)
        except FileNotFoundError:
            return None
        return kept if kept["versions"] == self._used[side] else None

    def write(self, name, seed, side, found):
        if self._folder:
            path = self._path(name, seed, side)
            own = f"{path}.{os.getpid()}"
            with open(own, "w", encoding="utf-8") as file:
                json.dump({"landscape": name, "side": side, "seed": seed, "trials": self._trials, "versions": self._used[side], **found}, file)
            os.replace(own, path)

    def _path(self, name, seed, side):
        return os.path.join(self._folder, f"{name}.{side.replace(' ', '-')}.{seed}.{self._trials}.json")


class Progress:
    """Says after each search how many are left, and when they will have ended if they take as long as those that did."""

    def __init__(self, works, parallel):
        self._left, self._parallel = set(works), parallel
        self._count, self._took = len(works), {}

    def ended(self, work, seconds):
        """One search; its time counts for others of its side, the same landscape's first."""
        name, _, side = work
        self._left.discard(work)
        for kind in ((name, side), side, None):
            self._took.setdefault(kind, []).append(seconds)

    def text(self):
        left = sum(self._expected(name, side) for name, _, side in self._left) / self._parallel
        end = time.strftime("%H:%M", time.localtime(time.time() + left))
        return f"{self._count - len(self._left)} of {self._count}, end about {end}"

    def _expected(self, name, side):
        return statistics.fmean(next(self._took[kind] for kind in ((name, side), side, None) if kind in self._took))


_path, _python, _processes = None, None, {}


def _begin(path, python):
    """In each process of the pool: it ends with the processes it asks."""
    global _path, _python
    _path, _python = path, python
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end(*_):
        for process in _processes.values():
            process.child.kill()
        os._exit(143)

    signal.signal(signal.SIGTERM, end)


def _search(name, seed, side, trials):
    kind = side in OURS
    if kind not in _processes:
        _processes[kind] = searches.Ours(_path) if kind else searches.Optuna(_python)
    since = time.monotonic()
    found = _processes[kind].search(BY_NAME[name], SIDES[side], seed, trials)
    return {**found, "elapsed": time.monotonic() - since}


def measure(names, seeds, sides, trials, parallel, keep, path, python):
    """(Searches by landscape, side and seed; whether all of them are there: an interruption ends the work, not what was found).

    :param seeds: of the searches; one seed after the other goes through all landscapes and sides
    :param keep: folder of earlier and later runs, or None
    """
    kept = Kept(keep, versions(sides, path, python), trials)
    found = {name: {side: {} for side in sides} for name in names}
    works = [(name, seed, side) for seed, name, side in itertools.product(seeds, names, sides)]
    progress = Progress(works, parallel)
    missing = []
    for name, seed, side in works:
        earlier = kept.read(name, seed, side)
        if earlier is None:
            missing.append((name, seed, side))
        else:
            found[name][side][seed] = earlier
            progress.ended((name, seed, side), earlier["elapsed"])
    if keep:
        report.progress(f"quality: {len(works) - len(missing)} of {len(works)} searches are in {keep}")
    pool = ProcessPoolExecutor(parallel, multiprocessing.get_context("spawn"), _begin, (path, python))
    try:
        running = {pool.submit(_search, *work, trials): work for work in missing}
        for future in as_completed(running):
            name, seed, side = running[future]
            search = future.result()
            kept.write(name, seed, side, search)
            found[name][side][seed] = search
            progress.ended((name, seed, side), search["elapsed"])
            regret = min(search["losses"]) - BY_NAME[name].least
            report.progress(f"{name} {side} seed {seed}: {regret:.4g} in {search['elapsed']:.0f} s ({progress.text()})")
    except (KeyboardInterrupt, SystemExit):
        report.progress("quality: interrupted; what follows is of the seeds that every side has")
        return found, False
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
    return found, True


def common(found):
    """The same with the seeds alone that every side has; landscapes without one are left out."""
    kept = {}
    for name, sides in found.items():
        seeds = sorted(set.intersection(*(set(each) for each in sides.values())))
        if seeds:
            kept[name] = {side: {seed: each[seed] for seed in seeds} for side, each in sides.items()}
    return kept


def regrets(search, least, at):
    return [min(search["losses"][:count]) - least for count in at]


def summary(found, at):
    """Median and mean regret by landscape and side, one number for each count of trials."""
    figures = {}
    for name, sides in found.items():
        figures[name] = {}
        for side, seeds in sides.items():
            columns = list(zip(*(regrets(search, BY_NAME[name].least, at) for search in seeds.values())))
            figures[name][side] = {
                "median": [statistics.median(column) for column in columns],
                "mean": [statistics.fmean(column) for column in columns],
            }
    return figures


def judge(figures, found, at):
    """For each landscape the counts of trials at which ours fails, median or mean; nothing where ours or all peers were left out."""
    failures = {}
    for name, sides in figures.items():
        if MAIN not in sides or not set(sides) & set(PEERS):
            continue
        start = statistics.median(search["losses"][0] - BY_NAME[name].least for search in found[name][MAIN].values())
        failures[name] = []
        for peer, theirs in sides.items():
            if peer not in PEERS:
                continue
            for kind, place in itertools.product(("median", "mean"), range(len(at))):
                ours = sides[MAIN][kind][place]
                if ours > theirs[kind][place] and ours > CLOSE * start:
                    failures[name].append(f"{kind} at {at[place]} against {peer}: {ours:.4g}, not {theirs[kind][place]:.4g}")
    return failures


def show(figures, failures, at):
    rows = []
    for name, sides in figures.items():
        for side, each in sides.items():
            for kind in ("median", "mean"):
                ours = sides[MAIN][kind] if MAIN in sides else [0] * len(at)
                ratios = [f"{value / best:.2g}" if best > 0 else "-" for value, best in zip(each[kind], ours)]
                rows.append([name, side, kind, *(f"{value:.4g}" for value in each[kind]), " ".join(ratios)])
    report.table(["landscape", "sampler", "regret", *(f"at {count}" for count in at), "ratio to ours"], rows)
    for name, each in failures.items():
        print(f"{name}: " + ("no worse on the median, better on the mean" if not each else "; ".join(each)))
