"""How soon is the server ready, and how much memory does it hold then?"""

import argparse
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measured import report

HOME = os.environ.get("CONCERTINA_HOME") or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT_SECONDS = 60


def resident_kilobytes(process):
    """Resident memory of a process."""
    with open(f"/proc/{process}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def start_once(folder, port):
    """Starts a server in a folder; returns (seconds until it answered, resident megabytes then)."""
    configuration = os.path.join(folder, "configuration.yaml")
    with open(configuration, "w", encoding="utf-8") as file:
        file.write(f"https-port: {port}\n")
    since = time.monotonic()
    command = [os.path.join(HOME, "concertina"), "serve", "--data", os.path.join(folder, "data"), "--config", configuration]
    with open(os.path.join(folder, "server.log"), "a", encoding="utf-8") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        while not healthy(port):
            if server.poll() is not None or time.monotonic() - since > LIMIT_SECONDS:
                with open(os.path.join(folder, "server.log"), encoding="utf-8") as log:
                    raise RuntimeError("the server did not start: " + log.read()[-2000:])
            time.sleep(0.02)
        return time.monotonic() - since, resident_kilobytes(server.pid) / 1024
    finally:
        server.terminate()
        server.wait()


def healthy(port):
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/healthz", timeout=5, context=trusting) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    first, again, resident = [], [], []
    for count in range(arguments.repetitions):
        with tempfile.TemporaryDirectory(prefix="concertina-bench-") as folder:
            port = free_port()
            seconds, megabytes = start_once(folder, port)
            first.append(1000 * seconds)
            resident.append(megabytes)
            seconds, megabytes = start_once(folder, port)
            again.append(1000 * seconds)
            resident.append(megabytes)
            report.progress(f"{count + 1}: first start {first[-1]:.0f} ms, next {again[-1]:.0f} ms, {resident[-1]:.0f} MB")
    rows = [
        ["first start, data folder empty, ms", round(statistics.median(first))],
        ["start with a data folder, ms", round(statistics.median(again))],
        ["resident memory when ready, MB", round(statistics.median(resident))],
    ]
    report.table(["server", "median"], rows)
    figures = {"first_start_ms": report.spread(first), "start_ms": report.spread(again), "resident_mb": report.spread(resident)}
    report.finish("startup", figures, {}, report.versions(), {"first": first, "again": again, "resident": resident})


if __name__ == "__main__":
    main()
