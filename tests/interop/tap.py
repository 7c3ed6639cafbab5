"""A relay between a client and a server that keeps what the client says, byte for byte.

What comes in: where the server is. What goes out: an address to give to the client, and the requests that came by. The
bytes go on unchanged, so that the two talk to each other as they would without it; a server that is down is down here
too.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.interop.sent import Sent, requests_in


class Tap:
    """Listens on the loopback until it is closed.

    Attributes:
        deaf: while it is set, clients hear nothing of what the server says.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.deaf = threading.Event()
        self._streams: list[bytearray] = []
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    @property
    def address(self) -> str:
        """``HOST:PORT`` for the client."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def sent(self) -> list[Sent]:
        """The complete requests so far, connection by connection."""
        return [sent for stream in list(self._streams) for sent in requests_in(bytes(stream))]

    def close(self) -> None:
        """End every connection."""
        for open_socket in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                stream = bytearray()
                self._streams.append(stream)
                self._sockets += [client, server]
                for way in ((client, server, stream.extend), (server, client, None)):
                    thread = threading.Thread(target=self._copy, args=way, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _copy(self, source: socket.socket, target: socket.socket, keep: Callable[[bytes], None] | None) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                if keep:
                    keep(content)  # before it goes on: who sees the answer finds the question here
                elif self.deaf.is_set():
                    continue
                target.sendall(content)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
