"""Writes down what a worker computed and what it committed, from inside the engine, so that nothing has to be guessed afterwards.

`watch` wraps three methods of the engine. One JSON line each goes to `<folder>/<process id>.jsonl`:

* `computed`: this worker has finished its micro-batches of a step; the sample ids are those that the model was given
* `committed`: this worker applied the step, with this loss
* `started`: this worker, as the first of a job whose state nobody holds, begins at that step (0, or a checkpoint's)
* `logged`: rank 0 told the script's logger about the step
"""

import json
import os
import time


class Commits:
    """Appends to this process's file; every line is with the operating system before the call returns, so KILL loses none."""

    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self._file = open(os.path.join(folder, f"{os.getpid()}.jsonl"), "a", buffering=1, encoding="utf-8")
        self.ids = []

    def write(self, kind, **members):
        self._file.write(json.dumps({"kind": kind, "at": time.monotonic(), **members}) + "\n")


def watch(commits):
    """Wraps the engine of this process; fails at once when the engine no longer has these methods."""
    from concertina.engine import Engine

    compute, apply, start = Engine._compute, Engine._apply, Engine._start

    def watched_compute(engine, step, *others):
        commits.ids = []
        result = yield from compute(engine, step, *others)
        mesh = engine._mesh
        commits.write("computed", step=step + 1, generation=mesh.generation, rank=mesh.rank, size=mesh.size, ids=commits.ids)
        return result

    def watched_apply(engine, step, *others):
        result = apply(engine, step, *others)
        mesh, report = engine._mesh, engine._report
        commits.write(
            "committed", step=step + 1, generation=mesh.generation, rank=mesh.rank, size=mesh.size, loss=report.loss.hex()
        )
        return result

    def watched_start(engine):
        start(engine)
        commits.write("started", step=engine.step, generation=engine._mesh.generation)

    Engine._compute, Engine._apply, Engine._start = watched_compute, watched_apply, watched_start


class LossLog:
    """The script's logger: every loss that rank 0 reports, to the last bit."""

    def __init__(self, commits):
        self._commits = commits

    def on_train_begin(self):
        pass

    def on_train_end(self):
        pass

    def log_train_metrics(self, metrics, iteration, epoch, workers):
        self._commits.write("logged", epoch=epoch, iteration=iteration, loss=float(metrics["loss"]).hex())

    def log_test_metrics(self, metrics, iteration, epoch):
        pass


def read(folder):
    """All whole lines of all processes below a folder, oldest first; each has the process id as `process`."""
    found = []
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    found.append({**json.loads(line), "process": int(name.split(".")[0])})
    return sorted(found, key=lambda entry: entry["at"])


class Run:
    """What a job's lines say: the ids and the loss of every step as it was committed at last, and what is wrong with them.

    :param steps_per_epoch: of the job
    """

    def __init__(self, entries, steps_per_epoch):
        self.ids, self.losses, self.faults = {}, {}, []
        self.repeated_in_flight = self.repeated_after_loss_of_all = 0
        computed, committed, starts = {}, {}, []
        for entry in entries:
            if entry["kind"] == "computed":
                ranks = computed.setdefault((entry["step"], entry["generation"]), {})
                ranks.setdefault(entry["rank"], []).append(entry)
            elif entry["kind"] == "committed":
                committed.setdefault(entry["step"], {}).setdefault(entry["generation"], []).append(entry)
            elif entry["kind"] == "started":
                starts.append((entry["generation"], entry["step"]))
        self.resumed = sum(step > 0 for _, step in starts)
        self.restarted = max(0, len(starts) - self.resumed - 1)
        for step in sorted(committed):
            generations = sorted(committed[step])
            for earlier, later in zip(generations, generations[1:]):
                self._repeated(step, committed[step][earlier], earlier, later, computed, starts)
            final = generations[-1]
            losses = {entry["loss"] for each in committed[step].values() for entry in each}
            if len(losses) > 1:
                self.faults.append(f"step {step} has losses {sorted(losses)}")
            self.losses[step] = losses.pop()
            size = committed[step][final][0]["size"]
            ranks = computed.get((step, final), {})
            if sorted(ranks) != list(range(size)):
                self.faults.append(f"step {step} of generation {final} was committed by {size} workers, computed by ranks {sorted(ranks)}")
            self.ids[step] = [number for rank in sorted(ranks) for number in ranks[rank][-1]["ids"]]
        logged = {}
        for entry in entries:
            if entry["kind"] == "logged":
                step = entry["epoch"] * steps_per_epoch + entry["iteration"]
                if logged.setdefault(step, entry["loss"]) != entry["loss"]:
                    self.faults.append(f"step {step} was logged with losses {logged[step]} and {entry['loss']}")
        self.logged = logged

    def _repeated(self, step, earlier_entries, earlier, later, computed, starts):
        """A step that was committed twice is right only after a loss of all state, or when all who had committed it died."""
        if any(earlier < generation <= later and begun < step for generation, begun in starts):
            self.repeated_after_loss_of_all += 1
            return
        had = {entry["process"] for entry in earlier_entries}
        again = {entry["process"] for each in computed.get((step, later), {}).values() for entry in each}
        if had & again:
            self.faults.append(f"step {step} was committed in generation {earlier} and again in {later} by processes {sorted(had & again)}")
        self.repeated_in_flight += 1

    def differences(self, other, steps):
        """What differs from an undisturbed run of that many steps, and what is wrong in itself; empty when all is well."""
        found = list(self.faults)
        for name, mine, theirs in (("ids", self.ids, other.ids), ("loss", self.losses, other.losses), ("logged loss", self.logged, other.logged)):
            for step in range(1, steps + 1):
                if step not in mine:
                    found.append(f"step {step} has no {name}")
                elif mine[step] != theirs[step]:
                    found.append(f"step {step}: {name} {mine[step]}, undisturbed {theirs[step]}")
            found += [f"step {step} is beyond the end" for step in mine if not 1 <= step <= steps]
        return found
