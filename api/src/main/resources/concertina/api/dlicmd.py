#!/usr/bin/env python3
"""Command line for Concertina's exec API: submit jobs, watch them, fetch logs and results.

Needs Python 3.8 or later and nothing else. The token of the last logon is kept in ~/.dlicmd/token, readable by its owner
only. Unless CONCERTINA_CERTIFICATE names a PEM file to trust, certificates are not verified.
"""
import base64
import datetime
import getpass
import http.client
import json
import os
import re
import shlex
import shutil
import ssl
import sys
import tarfile
import tempfile
import time
import uuid
from urllib.parse import quote, urlencode

BASE = "/platform/rest/deeplearning/v1"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "9443"
FINAL_STATES = ("FINISHED", "KILLED", "ERROR")
ACTIVE_STATES = (
    "NEW", "SUBMITTED", "PENDING_JOB_SCHEDULER", "PENDING_CRD_SCHEDULER", "LAUNCHING", "RUNNING", "RECOVERING", "UNKNOWN")
EXEC_COLUMNS = ("id", "submit_user", "name", "framework", "type", "state", "num", "submit_time", "age")
APPLICATION_COLUMNS = (
    "id", "submit_user", "name", "type", "state", "priority", "task12n_num", "used_gpu", "used_cpu", "submit_time",
    "start_time", "end_time")

# Options of this program with a value; they are never sent.
OWN_OPTIONS = {
    "--rest-host": "host", "--master-host": "host", "--rest-port": "port", "--dli-rest-port": "port",
    "--username": "username", "--password": "password", "--jwt-token": "token", "--query-args": "query",
    "--app-search-start": "start", "--app-search-length": "length", "-o": "output", "--output": "output",
}

USAGE = """usage: dlicmd.py COMMAND [ARGUMENTS] [--rest-host HOST] [--rest-port PORT] [--jwt-token TOKEN]
                 [-o json|custom-columns=id,state]

  --logon [--username U] [--password P]      log on, keep the token
  --logoff                                   make the kept token worthless
  --status                                   state of the platform
  --dl-frameworks                            frameworks and how to use them

  --exec-start FRAMEWORK --model-main FILE [--model-dir DIR] [--numWorker N] [...] [SCRIPT ARGUMENTS]
  --exec-start FRAMEWORK [--model-dir DIR] [...] --user-cmd -- COMMAND
  --exec-get-all [--query-args "limit=10&state=FINISHED&sort_by=id:desc"]
  --exec-get ID | --exec-stop ID | --exec-delete ID | --exec-delete-all
  --exec-trainlogs ID | --exec-trainoutlogs ID | --exec-trainerrlogs ID
  --exec-launcherlogs ID | --exec-outlogs ID | --exec-errlogs ID
  --exec-trainresult ID                      save the trained model as a zip
  --exec-deploy ID --name N [--runtime R] [--kernel K] [--weight W] [--tag T] [--attributes k=v,...] [--envs k=v,...]

  --app-get-all | --app-history-get-all      applications alive, ended [--app-search-start N] [--app-search-length N]
  --app-get ID | --app-wait ID | --app-stop ID | --app-stop-all | --app-analyze [HOURS]
  --app-launcherlogs ID | --app-outlogs ID | --app-errlogs ID
  --rp-get-all | --rp-get NAME | --rp-delete NAME
  --pj-get-all | --k8s-obj-get-all TYPE | --k8s-obj-get TYPE NAME

  --hpo-start FILE [--model-dir DIR] | --hpo-get-all | --hpo-get NAME | --hpo-stop NAME | --hpo-restart NAME
  --hpo-delete NAME | --hpo-delete-all
  --hpo-algorithm-get-all | --hpo-algorithm-get NAME | --hpo-algorithm-delete NAME
"""


class Failure(Exception):
    """Something to tell the user in one line; the program ends with code 1."""


class Refusal(Failure):
    """The server answered with a status of 400 or above."""

    def __init__(self, status, text):
        super().__init__(text.strip() or "the server answered with status %d" % status)
        self.status = status


class Server:
    """One server. Tries https first and http only where the server turns out not to speak TLS.

    :param token: bearer token, or None before a logon
    """

    def __init__(self, host, port, token):
        self._host = host
        self._port = port
        self._token = token
        self._secure = True
        self._timeout = 600

    def get(self, path, **query):
        """:return: decoded JSON, or the text when the answer is none"""
        return _decoded(self.call("GET", path, query))

    def call(self, method, path, query=None, headers=None, body=None, length=None):
        """:param body: None, bytes, or an iterable of bytes of `length` bytes together

        :return: status, headers and the whole body
        :raises Refusal: for a status of 400 or above
        """
        response, connection = self.open(method, path, query, headers, body, length)
        try:
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def open(self, method, path, query=None, headers=None, body=None, length=None):
        """Like `call`, with the body left unread. The caller closes the connection."""
        target = path if path.startswith("/auth/") else BASE + path
        if query:
            target += "?" + (query if isinstance(query, str) else urlencode(query, quote_via=quote))
        sent = {"Accept": "application/json", "User-Agent": "dlicmd"}
        if self._token:
            sent["Authorization"] = "Bearer " + self._token
        sent.update(headers or {})
        if length is not None:
            sent["Content-Length"] = str(length)
        elif body is None and method in ("POST", "PUT"):
            sent["Content-Length"] = "0"
        connection = self._connected()
        try:
            try:
                connection.request(method, target, body=body, headers=sent)
            except (BrokenPipeError, ConnectionResetError):
                pass  # A server that refuses an upload early has answered already.
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Failure("%s does not answer: %s" % (self._address(), error)) from error
        if response.status >= 400:
            text = response.read().decode("utf-8", "replace")
            connection.close()
            raise Refusal(response.status, text)
        return response, connection

    def _connected(self):
        try:
            return self._connect()
        except ssl.SSLError:
            if not self._secure:
                raise
            self._secure = False
            try:
                return self._connect()
            except OSError as error:
                raise Failure("%s cannot be reached: %s" % (self._address(), error)) from error
        except OSError as error:
            raise Failure("%s cannot be reached: %s" % (self._address(), error)) from error

    def _connect(self):
        if self._secure:
            trusted = os.environ.get("CONCERTINA_CERTIFICATE")
            context = ssl.create_default_context(cafile=trusted)
            if not trusted:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            connection = http.client.HTTPSConnection(
                self._host, int(self._port), timeout=self._timeout, context=context)
        else:
            connection = http.client.HTTPConnection(self._host, int(self._port), timeout=self._timeout)
        connection.connect()
        return connection

    def _address(self):
        return "%s://%s:%s" % ("https" if self._secure else "http", self._host, self._port)


def _decoded(answer):
    text = answer[2].decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


# --- Token ----------------------------------------------------------------------------------------------------------


def _token_file():
    return os.path.join(os.path.expanduser("~"), ".dlicmd", "token")


def _kept_token():
    try:
        with open(_token_file(), encoding="utf-8") as file:
            return file.read().strip() or None
    except OSError:
        return None


def _keep_token(token):
    folder = os.path.dirname(_token_file())
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle = os.open(_token_file() + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(token)
    os.replace(_token_file() + ".new", _token_file())


# --- Output ---------------------------------------------------------------------------------------------------------


def _show(value):
    print(value.rstrip("\n") if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False))


def _show_answer(answer):
    text = answer[2].decode("utf-8", "replace").strip()
    print("%d %s" % (answer[0], text) if text else str(answer[0]))


def _show_rows(rows, columns, output):
    """A table, or what `-o` asks for."""
    if output == "json":
        _show(rows)
        return
    if output and output.startswith("custom-columns="):
        columns = [part for part in output[len("custom-columns="):].split(",") if part]
    elif output:
        raise Failure("-o is '%s', accepted: json or custom-columns=id,state" % output)
    titles = [column.partition(":")[0] for column in columns]
    paths = [(column.partition(":")[2] or column).strip(".") for column in columns]
    cells = [titles] + [[_cell(row, path) for path in paths] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(titles))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _cell(row, path):
    value = row
    for name in path.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _age(seconds):
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return "%d%s" % (seconds // size, unit)
    return "%ds" % max(0, seconds)


def _epoch(text):
    try:
        moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except (TypeError, ValueError):
        return None
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


def _size(count):
    for unit in ("", "K", "M", "G"):
        if count < 1024 or unit == "G":
            return "%d" % count if not unit else "%.1f%s" % (count, unit)
        count /= 1024.0
    return str(count)


# --- Jobs -----------------------------------------------------------------------------------------------------------


def _exec_row(job):
    begun = _epoch(job.get("createTime"))
    return {
        "id": job.get("id", ""),
        "submit_user": job.get("creator", ""),
        "name": job.get("appName", ""),
        "framework": job.get("framework", ""),
        "type": "ELASTIC" if job.get("elastic") else "PARALLEL",
        "state": job.get("state", ""),
        "num": job.get("numWorker", ""),
        "submit_time": job.get("createTime", ""),
        "age": "" if begun is None else _age(int(time.time() - begun)),
    }


def exec_get_all(server, words, own):
    rows = server.get("/execs/", **_query(own))
    _show_rows(rows if own.get("output") == "json" else [_exec_row(job) for job in rows], EXEC_COLUMNS, own.get("output"))


def exec_get(server, words, own):
    job = server.get("/execs/" + _id(words))
    if own.get("output", "").startswith("custom-columns="):
        _show_rows([dict(job, **_exec_row(job))], EXEC_COLUMNS, own["output"])
        return
    row = _exec_row(job)
    job["type"] = row["type"]
    job["age"] = row["age"]
    engine = _engine(server, job.get("appId", job["id"]))
    if engine:
        submitted, started, ended = (engine.get(key) or 0 for key in ("submit_time", "start_time", "end_time"))
        now = int(time.time())
        job["parallelJobInfo"] = {
            key: engine.get(key) for key in ("task12n_resreq", "task12n_num", "used_gpu", "used_cpu", "priority")}
        job["pendingDuration"] = _age((started or ended or now) - submitted)
        job["runningDuration"] = _age((ended or now) - started) if started else "0s"
    _show(job)


def _engine(server, application):
    try:
        found = server.get("/scheduler/engine/applications/" + quote(application, safe=""))
    except Refusal:
        return None
    return found[0] if isinstance(found, list) and found else None


def exec_start(server, words, own):
    """Uploads the code, if any, and submits what was typed."""
    with tempfile.TemporaryDirectory(prefix="dlicmd-") as scratch:
        parts = _parts(words, scratch)
        source = _value(words, "--data-source")
        fields = {}
        if source is not None:
            try:
                fields["data"] = json.dumps({"dataSource": json.loads(source)})
            except ValueError as error:
                raise Failure("--data-source is '%s', accepted: a JSON list" % source) from error
        query = {"args": " ".join(shlex.quote(word) if re.search(r"[\s'\"\\]", word) or not word else word
                                  for word in words)}
        form = Form(fields, parts)
        answer = _decoded(server.call("POST", "/execs/", query, form.headers(), form.chunks(), form.length()))
    _show({"execId": answer["id"], "appId": answer.get("appId", answer["id"])})


def _parts(words, scratch):
    directory = _value(words, "--model-dir")
    main = _value(words, "--model-main")
    parts = []
    if directory is not None:
        if not os.path.isdir(directory):
            raise Failure("--model-dir is '%s', accepted: an existing folder" % directory)
        print("Copying files and directories ...")
        name = os.path.basename(os.path.abspath(directory))
        parts.append((name + ".modelDir.tar", _packed(directory, name, scratch)))
    elif main is not None and os.path.isfile(main):
        print("Copying files and directories ...")
        parts.append((os.path.basename(main), main))
    for flag in ("--conda-env-yaml", "--conda-package"):
        extra = _value(words, flag)
        if extra is not None:
            if not os.path.isfile(extra):
                raise Failure("%s is '%s', accepted: an existing file" % (flag, extra))
            parts.append((os.path.basename(extra), extra))
    if parts:
        print("Content size: " + _size(sum(os.path.getsize(path) for _, path in parts)))
    return parts


def _packed(directory, name, scratch):
    path = os.path.join(scratch, name + ".modelDir.tar")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(directory, name)
    return path


class Form:
    """A multipart body that is read from disk while it is sent.

    :param fields: name to text
    :param parts: pairs of file name and path, sent as parts named "file"
    """

    def __init__(self, fields, parts):
        self._boundary = "dlicmd" + uuid.uuid4().hex
        self._pieces = []
        for name, text in fields.items():
            self._pieces.append(self._head('name="%s"' % name) + text.encode() + b"\r\n")
        for name, path in parts:
            safe = name.replace("\\", "_").replace('"', "%22").replace("\r", "_").replace("\n", "_")
            self._pieces.append(self._head('name="file"; filename="%s"' % safe, "application/octet-stream"))
            self._pieces.append((path, os.path.getsize(path)))
            self._pieces.append(b"\r\n")
        if self._pieces:
            self._pieces.append(("--%s--\r\n" % self._boundary).encode())

    def headers(self):
        return {"Content-Type": "multipart/form-data; boundary=" + self._boundary} if self._pieces else {}

    def length(self):
        return sum(len(piece) if isinstance(piece, bytes) else piece[1] for piece in self._pieces)

    def chunks(self):
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                left = piece[1]
                with open(piece[0], "rb") as file:
                    while left > 0:
                        block = file.read(min(left, 1 << 16))
                        if not block:
                            raise Failure("%s became shorter while it was sent" % piece[0])
                        left -= len(block)
                        yield block

    def _head(self, disposition, kind=None):
        lines = ["--" + self._boundary, "Content-Disposition: form-data; " + disposition]
        if kind:
            lines.append("Content-Type: " + kind)
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def exec_stop(server, words, own):
    _show_answer(server.call("POST", "/execs/%s/stop" % _id(words)))


def exec_delete(server, words, own):
    _show_answer(server.call("DELETE", "/execs/" + _id(words)))


def exec_delete_all(server, words, own):
    _show_answer(server.call("DELETE", "/execs"))


def exec_deploy(server, words, own):
    body = {}
    for key in ("name", "runtime", "weight", "tag"):
        value = _value(words, "--" + key)
        if value is not None:
            body[key] = value
    kernels = [words[index + 1] for index, word in enumerate(words[:-1]) if word == "--kernel"]
    if kernels:
        body["kernel"] = kernels[0] if len(kernels) == 1 else kernels
    for key, flag in (("attributes", "--attributes"), ("environments", "--envs")):
        pairs = _value(words, flag)
        if pairs is not None:
            body[key] = dict(pair.partition("=")[::2] for pair in pairs.split(",") if pair)
    _show_answer(server.call(
        "POST", "/execs/%s/deploy" % _id(words), None, {"Content-Type": "application/json"}, json.dumps(body).encode()))


def _train_log(kind):
    def command(server, words, own):
        _print_stream(server, "/execs/%s/log" % _id(words), {"logType": kind})
    return command


def _print_stream(server, path, query=None):
    response, connection = server.open("GET", path, query, {"Accept": "text/plain"})
    try:
        sys.stdout.flush()
        shutil.copyfileobj(response, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    finally:
        connection.close()


def exec_trainresult(server, words, own):
    response, connection = server.open("GET", "/execs/%s/result" % _id(words), None, {"Accept": "text/plain"})
    try:
        disposition = response.headers.get("Content-Disposition") or ""
        found = re.search(r"filename=\"?([^;\"]+)", disposition)
        name = os.path.basename(found.group(1).strip()) if found else ""
        if not re.match(r"[A-Za-z0-9_][A-Za-z0-9._-]*$", name):
            raise Failure("the server's answer names no file")
        with open(name + ".part", "wb") as file:
            shutil.copyfileobj(response, file)
        expected = response.headers.get("Content-Length")
        if expected and os.path.getsize(name + ".part") != int(expected):
            os.remove(name + ".part")
            raise Failure("the result broke off, try again")
        os.replace(name + ".part", name)
    finally:
        connection.close()
    print("Train result is saved to " + name)


def _application_logs(kind, of_exec):
    """Driver's log, then those of executor 1 to the last."""
    def command(server, words, own):
        application = _id(words)
        if of_exec:
            application = quote(server.get("/execs/" + application)["appId"], safe="")
        found = server.get("/scheduler/applications?applicationid=" + application)
        if not found:
            raise Failure("there is no application " + application)
        logs = "/scheduler/applications/%s/" % application
        who = [("driver", "driver")] if found[0].get("task0") else []
        executors = found[0].get("task12n") or found[0].get("executors") or []
        who += [("executor/%d" % number, "executor %d" % number) for number in range(1, len(executors) + 1)]
        for path, title in who:
            print("---- %s %s of %s ----" % (title, kind, application))
            _print_stream(server, logs + path + "/logs/" + kind)
            print()
    return command


# --- Applications, plans, Kubernetes --------------------------------------------------------------------------------


def _application_rows(rows):
    shown = []
    for row in rows:
        row = dict(row)
        for key in ("submit_time", "start_time", "end_time"):
            moment = row.get(key)
            row[key] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) if moment else ""
        shown.append(row)
    return shown


def _applications(states):
    def command(server, words, own):
        query = {"sort": "-submit_time", "state": ",".join(states)}
        query.update((key, own[key]) for key in ("start", "length") if key in own)
        rows = server.get("/scheduler/engine/applications", **query)
        _show_rows(
            rows if own.get("output") == "json" else _application_rows(rows), APPLICATION_COLUMNS, own.get("output"))
    return command


def app_get(server, words, own):
    _show(server.get("/scheduler/engine/applications/" + _id(words)))


def app_wait(server, words, own):
    """Ends with code 1 when the application did not finish well."""
    while True:
        state = server.get("/scheduler/engine/applications/" + _id(words))[0]["state"]
        if state in FINAL_STATES:
            print(state)
            if state != "FINISHED":
                sys.exit(1)
            return
        time.sleep(2)


def app_stop(server, words, own):
    _show_answer(server.call("PUT", "/scheduler/applications/%s/stop" % _id(words)))


def app_stop_all(server, words, own):
    for row in server.get("/scheduler/engine/applications", state=",".join(ACTIVE_STATES)):
        answer = server.call("PUT", "/scheduler/applications/%s/stop" % quote(row["id"], safe=""))
        print("%s %d" % (row["id"], answer[0]))


def app_analyze(server, words, own):
    """How many applications of the last hours ended how, and how long they waited and ran."""
    try:
        hours = float(words[1]) if len(words) > 1 else 24.0
    except ValueError as error:
        raise Failure("--app-analyze is '%s', accepted: a number of hours" % words[1]) from error
    since = time.time() - hours * 3600
    groups = {}
    for row in server.get("/scheduler/engine/applications"):
        if row["submit_time"] >= since:
            groups.setdefault(row["state"], []).append(row)
    rows = []
    now = time.time()
    for state, members in sorted(groups.items()):
        waits = [(row["start_time"] or row["end_time"] or now) - row["submit_time"] for row in members]
        runs = [(row["end_time"] or now) - row["start_time"] for row in members if row["start_time"]]
        rows.append({
            "state": state,
            "applications": len(members),
            "average_pending_s": round(sum(waits) / len(waits), 1),
            "average_running_s": round(sum(runs) / len(runs), 1) if runs else 0,
        })
    _show_rows(rows, ("state", "applications", "average_pending_s", "average_running_s"), own.get("output"))


def _shown(path):
    def command(server, words, own):
        names = [quote(word, safe="") for word in words[1:]]
        if path.count("%s") > len(names):
            raise Failure("%s needs %d argument(s)" % (words[0], path.count("%s")))
        _show(server.get(path % tuple(names[: path.count("%s")]) if "%s" in path else path))
    return command


def _done(method, path):
    def command(server, words, own):
        _show_answer(server.call(method, path % _id(words) if "%s" in path else path))
    return command


def kubernetes_objects(kind=None, named=False):
    def command(server, words, own):
        query = {"type": kind or (words[1] if len(words) > 1 else "")}
        if named:
            if len(words) < 3:
                raise Failure("%s needs a type and a name" % words[0])
            query["name"] = words[2]
        _show(server.get("/scheduler/kubernetesobjects", **query))
    return command


def frameworks(server, words, own):
    rows = server.get("/execs/frameworks")
    if own.get("output"):
        _show_rows(rows, ("name", "execMode", "appName", "maxWorkers"), own["output"])
        return
    for row in rows:
        print("%s (%s)" % (row["name"], row.get("appName", "")))
        for line in row.get("desc", []):
            print("    " + line)


# --- Search ---------------------------------------------------------------------------------------------------------


def hpo_start(server, words, own):
    path = words[1] if len(words) > 1 else ""
    if not os.path.isfile(path):
        raise Failure("--hpo-start is '%s', accepted: a file with the task as JSON" % path)
    with open(path, encoding="utf-8") as file:
        task = file.read()
    with tempfile.TemporaryDirectory(prefix="dlicmd-") as scratch:
        form = Form({"data": task}, _parts(words, scratch))
        _show(_decoded(server.call("POST", "/hypersearch", None, form.headers(), form.chunks(), form.length())))


def hpo_get_all(server, words, own):
    _show(server.get("/hypersearch", **_query(own)))


# --- Logon and the rest of the program ------------------------------------------------------------------------------


def logon(server, words, own):
    user = own.get("username") or input("Username: ")
    password = own["password"] if "password" in own else getpass.getpass("Password: ")
    pair = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
    try:
        answer = _decoded(server.call("GET", "/auth/v1/logon", None, {"Authorization": "Basic " + pair}))
    except Refusal as refused:
        if refused.status in (400, 401):
            raise Failure("authentication failed: %s" % refused) from refused
        raise
    if not isinstance(answer, dict) or not answer.get("accessToken"):
        raise Failure("the server's answer holds no accessToken")
    _keep_token(answer["accessToken"])
    _show(answer)


def logoff(server, words, own):
    try:
        _show_answer(server.call("POST", "/auth/v1/logoff"))
    finally:
        if os.path.exists(_token_file()):
            os.remove(_token_file())


COMMANDS = {
    "--logon": logon,
    "--logoff": logoff,
    "--status": _shown("/status"),
    "--dl-frameworks": frameworks,
    "--exec-get-all": exec_get_all,
    "--exec-get": exec_get,
    "--exec-start": exec_start,
    "--exec-stop": exec_stop,
    "--exec-delete": exec_delete,
    "--exec-delete-all": exec_delete_all,
    "--exec-deploy": exec_deploy,
    "--exec-launcherlogs": _application_logs("launcherlog", True),
    "--exec-outlogs": _application_logs("stdout", True),
    "--exec-errlogs": _application_logs("stderr", True),
    "--exec-trainlogs": _train_log("outerrlog"),
    "--exec-trainoutlogs": _train_log("outlog"),
    "--exec-trainerrlogs": _train_log("errlog"),
    "--exec-trainresult": exec_trainresult,
    "--rp-get-all": _shown("/resplans/resplantree"),
    "--rp-get": _shown("/resplans/resplan/%s"),
    "--rp-delete": _done("DELETE", "/resplans/resplan/%s"),
    "--app-get": app_get,
    "--app-get-all": _applications(ACTIVE_STATES),
    "--app-history-get-all": _applications(FINAL_STATES),
    "--app-wait": app_wait,
    "--app-stop": app_stop,
    "--app-stop-all": app_stop_all,
    "--app-analyze": app_analyze,
    "--app-launcherlogs": _application_logs("launcherlog", False),
    "--app-outlogs": _application_logs("stdout", False),
    "--app-errlogs": _application_logs("stderr", False),
    "--pj-get-all": kubernetes_objects("paralleljob"),
    "--k8s-obj-get-all": kubernetes_objects(),
    "--k8s-obj-get": kubernetes_objects(named=True),
    "--hpo-start": hpo_start,
    "--hpo-get-all": hpo_get_all,
    "--hpo-get": _shown("/hypersearch/%s"),
    "--hpo-stop": _done("PUT", "/hypersearch/%s"),
    "--hpo-restart": _done("PUT", "/hypersearch/%s/restart"),
    "--hpo-delete": _done("DELETE", "/hypersearch/%s"),
    "--hpo-delete-all": _done("DELETE", "/hypersearch"),
    "--hpo-algorithm-get-all": _shown("/hypersearch/algorithm"),
    "--hpo-algorithm-get": _shown("/hypersearch/algorithm/%s"),
    "--hpo-algorithm-delete": _done("DELETE", "/hypersearch/algorithm/%s"),
}


def _id(words):
    if len(words) < 2 or words[1].startswith("--"):
        raise Failure("%s needs an id or a name after it" % words[0])
    return quote(words[1], safe="")


def _value(words, flag):
    """The flag's last value before a lone "--", or None."""
    found = None
    for index, word in enumerate(words):
        if word == "--":
            break
        if word == flag and index + 1 < len(words):
            found = words[index + 1]
        elif word.startswith(flag + "="):
            found = word[len(flag) + 1:]
    return found


def _query(own):
    query = {}
    for pair in own.get("query", "").split("&"):
        if pair:
            name, _, value = pair.partition("=")
            query[name] = value
    return query


def _split(arguments):
    """Takes this program's own options out.

    :return: the words that remain, and the options by name
    """
    words, own = [], {}
    index = 0
    while index < len(arguments):
        word = arguments[index]
        index += 1
        if word == "--":
            words += arguments[index - 1:]
            break
        name, equals, value = word.partition("=")
        key = OWN_OPTIONS.get(name)
        if key is None or (equals and not name.startswith("--")):
            words.append(word)
            continue
        if not equals:
            value = arguments[index] if index < len(arguments) else None
        # A training script may have an -o of its own.
        style = value is not None and (value == "json" or value.startswith("custom-columns="))
        if key == "output" and "--exec-start" in arguments and not style:
            words.append(word)
            continue
        if value is None:
            raise Failure("%s needs a value after it" % name)
        if not equals:
            index += 1
        own[key] = value
    return words, own


def run(arguments):
    words, own = _split(arguments)
    position = next((index for index, word in enumerate(words) if word in COMMANDS), None)
    if position is None:
        asked = not words or "-h" in words or "--help" in words
        (sys.stdout if asked else sys.stderr).write(USAGE)
        return 0 if asked else 2
    name = words[position]
    # The command's name leads, what stood before it follows.
    words = words[position:] + words[:position] if "--" not in words[:position] else words
    port = own.get("port", DEFAULT_PORT)
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise Failure("--rest-port is '%s', accepted: a port number" % port)
    token = None if name == "--logon" else own.get("token") or _kept_token()
    server = Server(own.get("host", DEFAULT_HOST), port, token)
    if name not in ("--logon", "--logoff"):
        server.get("/conf")
    COMMANDS[name](server, words, own)
    return 0


def main():
    try:
        return run(sys.argv[1:])
    except Refusal as refused:
        print(refused, file=sys.stderr)
        if refused.status in (401, 403):
            print("Log on again: dlicmd.py --logon --rest-host HOST --rest-port PORT --username USER", file=sys.stderr)
        return 1
    except Failure as failure:
        print("dlicmd: %s" % failure, file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
