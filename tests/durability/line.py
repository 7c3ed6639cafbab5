"""A line between a client and a server that breaks where it is told to.

What comes in: a port of the loopback. What goes out: another one, whose bytes go there and back unchanged until a
:class:`Break` is due. Connections that were not broken go on.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


@dataclass(frozen=True)
class Break:
    """Where a line breaks, once.

    Attributes:
        way: on the way of requests or of answers; `connecting` where nothing has come yet.
        is_due: asked with how many bytes of a connection have gone that way, and are about to; says how many of those
            still go, None for all.
        then: done at that moment.
    """

    name: str
    way: Literal["connecting", "requests", "answers"]
    is_due: Callable[[int, int], int | None] = lambda _, __: 0
    then: Callable[[], None] | None = None

    def __str__(self) -> str:
        return self.name


class Line:
    """Listens until it is closed."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._break: Break | None = None
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def has_broken(self) -> bool:
        """Whether what was armed last has happened."""
        return self._break is None

    def arm(self, what: Break) -> None:
        """Break there, once."""
        self._break = what

    def close(self) -> None:
        """Let go of everything."""
        _end(self._listener)
        self._listener.close()
        with self._lock:
            for one in self._open:
                _end(one)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                if self._breaks("connecting", 0, 0) is not None:
                    _reset(client)
                    continue
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    _reset(client)
                    continue
                with self._lock:
                    self._open += [client, server]
                for way in ((client, server, "requests"), (server, client, "answers")):
                    threading.Thread(target=self._copy, args=way, daemon=True).start()

    def _breaks(self, way: str, gone: int, coming: int) -> int | None:
        with self._lock:
            found = self._break
            due = found.is_due(gone, coming) if found and found.way == way else None
            if due is None or found is None:
                return None
            self._break = None
        if found.then:
            found.then()
        return due

    def _copy(self, source: socket.socket, target: socket.socket, way: str) -> None:
        gone = 0
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                part = self._breaks(way, gone, len(content))
                if part is not None:
                    target.sendall(content[:part])
                    break
                target.sendall(content)
                gone += len(content)
        _end(source)
        _end(target)


def _reset(one: socket.socket) -> None:
    """End a connection that nobody reads from; one that a thread waits for is ended with :func:`_end`."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    one.close()


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
