"""What does a checkpoint cost the training beside it, and how long does it take to read one?"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "python")]

import torch
from measured import report

from concertina.checkpoints import Checkpoints

CONFIGURED_SECONDS = 30.0
STEP_SIZE = 384


class Computation:
    """Stands for training: matrix products on one thread, until told otherwise."""

    def __init__(self):
        torch.set_num_threads(1)
        self._matrix = torch.randn(STEP_SIZE, STEP_SIZE)

    def seconds(self, steps):
        since = time.perf_counter()
        for _ in range(steps):
            torch.mm(self._matrix, self._matrix)
        return time.perf_counter() - since


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    computation = Computation()
    computation.seconds(50)
    rate = 300 / computation.seconds(300)
    rows, figures, raw = [], {}, {}
    for megabytes in arguments.megabytes:
        value = {"tensors": {str(part): torch.randn(megabytes * 25_000) for part in range(10)}}
        with tempfile.TemporaryDirectory(prefix="concertina-bench-") as folder:
            clock = [0.0]
            checkpoints = Checkpoints(Path(folder), CONFIGURED_SECONDS, lambda: clock[0])
            steps = max(1, round(rate * max(0.3, megabytes / 50)))
            kept = {name: [] for name in ("blocked_ms", "without_ms", "with_ms", "extra_ms", "interval_s", "share_percent", "read_ms")}
            for step in range(arguments.repetitions + 1):
                without = computation.seconds(steps)
                clock[0] += checkpoints.interval + 1.0
                since = time.perf_counter()
                checkpoints.offer(step, lambda: value)
                blocked = time.perf_counter() - since
                beside = blocked + computation.seconds(steps)
                checkpoints.finish()
                since = time.perf_counter()
                if checkpoints.newest() is None:
                    raise RuntimeError("the checkpoint cannot be read")
                read = time.perf_counter() - since
                if step:
                    measured = (blocked, without, beside, beside - without)
                    for name, seconds in zip(kept, measured):
                        kept[name].append(1000 * seconds)
                    kept["interval_s"].append(checkpoints.interval)
                    kept["share_percent"].append(100 * (beside - without) / checkpoints.interval)
                    kept["read_ms"].append(1000 * read)
        report.progress(f"{megabytes} MB: {statistics.median(kept['extra_ms']):.1f} ms per checkpoint")
        raw[str(megabytes)] = kept
        figures[str(megabytes)] = {name: round(statistics.median(values), 3) for name, values in kept.items()}
        rows.append([f"{megabytes} MB", *figures[str(megabytes)].values()])
    report.table(["state", *next(iter(figures.values()))], rows)
    raw["load_average"] = os.getloadavg()
    report.finish("checkpoint", figures, {}, report.versions("torch"), raw)


if __name__ == "__main__":
    main()
