"""A process that has imported torch, and modules named as arguments; it forks one child per request line on standard input.

Request: {"script", "cwd", "env"}. Answers, as children start and end, one JSON object per line: {"started": pid} and
{"ended": pid, "code": code}, where a negative code is a signal.
"""

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import sys

from concertina.warm import warm_up


def child(request):
    os.setsid()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    out = os.open(os.path.join(request["cwd"], f"{request['name']}.out"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = [request["script"]]
    code = 0
    try:
        runpy.run_path(request["script"], run_name="__main__")
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main():
    warm_up()
    for name in sys.argv[1:]:
        importlib.import_module(name)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    pending = b""
    say({"ready": True})
    while True:
        ready, _, _ = select.select([0, reader], [], [])
        if reader in ready:
            os.read(reader, 4096)
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if not pid:
                    break
                say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})
        if 0 in ready:
            piece = os.read(0, 65536)
            if not piece:
                os._exit(0)
            pending += piece
            *lines, pending = pending.split(b"\n")
            for line in lines:
                request = json.loads(line)
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    child(request)
                say({"started": pid, "name": request["name"]})


def say(message):
    os.write(1, (json.dumps(message) + "\n").encode())


if __name__ == "__main__":
    main()
