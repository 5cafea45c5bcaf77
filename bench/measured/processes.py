"""What running processes cost, as the system's /proc tells it."""

import os

TICKS = os.sysconf("SC_CLK_TCK")


def _fields(process):
    with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def tree(root):
    """Process ids of a process and all that descend from it and live."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(_fields(name)[1])
            except OSError:
                continue
    found, changed = {root}, True
    while changed:
        more = {process for process, parent in parents.items() if parent in found} - found
        found |= more
        changed = bool(more)
    return found


def processor_seconds(root):
    """Of a process, its descendants and all of theirs that have ended and were waited for."""
    total = 0
    for process in tree(root):
        try:
            total += sum(map(int, _fields(process)[11:15]))
        except OSError:
            continue
    return total / TICKS


def memory_megabytes(process):
    """(Resident memory now, the most it ever was)."""
    with open(f"/proc/{process}/status", encoding="ascii", errors="replace") as lines:
        found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return found["VmRSS"], found["VmHWM"]
