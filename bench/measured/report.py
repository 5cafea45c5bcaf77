"""How every benchmark ends: a table for people, a file of raw results, and last one line of JSON."""

import json
import math
import os
import platform
import statistics
import sys
from importlib import metadata

RESULTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "results")


def progress(text):
    """Tells at once, on stderr, what is going on."""
    print(text, file=sys.stderr, flush=True)


def table(headings, rows):
    """Prints rows of cells below their headings, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        print("  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths))))


def spread(values):
    """Median, least and greatest of some numbers, rounded to tenths."""
    return {"median": round(statistics.median(values), 1), "least": round(min(values), 1), "greatest": round(max(values), 1)}


def quantiles(values):
    """Median, 99th percentile (nearest rank), greatest, and how many there were."""
    ordered = sorted(values)
    rank = math.ceil(0.99 * len(ordered)) - 1
    return {"p50": round(statistics.median(ordered), 1), "p99": round(ordered[rank], 1), "greatest": round(ordered[-1], 1), "count": len(ordered)}


def versions(*packages):
    """What the figures depend on: Python, processors, Java as far as known, and installed packages."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "processors": os.cpu_count()}
    release = os.path.join(os.environ.get("JAVA_HOME", ""), "release")
    if os.path.exists(release):
        with open(release, encoding="utf-8") as lines:
            found.update({"java": line.split('"')[1] for line in lines if line.startswith("JAVA_VERSION=")})
    found.update({package: metadata.version(package) for package in packages})
    return found


def finish(bench, figures, peers, used, raw):
    """Keeps the raw results below bench/results and prints the line that programs read.

    :param figures: ours, name to number or to numbers
    :param peers: the same for each system compared, by its name
    :param used: versions
    :param raw: every single measurement
    """
    line = {"bench": bench, "figures": figures, "peers": peers, "versions": used}
    os.makedirs(RESULTS, exist_ok=True)
    path = os.path.join(RESULTS, f"{bench}-{used['processors']}-processors.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**line, "raw": raw}, file, indent=1)
        file.write("\n")
    progress(f"kept in {path}")
    print(json.dumps(line), flush=True)
