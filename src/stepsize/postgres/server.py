"""The endpoint: who listens, who is served, and what watches over them.

What comes in: connections. What goes out: answers, until it is closed. A thread serves each client; one that stalls,
goes or sends garbage loses its connection, and nobody else anything. Bounded in connections, those that have not been
let in yet among them.
"""

from __future__ import annotations

import hmac
import secrets
import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.errors import ConfigError, UnavailableError
from stepsize.postgres.client import Client, Patience
from stepsize.postgres.errors import FatalError, SqlError
from stepsize.postgres.startup import Access

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.listening.tls import WatchedTls
    from stepsize.postgres import messages
    from stepsize.postgres.engine import Engine

_LOOK_S = 0.05
_SLOW_LOOK_S = 0.5
_STARTING = 32
"""So many connections more than are served may be on their way in."""
_END_S = 5.0
_STACK_BYTES = 16 << 20
"""DuckDB's parser goes as deep as a statement nests."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve.

    Attributes:
        host: the address to listen on.
        port: its port; 0 for any that is free.
        connections: how many clients at a time.
        access: who may come in.
        tls: what encrypts; None where nothing does.
        patience: how long clients may take.
        tell: takes lines for the operator.
        listener: a socket that listens already, in place of one on ``host`` and ``port``; others may hold it, too.
    """

    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 100
    access: Access = field(default_factory=Access)
    tls: WatchedTls | None = None
    patience: Patience = field(default_factory=Patience)
    tell: Callable[[str], None] = lambda _: None
    listener: socket.socket | None = None


class Server:
    """Listens from the start; serves in threads of its own from :meth:`start` to :meth:`close`.

    Raises:
        UnavailableError: the address is taken, or is none of this machine.
    """

    def __init__(self, engine: Engine, serving: Serving) -> None:
        self._engine = engine
        self._serving = serving
        self._socket = serving.listener or _listen(serving.host, serving.port)
        self._socket.setblocking(False)
        self._awake, self._waker = socket.socketpair()
        self.port: int = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self._clients: dict[int, tuple[Client, threading.Thread]] = {}
        self._admitted: set[int] = set()
        self._process = secrets.randbelow(1 << 20)
        self._is_closing = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def clients(self) -> int:
        """How many are connected and were let in."""
        return len(self._admitted)

    def start(self) -> None:
        """Serve, in threads."""
        for work in (self._accept, self._watch):
            thread = threading.Thread(target=work, name=f"postgres{work.__name__}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End all connections, what they run at once, and return when they have ended, or after some seconds."""
        self._is_closing.set()
        self._waker.send(b"\0")  # a shutdown would end the listening of whoever else holds the socket
        for thread in self._threads:
            thread.join(_END_S)
        for one in (self._socket, self._awake, self._waker):
            one.close()
        why = FatalError("57P01", "terminating connection due to administrator command")
        deadline_s = time.monotonic() + _END_S
        for client, _ in self._all():
            client.end(why)
        for client, thread in self._all():
            thread.join(max(0.0, deadline_s - time.monotonic()))
            if thread.is_alive():
                client.cut()
        self._engine.close()

    def _all(self) -> list[tuple[Client, threading.Thread]]:
        with self._lock:
            return list(self._clients.values())

    # -- clients -----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        with selectors.DefaultSelector() as comers:
            for one in (self._socket, self._awake):
                comers.register(one, selectors.EVENT_READ)
            while True:
                comers.select()
                if self._is_closing.is_set():
                    return
                self._accept_one()

    def _accept_one(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:  # it went at once
            return
        except OSError:
            self._is_closing.wait(_LOOK_S)  # too many open files
            return
        connection.setblocking(True)  # on some systems it is as the socket that it came from
        if len(self._clients) >= self._serving.connections + _STARTING:
            connection.close()
        else:
            self._welcome(connection)

    def _welcome(self, connection: socket.socket) -> None:
        serving = self._serving
        with self._lock:
            self._process = self._process % ((1 << 31) - 1) + 1
            number = self._process
            client = Client(connection, number, secrets.token_bytes(4), serving.patience, serving.access, serving.tls)
            thread = threading.Thread(target=self._serve, args=(client,), name=f"postgres-{number}", daemon=True)
            self._clients[number] = (client, thread)
        try:
            _start_deep(thread)
        except RuntimeError:  # the system has no thread left
            self._forget(client)
            connection.close()

    def _serve(self, client: Client) -> None:
        try:
            client.serve(self._engine, lambda: self._admit(client), self._cancel)
        finally:
            self._forget(client)

    def _forget(self, client: Client) -> None:
        with self._lock:
            self._clients.pop(client.process, None)
            self._admitted.discard(client.process)

    def _admit(self, client: Client) -> None:
        with self._lock:
            if self._is_closing.is_set():
                raise FatalError("57P03", "the database system is shutting down")
            if len(self._admitted) >= self._serving.connections:
                raise FatalError("53300", "sorry, too many clients already")
            self._admitted.add(client.process)

    def _cancel(self, request: messages.CancelRequest) -> None:
        with self._lock:
            found = self._clients.get(request.process)
        if found is not None and hmac.compare_digest(found[0].secret, request.secret):
            found[0].guard.stop(SqlError("57014", "canceling statement due to user request"))

    # -- watching ----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Stop what has had its time, what nobody waits for any more; and read certificates again that have changed."""
        looked_s = time.monotonic()
        while not self._is_closing.wait(_LOOK_S):
            is_slow_look = time.monotonic() - looked_s >= _SLOW_LOOK_S
            for client, _ in self._all():
                client.guard.look()
                if is_slow_look and client.guard.is_busy and client.is_gone():
                    client.guard.stop(SqlError("08006", "the client went"))
                if is_slow_look and self._is_late(client):
                    client.cut()
            if is_slow_look:
                looked_s = time.monotonic()
                self._renew()

    def _is_late(self, client: Client) -> bool:
        """Whether it should have been let in by now, however busily it sends."""
        is_in = client.process in self._admitted
        return not is_in and time.monotonic() - client.began_s > self._serving.patience.start_s

    def _renew(self) -> None:
        if self._serving.tls is not None and self._serving.tls.interval_s is not None:
            try:
                self._serving.tls.renew()
            except ConfigError as error:
                self._serving.tell(f"{error}; the certificate from before is still used")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise UnavailableError(f"cannot listen on {host}:{port}: {error.strerror}; give another --port") from None


_STARTING_THREADS = threading.Lock()


def _start_deep(thread: threading.Thread) -> None:
    """Start a thread with a stack that is deep enough for any statement that is taken."""
    with _STARTING_THREADS:
        before = threading.stack_size(_STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
