"""A client that says bytes, and what it hears."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable

from tests.postgres.places import Served

STARTUP = struct.pack("!ii", 24, 3 << 16) + b"user\0ann\0\0\0\0\0\0\0\0"
QUERY = b"Q" + struct.pack("!i", 4 + 9) + b"select 1\0"


def until(holds: Callable[[], bool], deadline_s: float = 10) -> None:
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.02)


def whole(connection: socket.socket) -> bytes:
    """Everything that comes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            found += data
    return found


def is_served(served: Served) -> bool:
    with served.connect() as connection:
        return connection.execute("select count(*) from tasks").fetchone() == (30,)


def is_closed(connection: socket.socket, sent: bytes) -> bool:
    """Whether the other side has closed it, by sending a little and reading."""
    try:
        connection.sendall(sent)
        return connection.recv(1000) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
