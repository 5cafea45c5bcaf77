"""Talks to a Concertina server over its REST API: submit a job, look at it, read its logs, fetch its result, stop it.

Needs nothing but the standard library. Passwords and tokens are sent to the server and nowhere else: no message, log line or `repr`
holds one.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import secrets
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

EXEC = "/platform/rest/deeplearning/v1"
NATIVE = "/concertina/v1"
FINAL_STATES = ("FINISHED", "KILLED", "ERROR")
REQUEST_SECONDS = 60.0
UPLOAD_SECONDS = 3600.0


class ClientError(RuntimeError):
    """One line for the user: what was asked for did not happen."""


class Unreachable(ClientError):
    """No answer came; asking again may help."""


class Refused(ClientError):
    """The server said no; `status` is the HTTP status."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Access:
    """Which server, and as whom: user and password, or a token. `certificate` is a PEM file to trust beside the machine's own."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    certificate: str = ""

    @staticmethod
    def find(
        server: str | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        certificate: str | None = None,
    ) -> Access:
        """Arguments first, then CONCERTINA_URL, _USER, _PASSWORD, _TOKEN and _CERTIFICATE, then what this machine's server left.

        Raises ValueError, naming what is missing. What this machine's own server left is never sent to another.
        """
        environment = os.environ.get
        url = server or environment("CONCERTINA_URL") or ""
        found: dict[str, str] = {} if url else _client_file()
        url = url or found.get("url", "")
        if not url:
            raise ValueError(
                "no server is known: give server=, set CONCERTINA_URL, or start one on this machine with './concertina up'"
            )
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"server is {url!r}; accepted is https://host:port")
        access = Access(
            url.rstrip("/"),
            user or environment("CONCERTINA_USER") or found.get("user", ""),
            password or environment("CONCERTINA_PASSWORD") or found.get("password", ""),
            token or environment("CONCERTINA_TOKEN") or "",
            str(certificate or environment("CONCERTINA_CERTIFICATE") or found.get("certificate", "")),
        )
        if not access.token and not (access.user and access.password):
            raise ValueError(
                f"nobody is named for {access.url}: give user= and password=, or token=, or set CONCERTINA_USER and"
                " CONCERTINA_PASSWORD, or CONCERTINA_TOKEN"
            )
        return access


def _client_file() -> dict[str, str]:
    """What this machine's own server left for its command line; empty when there is none."""
    home = Path(__file__).resolve().parent.parent.parent
    folder = Path(os.environ.get("CONCERTINA_DATA") or home / ".concertina" / "data")
    try:
        lines = (folder / "run" / "client.yaml").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        if colon:
            value = value.strip()
            found[name.strip()] = json.loads(value) if value.startswith('"') else value.strip("'")
    return found


class Client:
    """One user's connection to one server. Logs on when first needed, and again when the token has run out. Not thread-safe."""

    def __init__(self, access: Access):
        self.access = access
        self._token = access.token
        self._user = access.user
        self._connection: http.client.HTTPConnection | None = None
        self._context: ssl.SSLContext | None = None
        parts = urlsplit(access.url)
        if parts.scheme == "https":
            self._context = ssl.create_default_context()
            if access.certificate:
                try:
                    self._context.load_verify_locations(access.certificate)
                except OSError as error:
                    raise ValueError(f"certificate is {access.certificate!r}; accepted is a readable PEM file") from error

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Who

    def logon(self) -> None:
        """Turn user and password into a token. Raises Refused for wrong ones."""
        pair = f"{self.access.user}:{self.access.password}".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        self._token = json.loads(self._call("GET", "/auth/v1/logon", headers, None))["accessToken"]

    @property
    def user(self) -> str:
        """The name the server knows this user by; of a token without a name beside it, what the token itself says."""
        if not self._user and self._token:
            try:
                claims = self._token.split(".")[1]
                decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
                self._user = str(decoded.get("username") or decoded.get("sub") or "")
            except (IndexError, ValueError, AttributeError):
                pass
        return self._user or "user"

    # Jobs

    def submit(self, arguments: str, archive: Path | None = None, name: str = "model.modelDir.tar") -> str:
        """Submit a command line, words quoted as a shell would, with an archive of code; returns the job's id."""
        path = f"{EXEC}/execs?args={quote(arguments, safe='')}"
        if archive is None:
            return str(self._object("POST", path)["id"])
        return str(self._upload(path, {}, archive, name)["id"])

    def _upload(self, path: str, fields: dict[str, str], archive: Path, name: str) -> dict[str, Any]:
        boundary = f"concertina-{secrets.token_hex(12)}"
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{text}\r\n' for field, text in fields.items()
        )
        head += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        first = head.encode()
        last = f"\r\n--{boundary}--\r\n".encode()
        length = len(first) + archive.stat().st_size + len(last)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}
        if not self._token:
            self.logon()

        def body() -> Iterator[bytes]:
            yield first
            with archive.open("rb") as file:
                while piece := file.read(1 << 20):
                    yield piece
            yield last

        return self._object("POST", path, headers, body, UPLOAD_SECONDS)

    def get(self, job: str) -> dict[str, Any]:
        """The job as the exec API shows it: id, state, appName and more, all scalars."""
        return self._object("GET", f"{EXEC}/execs/{quote(job, safe='')}")

    def jobs(self, **query: Any) -> list[dict[str, Any]]:
        """This user's jobs as the exec API lists them; `query` may be limit, state, sort_by."""
        views: list[dict[str, Any]] = json.loads(self._ask("GET", f"{EXEC}/execs?{urlencode(query)}"))
        return views

    def describe(self, job: str) -> dict[str, Any]:
        """The job as the platform itself describes it: state, reason, step, steps, workers, switches, weightsSha256."""
        return self._object("GET", f"{NATIVE}/jobs/{quote(job, safe='')}")

    def cluster(self) -> dict[str, Any]:
        """Agents and their slots."""
        return self._object("GET", f"{NATIVE}/cluster")

    def train_log(self, job: str) -> str:
        """The training log: what the logger of the job wrote."""
        return self.log(job, "")

    def log(self, job: str, kind: str = "outlog") -> str:
        """What the job's processes printed (outlog), their errors (errlog) or both (outerrlog)."""
        path = f"{EXEC}/execs/{quote(job, safe='')}/log" + (f"?logType={kind}" if kind else "")
        return self._ask("GET", path, {"Accept": "text/plain"}).decode("utf-8", "replace")

    def output(self, job: str, worker: int, offset: int) -> bytes:
        """What the worker with this ordinal printed, from a byte offset on; empty when there is nothing more."""
        query = urlencode({"stream": "output", "worker": worker, "offset": offset})
        return self._ask("GET", f"{NATIVE}/jobs/{quote(job, safe='')}/log?{query}")

    def result(self, job: str, target: Path) -> Path:
        """Save the result, a zip of the model folder; the file appears whole or not at all."""
        incoming = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with incoming.open("wb") as file:
                self._ask("GET", f"{EXEC}/execs/{quote(job, safe='')}/result", into=file)
            os.replace(incoming, target)
        finally:
            incoming.unlink(missing_ok=True)
        return target

    def file(self, job: str, path: str) -> bytes:
        """One file below the job's RESULT_DIR. Raises Refused where there is none."""
        return self._ask("GET", f"{NATIVE}/jobs/{quote(job, safe='')}/files/{quote(path)}")

    def stop(self, job: str) -> None:
        """End the job; no effect on one that has ended."""
        self._ask("POST", f"{EXEC}/execs/{quote(job, safe='')}/stop")

    # Searches

    def create_search(self, request: dict[str, Any], archive: Path, name: str = "model.modelDir.tar") -> str:
        """Begin a search whose trials run the code of an archive; returns its name. The request is described in docs/search.md."""
        return str(self._upload(f"{EXEC}/hypersearch", {"data": json.dumps(request)}, archive, name)["uid"])

    def check_search(self, request: dict[str, Any]) -> None:
        """Raise Refused where `create_search` would; nothing begins."""
        self._ask("POST", f"{EXEC}/hypersearch?checkOnly=true", {"Content-Type": "application/json"}, json.dumps(request).encode())

    def search(self, name: str, rest: str = "") -> dict[str, Any]:
        """The search with its space and trials; with rest, such as "/importance", what its results say."""
        return self._object("GET", f"{NATIVE}/searches/{quote(name, safe='')}{rest}")

    def search_table(self, name: str) -> bytes:
        """All trials as comma-separated values."""
        return self._ask("GET", f"{NATIVE}/searches/{quote(name, safe='')}/trials?format=csv", {"Accept": "text/csv"})

    def stop_search(self, name: str) -> None:
        """Stop the search and the jobs of its trials."""
        self._ask("PUT", f"{EXEC}/hypersearch/{quote(name, safe='')}")

    # HTTP

    def _object(self, *asked: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._ask(*asked))
        return answer

    def _ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: Any = None,
        seconds: float = REQUEST_SECONDS,
        into: BinaryIO | None = None,
    ) -> bytes:
        if not self._token:
            self.logon()
        for again in (True, False):
            sent = {"Accept": "application/json", **(headers or {}), "Authorization": f"Bearer {self._token}"}
            try:
                return self._call(method, path, sent, body, seconds, into)
            except Refused as refused:
                if refused.status != 401 or not again or not self.access.password:
                    raise
                self.logon()
        raise AssertionError

    def _call(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Any,
        seconds: float = REQUEST_SECONDS,
        into: BinaryIO | None = None,
    ) -> bytes:
        kept = self._connection is not None
        try:
            return self._exchange(method, path, headers, body, seconds, into)
        except BaseException as error:
            self.close()
            if not isinstance(error, (OSError, http.client.HTTPException)):
                raise
            # A connection that was kept may have been closed by the server meanwhile; only what changes nothing is asked again.
            if kept and method == "GET" and not (into is not None and into.tell()):
                return self._call(method, path, headers, body, seconds, into)
            raise Unreachable(f"{self.access.url} does not answer: {_why(error)}") from error

    def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: Any, seconds: float, into: BinaryIO | None
    ) -> bytes:
        connection = self._connection = self._connection or self._connected()
        connection.timeout = seconds
        if connection.sock is not None:
            connection.sock.settimeout(seconds)
        try:
            connection.request(method, path, body() if callable(body) else body or (b"" if method == "POST" else None), headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # A server that refuses an upload early has answered already.
        answer = connection.getresponse()
        if answer.status >= 400:
            raise Refused(answer.status, _refusal(answer.status, answer.read().decode("utf-8", "replace")))
        if into is None:
            return answer.read()
        shutil.copyfileobj(answer, into, 1 << 20)
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        return b""

    def _connected(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.access.url)
        host = parts.hostname or ""
        if self._context is None:
            return http.client.HTTPConnection(host, parts.port or 80, timeout=REQUEST_SECONDS)
        return http.client.HTTPSConnection(host, parts.port or 443, timeout=REQUEST_SECONDS, context=self._context)


def _why(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); name its PEM file in CONCERTINA_CERTIFICATE"
    return str(error) or type(error).__name__


def _refusal(status: int, text: str) -> str:
    """The server's sentence without its dressing."""
    text = text.strip()
    try:
        decoded = json.loads(text)
        text = str(decoded.get("error", text)) if isinstance(decoded, dict) else str(decoded)
    except ValueError:
        pass
    line = re.sub(r"^Error \d{3}: ", "", text.partition("\n")[0])
    return line or f"the server answered with status {status}"
