"""One request to a running daemon over its Unix socket."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from .errors import RefusedError


class UnreachableError(Exception):
    """No daemon answers there: it is starting, or it has ended."""


class StartingError(Exception):
    """The daemon answers, and cannot be steered yet."""


class _Connection(HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, place: str, body: object = None, timeout: float = 10.0) -> Any:
    """The answer of the daemon at the socket ``path``.

    Raises:
        UnreachableError: There is no answer.
        StartingError: It is too early for that.
        RefusedError: It would not do that.
    """
    connection = _Connection(path, timeout)
    try:
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, place, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"no daemon answers at {path}: {error}") from error
    finally:
        connection.close()
    document = json.loads(content) if content else None
    if answer.status >= 400:
        said = document if isinstance(document, dict) else {}
        if answer.status == 503 and "error" in said:
            raise StartingError(said["error"])
        if refused := said.get("refused"):
            raise RefusedError("; ".join(f"{one['key']}: {one['reason']}" for one in refused), "")
        raise RefusedError(said.get("error", f"the daemon answered with status {answer.status}"), said.get("hint", ""))
    return document
