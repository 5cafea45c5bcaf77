"""The worker's line to its agent: JSON lines over a Unix socket, as docs/protocol.md section 2 has them."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any


class Control:
    """Sends messages from any thread and hands each command to one callback, in order, on its own thread.

    When the socket ends, the agent is gone and nobody supervises this process any more: it ends itself by signal, which the server
    counts as a lost worker and not as a failed script.
    """

    def __init__(self, path: str, worker: str, token: str):
        self._lock = threading.Lock()
        self._closing = False
        self._process = os.getpid()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self.send({"type": "hello", "worker": worker, "token": token, "pid": os.getpid()})

    def start(self, receive: Callable[[dict[str, Any]], None]) -> None:
        """Begin to read commands."""
        threading.Thread(target=self._read, args=(receive,), name="concertina-control", daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        """Write one line; numbers that are not finite become null. That the agent is gone is noticed by the reading thread.

        A process that the script forked says nothing: it is not the worker.
        """
        if os.getpid() != self._process:
            return
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in message.items()
        }
        line = (json.dumps(finite, allow_nan=False) + "\n").encode()
        with self._lock:
            try:
                self._socket.sendall(line)
            except OSError:
                pass

    def close(self) -> None:
        self._closing = True
        if os.getpid() != self._process:
            return
        with self._lock:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._socket.close()

    def _read(self, receive: Callable[[dict[str, Any]], None]) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    receive(json.loads(line))
        except (OSError, ValueError):
            pass
        if not self._closing:
            os.kill(os.getpid(), signal.SIGKILL)
