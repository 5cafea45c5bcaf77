"""How every benchmark ends: a table for people, a file of raw results, and last one line of JSON."""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from importlib import metadata

HOME = os.environ.get("CONCERTINA_HOME") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
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


def target(what, measured, relation, wanted, unit):
    """One promise and whether it was kept.

    :param relation: `≤` or `≥`
    """
    met = measured <= wanted if relation == "≤" else measured >= wanted
    return {"target": what, "measured": measured, "wanted": f"{relation} {wanted} {unit}".rstrip(), "met": met}


def show_targets(targets):
    rows = [[each["target"], each["measured"], each["wanted"], "met" if each["met"] else "MISSED"] for each in targets]
    table(["target", "measured", "wanted", ""], rows)


def raw(measured):
    """Measurements by event as plain values, rounded to hundredths."""
    return {event: [{name: round(value, 2) for name, value in asdict(one).items()} for one in each] for event, each in measured.items()}


def arguments():
    """Those of this run that its figures depend on."""
    given = sys.argv[1:]
    return [each for place, each in enumerate(given) if not {each, given[place - 1] if place else ""} & {"--keep", "--results"}]


def commit():
    """The version of the code that was measured; with a plus sign when files differ from it."""
    try:
        head = subprocess.run(["git", "-C", HOME, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "-C", HOME, "diff", "--quiet", "HEAD", "--", ".", ":!bench/results"], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def processor():
    """The processor's name, as far as the system says it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    except OSError:
        return None


def versions(*packages):
    """What the figures depend on: Python, processors, Java as far as known, and installed packages."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "processors": os.cpu_count()}
    found.update({"processor": processor(), "system": f"{platform.system()} {platform.release()}"})
    found["memory_gigabytes"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    release = os.path.join(os.environ.get("JAVA_HOME", ""), "release")
    if os.path.exists(release):
        with open(release, encoding="utf-8") as lines:
            found.update({"java": line.split('"')[1] for line in lines if line.startswith("JAVA_VERSION=")})
    found.update({package: metadata.version(package) for package in packages})
    return found


def compact(value, depth=3, indent=0):
    """JSON that people can read at the top and that has one line for everything below a depth."""
    if depth == 0 or not value or not isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(name, ensure_ascii=False)}: {compact(each, depth - 1, indent + 1)}" for name, each in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(inner + compact(each, depth - 1, indent + 1) for each in value) + "\n" + " " * indent + "]"


def finish(bench, figures, peers, used, raw, folder=None):
    """Keeps the raw results and prints the line that programs read.

    :param figures: ours, name to number or to numbers
    :param peers: the same for each system compared, by its name
    :param used: versions
    :param raw: every single measurement
    :param folder: where, if not below bench/results
    """
    line = {"bench": bench, "arguments": arguments(), "commit": commit(), "figures": figures, "peers": peers, "versions": used}
    os.makedirs(folder or RESULTS, exist_ok=True)
    path = os.path.join(folder or RESULTS, f"{bench}-{used['processors']}-processors.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(compact({**line, "raw": raw}) + "\n")
    progress(f"kept in {path}")
    print(json.dumps(line), flush=True)


class Results:
    """Collects what the parts of a benchmark find."""

    def __init__(self):
        self.figures, self.peers, self.raw, self.targets, self.loads, self.seconds = {}, {}, {}, [], {}, {}

    def run(self, part, measure):
        """Runs a part, with the load before it and the seconds it took; returns what it found."""
        self.loads[f"before {part}"] = round(os.getloadavg()[0], 2)
        since = time.monotonic()
        found = measure()
        self.seconds[part] = round(time.monotonic() - since)
        return found
