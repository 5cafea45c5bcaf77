"""Runs one plug-in of the search: reads one JSON object per line from the standard input, answers each with one on the standard output.

    {"call": "start", "name": ..., "folder": ..., "hyperParameters": [...], "arguments": {...}, "logLevel": ..., "state": null or text}
    {"call": "search", "count": 2, "results": null or [...]}

Answers: `{}`, `{"points": [...], "more": bool, "state": text}`, or `{"error": one line, "traceback": text}`. `state` is pickled and in base64; only this
process ever unpickles it. What the plug-in prints goes to the standard error stream, which is its log. The end of the standard input ends
the process once it has answered; TERM, or the end of the process that started it, ends it at once. The plug-in runs in a forked child; the process that was started
only keeps it, and ends whatever it has started and left. Needs the standard library alone, so any environment of the user's will do.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import math
import numbers
import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
from typing import Any, TextIO

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from plugins.core.base_plugin_opt import BasePluginOptimizer  # noqa: E402
from plugins.core.logger import logger  # noqa: E402

LEVELS = ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL")
LONGEST_TEXT = 20_000
LARGEST_STATE_BYTES = 16 << 20
# What a real number can hold, too.
LONGEST_WHOLE_BITS = 1023
PARENT_CHECK_SECONDS = 0.5
PR_SET_CHILD_SUBREAPER = 36


def load(folder: str) -> type[BasePluginOptimizer]:
    """The class PluginOptimizer of the folder's optimizer.py.

    Raises: ValueError when there is none, or it is none of BasePluginOptimizer's; whatever the file raises.
    """
    path = os.path.join(folder, "optimizer.py")
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("optimizer", path)
    if spec is None or spec.loader is None or not os.path.isfile(path):
        raise ValueError("the plug-in has no optimizer.py at its top level")
    module = importlib.util.module_from_spec(spec)
    sys.modules["optimizer"] = module
    spec.loader.exec_module(module)
    found = getattr(module, "PluginOptimizer", None)
    if not isinstance(found, type) or not issubclass(found, BasePluginOptimizer):
        raise ValueError("optimizer.py has no class PluginOptimizer that extends plugins.core.base_plugin_opt.BasePluginOptimizer")
    return found


def plain(name: str, value: Any) -> int | float | str:
    """A value as JSON takes it; numpy's scalars become Python's."""
    if hasattr(value, "item") and getattr(value, "shape", ()) == ():
        value = value.item()
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, numbers.Integral):
        whole = int(value)
        if whole.bit_length() > LONGEST_WHOLE_BITS:
            raise ValueError(f"search returned a whole number of {whole.bit_length()} bits for {name!r}; accepted are at most {LONGEST_WHOLE_BITS}")
        return whole
    if isinstance(value, numbers.Real):
        if not math.isfinite(value):
            raise ValueError(f"search returned {float(value)} for {name!r}; accepted is a finite number")
        return float(value)
    if isinstance(value, str):
        return value
    raise ValueError(f"search returned {str(value)[:100]!r} of type {type(value).__name__} for {name!r}; accepted are numbers and texts")


class Host:
    """One plug-in between its calls."""

    def __init__(self) -> None:
        self.optimizer: BasePluginOptimizer | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["call"] == "start":
            return self.start(request)
        return self.search(request)

    def start(self, request: dict[str, Any]) -> dict[str, Any]:
        level = str(request.get("logLevel") or "INFO").upper()
        logger.setLevel(level if level in LEVELS else "INFO")
        kind = load(request["folder"])
        self.optimizer = kind(request["name"], request["hyperParameters"], **request["arguments"])
        if request.get("state"):
            self.optimizer.set_state(pickle.loads(base64.b64decode(request["state"])))
        return {}

    def search(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.optimizer is None:
            raise ValueError("search was called before start")
        count = request["count"]
        found = self.optimizer.search(count, request["results"])
        if found is None:
            found = []
        if not isinstance(found, (list, tuple)):
            raise ValueError(f"search returned a {type(found).__name__}; accepted is a list of dicts")
        if len(found) > count:
            logger.warning("search returned %d points where %d were wanted; the first %d are taken", len(found), count, count)
        points = []
        for point in found[:count]:
            if not isinstance(point, dict):
                raise ValueError(f"search returned a list with a {type(point).__name__}; accepted is a list of dicts")
            points.append({str(name): plain(str(name), value) for name, value in point.items()})
        state = pickle.dumps(self.optimizer.get_state())
        if len(state) > LARGEST_STATE_BYTES:
            raise ValueError(f"get_state returned what is {len(state)} bytes when pickled; accepted are at most {LARGEST_STATE_BYTES}")
        return {"points": points, "more": len(found) >= count, "state": base64.b64encode(state).decode("ascii")}


def told(error: BaseException) -> str:
    """A failure in one line, also one that has no text of its own or cannot be asked for it."""
    kind = type(error).__name__
    try:
        lines = str(error).splitlines()
    except Exception:
        lines = []
    return f"{kind}: {lines[0]}" if lines else kind


def trace(error: BaseException) -> str:
    """Where the plug-in failed, without the frames of this file that lead there; all of it where the plug-in has none."""
    first = error.__traceback__
    while first is not None and first.tb_frame.f_code.co_filename == __file__:
        first = first.tb_next
    return "".join(traceback.format_exception(type(error), error, first or error.__traceback__))


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer until the requests end."""
    host = Host()
    for line in requests:
        try:
            answer = host.answer(json.loads(line))
        except BaseException as error:  # a plug-in may raise SystemExit as well
            answer = {"error": told(error)[:1000], "traceback": trace(error)[-LONGEST_TEXT:]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def end_with(parent: int) -> None:
    """End this process and its group when its parent is another one than that: a plug-in that computes cannot hear it."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os.killpg(0, signal.SIGKILL)


def keep(child: int, server: int, woken: int) -> int:
    """Wait until the plug-in's process ends, the server is gone or asks for the end, which TERM does; then end what is left below it.

    server: the parent of this process. woken: where the numbers of signals can be read. Returns the exit code.
    """
    code = None
    while code is None and os.getppid() == server:
        select.select([woken], [], [], PARENT_CHECK_SECONDS)
        try:
            if signal.SIGTERM in os.read(woken, 100):
                break
        except BlockingIOError:
            pass
        code = reaped(child)
    try:
        os.killpg(child, signal.SIGKILL)
    except OSError:
        pass
    end_children()
    return 1 if code is None else code


def reaped(child: int) -> int | None:
    """The exit code of this child, 1 where a signal ended it; None while it runs. Orphans that have ended are put away on the way."""
    while True:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1
        if ended == 0:
            return None


def adopt_orphans() -> None:
    """Where the kernel can: what the plug-in started and left becomes a child of this process, whatever session it moved to."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def end_children() -> None:
    """Kill children, and theirs as they become ours, until there are none."""
    try:
        while True:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                left = [int(word) for word in file.read().split()]
            if not left:
                return
            for each in left:
                os.kill(each, signal.SIGKILL)
            os.waitpid(-1, 0)
    except OSError:
        # No such file, or all have been reaped.
        return


def plug_in(keeper: int) -> None:
    """The plug-in's own process."""
    # What a plug-in starts can be ended together with it.
    os.setsid()
    threading.Thread(target=end_with, args=(keeper,), name="parent", daemon=True).start()
    # The plug-in's prints must not reach the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    serve(requests, answers)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    # Threads of the plug-in must not keep the process.
    os._exit(0)


def main() -> None:
    keeper, server = os.getpid(), os.getppid()
    # Signals to the server's terminal are the server's.
    os.setsid()
    woken, wakes = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    adopt_orphans()
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.close(woken)
        os.close(wakes)
        plug_in(keeper)
    # The streams are the plug-in's: whoever reads them sees its end.
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os._exit(keep(child, server, woken))


if __name__ == "__main__":
    main()
