"""HTTP over a Unix socket, for requests.

What comes in: the socket's path. What goes out: an adapter to mount on a session. Connects when something is sent.
"""

from __future__ import annotations

import socket
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool


class UnixAdapter(HTTPAdapter):
    """Has requests talk HTTP over one Unix socket, whatever host the URL names."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._pool = _Pool(path)

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """The pool of connections to the socket (requests 2.32 and later)."""
        return self._pool

    def get_connection(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """As above, for requests before 2.32."""
        return self._pool

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        super().close()


class _Pool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def _new_conn(self) -> HTTPConnection:
        return _Connection(self._path)


class _Connection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        timeout = self.timeout
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout if isinstance(timeout, int | float) else None)
        try:
            self.sock.connect(self._path)
        except OSError as error:
            self.sock.close()
            raise urllib3.exceptions.NewConnectionError(self, f"nobody answers at {self._path}: {error}") from error
