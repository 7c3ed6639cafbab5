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
    from collections.abc import Collection
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


class Sockets:
    """Listening sockets that stay while what is served on them changes; what is given out are duplicates.

    A system holds connections back that come while nobody accepts, as long as one of them is open.
    """

    def __init__(self) -> None:
        self._kept: dict[Endpoint, socket.socket] = {}

    def listen(self, endpoint: Endpoint, key: str) -> socket.socket:
        """As :func:`listen_tcp`; the one that is there where ``endpoint`` is listened on already."""
        if not endpoint.port:  # each time another one
            return listen_tcp(endpoint, key)
        if endpoint not in self._kept:
            self._kept[endpoint] = listen_tcp(endpoint, key)
        return self._kept[endpoint].dup()

    def keep(self, endpoints: Collection[Endpoint]) -> None:
        """Close all but those on ``endpoints``."""
        for endpoint in [endpoint for endpoint in self._kept if endpoint not in endpoints]:
            self._kept.pop(endpoint).close()


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
