"""Starts worker processes for an agent, watches over them, and takes them along when the agent dies.

Run as a program by the agent. One JSON object per line comes in on standard input, one per line goes out on standard
output; standard error is the supervisor's own log. With ``--import NAME`` the modules named are imported first (a module
that is missing is skipped), and every script then starts by forking this warm interpreter instead of a new one.

In::

    {"run": "concertina-1.1", "script": "/…/main.py", "words": ["main.py", "--epochs", "3"], "folder": "/…",
     "environment": {…}, "stdout": "/…", "stderr": "/…", "threads": 1}      fork this interpreter
    {"run": "concertina-1.1", "words": ["bash", "train.sh"], …}              a new program
    {"signal": "concertina-1.1", "number": 15}                               to the whole process group

Out::

    {"ready": 4711, "modules": ["torch"], "milliseconds": 2300}
    {"started": "concertina-1.1", "process": 4712}
    {"refused": "concertina-1.1", "error": "…"}
    {"exited": "concertina-1.1", "code": 0, "signal": 0}                     code is -1 when a signal ended it

Every worker leads its own session and process group and adopts its orphans. When it ends, what is left of its group and
whatever else descends from it is killed before the end is told. End of standard input means that the agent is gone: TERM to every group, KILL a second
later, and nothing that descends from here survives. Needs only the standard library; never touches an accelerator and
never runs a parallel operation before a fork. A hash seed belongs to the interpreter and is therefore shared by forked
workers; a submission that sets one gets a new interpreter from the agent.
"""

import ctypes
import errno
import gc
import importlib
import importlib.machinery
import io
import json
import os
import select
import signal
import sys
import threading
import time
import types
import weakref

GRACE_SECONDS = 1.0
NEEDED = ("words", "folder", "environment", "stdout", "stderr", "threads")
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
SETUP_FAILED = 70
NOT_FOUND = 127
# Of a worker that joins others which train: about a third of their share of a processor.
NEWCOMERS_NICENESS = 5
# Of the whole session of a process, where the kernel has CONFIG_SCHED_AUTOGROUP.
SESSION_WEIGHT = "/proc/self/autogroup"


def process_control(option, value):
    """Calls prctl where there is one; elsewhere orphans are only found through their process group."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        pass


def parent_and_session(process):
    """Returns (parent, session) of a process id, or None when it is gone."""
    try:
        with open("/proc/%d/stat" % process, "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[3])


def children_here():
    """Direct children of this process, orphans that it adopted among them; empty where /proc cannot tell."""
    found = set()
    try:
        for thread in os.listdir("/proc/self/task"):
            with open("/proc/self/task/%s/children" % thread) as file:
                found.update(int(word) for word in file.read().split())
    except OSError:
        pass
    return found


def descendants():
    """Every process below this one, whatever session it moved to."""
    parents = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return set()
    for name in names:
        if name.isdigit():
            known = parent_and_session(int(name))
            if known is not None:
                parents[int(name)] = known[0]
    below, grew = {os.getpid()}, True
    while grew:
        more = {process for process, parent in parents.items() if parent in below} - below
        below |= more
        grew = bool(more)
    below.discard(os.getpid())
    return below


def send_signal(process, number, group=False):
    """To a child that is not reaped yet, or its whole group."""
    try:
        if group:
            try:
                os.killpg(process, number)
                return
            except ProcessLookupError:
                pass  # just forked, it has not come to leading a group
        os.kill(process, number)
    except OSError:
        pass


def keep_finalizers_here():
    """What modules registered with weakref.finalize while they were imported is not for forked children to run at their end.

    It takes modules apart, which costs a child of torch more than its start, or removes files that this process still needs.
    """
    for finalizer in list(getattr(weakref.finalize, "_registry", ())):
        finalizer.atexit = False


class Supervisor:
    """One thread: takes requests, forks, reaps. Owns every child of this process."""

    def __init__(self, requests, answers, modules):
        self.requests = requests
        self.answers = answers
        self.modules = modules
        self.identity = os.getpid()
        self.running = {}
        self.identities = {}
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_write, False)
        os.set_blocking(self.wake_read, False)

    def tell(self, **answer):
        data = (json.dumps(answer) + "\n").encode()
        while data:
            try:
                data = data[os.write(self.answers, data):]
            except BrokenPipeError:
                return

    def serve(self):
        """Answers requests until standard input ends, then kills whatever is left."""
        process_control(PR_SET_CHILD_SUBREAPER, 1)
        began = time.monotonic()
        imported = []
        for name in self.modules:
            try:
                importlib.import_module(name)
                imported.append(name)
            except ImportError as missing:
                print("not imported: %s (%s)" % (name, missing), file=sys.stderr, flush=True)
        keep_finalizers_here()
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        self.tell(ready=os.getpid(), modules=imported, milliseconds=int((time.monotonic() - began) * 1000))
        pending = b""
        while True:
            ready = select.select([self.requests, self.wake_read], [], [])[0]
            if self.wake_read in ready:
                self.drain_wake()
                self.reap()
            if self.requests in ready:
                data = os.read(self.requests, 1 << 20)
                if not data:
                    break
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self.obey(line)
        self.end_everything()

    def drain_wake(self):
        try:
            while os.read(self.wake_read, 4096):
                pass
        except BlockingIOError:
            pass

    def obey(self, line):
        try:
            request = json.loads(line)
            if "run" in request:
                self.run(request)
            elif "signal" in request:
                process = self.running.get(request["signal"])
                if process is not None:
                    send_signal(process, int(request["number"]), group=True)
        except (ValueError, KeyError, TypeError) as wrong:
            print("request not understood: %r" % wrong, file=sys.stderr, flush=True)

    def run(self, request):
        worker = request["run"]
        if worker in self.running:
            return
        missing = [name for name in NEEDED if name not in request]
        if missing:
            self.tell(refused=worker, error="the request lacks %s" % ", ".join(missing))
            return
        try:
            process = os.fork()
        except OSError as failure:
            self.tell(refused=worker, error="cannot fork: %s" % failure.strerror)
            return
        if process == 0:
            become_worker(request, self.identity, (self.requests, self.answers, self.wake_read, self.wake_write))
        self.running[worker] = process
        self.identities[process] = worker
        self.tell(started=worker, process=process)

    def reap(self):
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            worker = self.identities.pop(ended.si_pid, None)
            if worker is not None:
                # Before it is reaped its number cannot be given to anybody else.
                send_signal(ended.si_pid, signal.SIGKILL, group=True)
            os.waitpid(ended.si_pid, 0)
            if worker is not None:
                del self.running[worker]
                self.kill_orphans()
                exited = ended.si_code == os.CLD_EXITED
                self.tell(
                    exited=worker,
                    code=ended.si_status if exited else -1,
                    signal=0 if exited else ended.si_status,
                )

    def kill_orphans(self):
        """Kills what ended workers left behind. A living worker adopts its own orphans, so any other child here is such a one."""
        while True:
            left = children_here() - set(self.identities)
            if not left:
                return
            for process in left:
                send_signal(process, signal.SIGKILL)
                try:
                    os.waitpid(process, 0)
                except ChildProcessError:
                    pass

    def end_everything(self):
        for process in self.identities:
            send_signal(process, signal.SIGTERM, group=True)
        deadline = time.monotonic() + GRACE_SECONDS
        while self.identities and time.monotonic() < deadline:
            select.select([self.wake_read], [], [], max(0.0, deadline - time.monotonic()))
            self.drain_wake()
            self.reap()
        for process in self.identities:
            send_signal(process, signal.SIGKILL, group=True)
        while True:
            left = descendants()
            for process in left:
                send_signal(process, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                break
            time.sleep(0.01)


def become_worker(request, parent, private):
    """Turns a freshly forked child into the worker asked for. Never returns."""
    try:
        os.setsid()
        process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
        process_control(PR_SET_CHILD_SUBREAPER, 1)
        if os.getppid() != parent:
            os._exit(SETUP_FAILED)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor in private:
            os.close(descriptor)
        for target, (path, flags) in enumerate((
            (os.devnull, os.O_RDONLY),
            (request["stdout"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            (request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        )):
            descriptor = os.open(path, flags, 0o644)
            os.dup2(descriptor, target)
            if descriptor != target:
                os.close(descriptor)
        os.chdir(request["folder"])
        environment = request["environment"]
        if environment.get("CONCERTINA_NEWCOMER") == "1":
            yield_to_others(environment)
        if "script" not in request:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            start_program(request["words"], environment)
        environment["CONCERTINA_PROCESS"] = str(os.getpid())
        prepare_interpreter(request, environment)
    except BaseException as failure:
        os.write(2, ("the worker could not be set up: %s\n" % failure).encode())
        os._exit(SETUP_FAILED)
    code = run_script(request["script"])
    os._exit(code)


def yield_to_others(environment):
    """Lets the job's other workers train undisturbed while this one prepares itself, as far as it may take its priority back afterwards.

    Linux usually weighs sessions against each other and priorities only within one; the weight of its own session any process may change.
    """
    try:
        with open(SESSION_WEIGHT, "w") as file:
            file.write(str(NEWCOMERS_NICENESS))
        environment["CONCERTINA_SESSION_NICENESS"] = "0"
    except OSError:
        pass
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    possible = []

    def there_and_back():
        # Of this thread alone.
        os.setpriority(os.PRIO_PROCESS, 0, usual + 1)
        try:
            os.setpriority(os.PRIO_PROCESS, 0, usual)
            possible.append(True)
        except OSError:
            pass

    trial = threading.Thread(target=there_and_back)
    trial.start()
    trial.join()
    if possible:
        os.setpriority(os.PRIO_PROCESS, 0, usual + NEWCOMERS_NICENESS)
        environment["CONCERTINA_NICENESS"] = str(usual)


def start_program(words, environment):
    try:
        os.execvpe(words[0], words, environment)
    except OSError as failure:
        os.write(2, ("%s: %s\n" % (words[0], failure.strerror)).encode())
        os._exit(NOT_FOUND if failure.errno == errno.ENOENT else 126)


def prepare_interpreter(request, environment):
    """Gives the forked interpreter what a new one would have found: environment, paths, arguments, own randomness."""
    os.environ.clear()
    os.environ.update(environment)
    if hasattr(time, "tzset"):
        time.tzset()
    script, words = request["script"], request["words"]
    sys.argv = list(words)
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = [sys.executable] + list(words)
    extra = [os.path.abspath(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [os.path.dirname(os.path.realpath(script))] + extra + sys.path
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None:
        multiprocessing.ORIGINAL_DIR = os.getcwd()
        multiprocessing.current_process().authkey = os.urandom(32)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.seed()
        if torch.get_num_threads() != request["threads"]:
            torch.set_num_threads(request["threads"])


def run_script(script):
    """Runs a file as the main module and returns the exit code the interpreter would have ended with."""
    path = os.path.abspath(script)
    main = types.ModuleType("__main__")
    main.__file__ = path
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    main.__dict__["__builtins__"] = sys.modules["builtins"]
    main.__dict__["__cached__"] = None
    before = sys.modules["__main__"]
    sys.modules["__main__"] = main
    code = 0
    try:
        with io.open_code(path) as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)
    except BaseException as raised:
        code = exit_code(raised)
    try:
        leave()
    except BaseException as raised:
        code = exit_code(raised) or code
    del before
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def exit_code(raised):
    """The interpreter's rules for what escaped a script; negative stands for a signal."""
    if isinstance(raised, SystemExit):
        if raised.code is None:
            return 0
        if isinstance(raised.code, int):
            return raised.code & 0xFF
        print(raised.code, file=sys.stderr)
        return 1
    frames = raised.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    try:
        sys.excepthook(type(raised), raised.with_traceback(frames), frames)
    except Exception as broken:
        print("Error in sys.excepthook: %r" % broken, file=sys.stderr)
    return -signal.SIGINT if isinstance(raised, KeyboardInterrupt) else 1


def leave():
    """What an interpreter does at its end short of taking itself apart: threads, exit functions, buffers."""
    import atexit
    import threading

    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):
            pass
    try:
        ctypes.CDLL(None).fflush(None)
    except (OSError, AttributeError):
        pass


def main():
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    words = sys.argv[1:]
    modules = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "--import"]
    Supervisor(requests, answers, modules).serve()


if __name__ == "__main__":
    main()
