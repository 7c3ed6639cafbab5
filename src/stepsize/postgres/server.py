"""The endpoint: who listens, who is served, and what watches over them.

What comes in: connections. What goes out: answers, until it is closed. A thread serves each client; one that stalls,
goes or sends garbage loses its connection, and nobody else anything. Bounded in connections
(`places`) and, where the process is for nothing else, in memory (`ceiling`).
"""

from __future__ import annotations

import _thread
import contextlib
import hmac
import secrets
import selectors
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.errors import ConfigError, UnavailableError
from stepsize.postgres import messages
from stepsize.postgres.ceiling import Ceiling
from stepsize.postgres.client import Client, Patience
from stepsize.postgres.errors import FatalError, SqlError
from stepsize.postgres.places import Places, too_many
from stepsize.postgres.startup import Access

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.listening.tls import WatchedTls
    from stepsize.postgres.engine import Engine

_LOOK_S = 0.05
_SLOW_LOOK_S = 0.5
_END_S = 5.0
_CUT_S = 1.0
_STACK_BYTES = 16 << 20
"""DuckDB's parser goes as deep as a statement nests."""
_ROOM_BYTES = _STACK_BYTES + (1 << 20)
"""For one client more."""


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
        more_bytes: see :class:`~stepsize.postgres.ceiling.Ceiling`.
        listener: a socket that listens already, in place of one on ``host`` and ``port``; others may hold it, too.
    """

    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 100
    access: Access = field(default_factory=Access)
    tls: WatchedTls | None = None
    patience: Patience = field(default_factory=Patience)
    tell: Callable[[str], None] = lambda _: None
    more_bytes: int | None = None
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
        self._places = Places(serving.connections)
        self._ceiling = Ceiling(serving.more_bytes)
        self._process = secrets.randbelow(1 << 20)
        self._is_closing = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def clients(self) -> int:
        """How many are connected and were let in."""
        return self._places.admitted

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
        for client in self._places.all():
            client.end(why)
        deadline_s = time.monotonic() + _END_S
        while not (is_over := self._places.wait_empty(_LOOK_S)) and time.monotonic() < deadline_s:
            for client in self._places.all():
                client.guard.look()  # an interrupt before DuckDB has begun is lost
        if not is_over:
            for client in self._places.all():
                client.cut()
            if not self._places.wait_empty(_CUT_S):
                return  # a function that hears no interrupt uses the instance still: it ends with the process
        self._engine.close()

    # -- clients -----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        with selectors.DefaultSelector() as comers:
            for one in (self._socket, self._awake):
                comers.register(one, selectors.EVENT_READ)
            while True:
                comers.select()
                if self._is_closing.is_set():
                    return
                with contextlib.suppress(MemoryError):  # whoever has taken it all is told so, and others may come again
                    self._accept_one()

    def _accept_one(self) -> None:
        try:
            connection, address = self._socket.accept()
        except BlockingIOError:  # it went at once
            return
        except OSError:
            self._is_closing.wait(_LOOK_S)  # too many open files
            return
        connection.setblocking(True)  # on some systems it is as the socket that it came from
        if self._places.is_crowded:
            _refuse(connection)
        else:
            self._welcome(connection, str(address[0]))

    def _welcome(self, connection: socket.socket, address: str) -> None:
        serving = self._serving
        self._process = self._process % ((1 << 31) - 1) + 1
        secret = secrets.token_bytes(4)
        client = Client(connection, self._process, secret, serving.patience, serving.access, serving.tls, address)
        if (other := self._places.take(client)) is not None:
            other.end(too_many())
        self._ceiling.renew(_ROOM_BYTES)
        try:
            _start_deep(lambda: self._serve(client))
        except RuntimeError:  # the system has no thread left
            self._places.leave(client)
            _refuse(connection)

    def _serve(self, client: Client) -> None:
        try:
            client.serve(self._engine, lambda: self._admit(client), self._cancel)
        except Exception:  # noqa: BLE001 - a defect, which is told as that of any thread
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), None)))
        finally:
            self._places.leave(client)

    def _admit(self, client: Client) -> None:
        if self._is_closing.is_set():
            raise FatalError("57P03", "the database system is shutting down")
        self._places.admit(client)

    def _cancel(self, request: messages.CancelRequest) -> None:
        found = self._places.client(request.process)
        if found is not None and hmac.compare_digest(found.secret, request.secret):
            found.guard.stop(SqlError("57014", "canceling statement due to user request"))

    # -- watching ----------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Stop what has had its time, what nobody waits for any more; and read certificates again that have changed."""
        looked_s = time.monotonic()
        while not self._is_closing.wait(_LOOK_S):
            is_slow_look = time.monotonic() - looked_s >= _SLOW_LOOK_S
            with contextlib.suppress(MemoryError):
                self._ceiling.renew()
                self._look(also_slowly=is_slow_look)
            if is_slow_look:
                looked_s = time.monotonic()

    def _look(self, *, also_slowly: bool) -> None:
        for client in self._places.all():
            client.guard.look()
            if also_slowly and client.guard.is_busy and client.is_gone():
                client.guard.stop(SqlError("08006", "the client went"))
        if also_slowly:
            self._send_late_away()
            self._renew()

    def _send_late_away(self) -> None:
        """Whoever should have been let in by now, however busily it sends; and whom no thread serves."""
        now_s = time.monotonic()
        for client in self._places.starting():
            if now_s - client.began_s > self._serving.patience.start_s:
                client.cut()
                if not client.is_served:
                    self._places.leave(client)

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


def _refuse(connection: socket.socket) -> None:
    """Say that there is no place, as far as that can be said at once."""
    with contextlib.suppress(OSError):
        connection.send(messages.error(too_many()))
    connection.close()


_STARTING_THREADS = threading.Lock()


def _start_deep(work: Callable[[], None]) -> None:
    """Start a thread with a stack that is deep enough for any statement that is taken.

    Not by `threading.Thread`, whose ``start`` waits for ever where the thread finds no memory to begin with.

    Raises:
        RuntimeError: there is none.
    """
    with _STARTING_THREADS:
        before = threading.stack_size(_STACK_BYTES)
        try:
            _thread.start_new_thread(work, ())
        finally:
            threading.stack_size(before)
