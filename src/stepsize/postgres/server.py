"""Sockets and threads of the endpoint.

What comes in: connections. What goes out: answers. A thread serves each client; one that stalls, goes or sends garbage
costs itself its connection, and nobody else anything.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from typing import TYPE_CHECKING

from stepsize.postgres import messages
from stepsize.postgres.errors import ProtocolError
from stepsize.postgres.session import Session

if TYPE_CHECKING:
    from stepsize.postgres.engine import Engine, Running

_RECEIVE_BYTES = 65_536


class Server:
    """Listens at ``host``:``port`` (0 for any)."""

    def __init__(self, engine: Engine, host: str, port: int) -> None:
        self._engine = engine
        self._socket = socket.create_server((host, port))
        self.port: int = self._socket.getsockname()[1]

    def serve(self) -> None:
        """Take clients until :meth:`close`."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._client, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _client(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError):
            try:
                self._talk(connection)
            except ProtocolError as failed:
                connection.sendall(messages.error(failed))

    def _talk(self, connection: socket.socket) -> None:
        parser = messages.Parser()
        startup: messages.Startup | None = None
        while startup is None:
            first = parser.next_first()
            if first is None:
                data = connection.recv(_RECEIVE_BYTES)
                if not data:
                    return
                parser.feed(data)
            elif isinstance(first, messages.EncryptionRequest):
                connection.sendall(b"N")
            elif isinstance(first, messages.Startup):
                startup = first
            else:
                return
        parser.max_bytes = messages.MAX_MESSAGE_BYTES
        session = Session(self._engine, startup.parameters.get("user", ""), _forget)
        connection.sendall(messages.AUTHENTICATION_OK + b"".join(session.greet(1, secrets.token_bytes(4))))
        while True:
            message = parser.next()
            if message is None:
                data = connection.recv(_RECEIVE_BYTES)
                if not data:
                    return
                parser.feed(data)
            elif isinstance(message, messages.Terminate):
                return
            else:
                for piece in session.handle(message):
                    connection.sendall(piece)


def _forget(_: Running) -> None:
    return
