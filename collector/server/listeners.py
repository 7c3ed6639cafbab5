"""Listening sockets of a collector.

What comes in: addresses. What goes out: bound sockets, or one clear line about why there is none. Never accepts a
connection.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.collector.config.language import Endpoint

_BACKLOG = 1024


def listen_tcp(endpoint: Endpoint, key: str) -> socket.socket:
    """A TCP socket on ``endpoint``; ``key`` is where the configuration says so.

    Raises:
        UnavailableError: the address cannot be listened on.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise UnavailableError(f"cannot listen on {endpoint}: {error.strerror}; change {key}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UnavailableError(
            f"cannot listen on {endpoint}: {os.strerror(error.errno or 0)}; stop who does, or change {key}"
        ) from None
    listener.setblocking(False)
    return listener


def listen_unix(path: Path) -> socket.socket:
    """A Unix socket that only this user can connect to; a file that a killed collector left is replaced.

    Raises:
        UnavailableError: it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UnavailableError(f"cannot listen on {path}: {error.strerror}; set STEPSIZE_RUNTIME") from None
    listener.setblocking(False)
    return listener


def remove_unix(path: Path) -> None:
    """Take the socket's file away."""
    with contextlib.suppress(OSError):
        path.unlink()
