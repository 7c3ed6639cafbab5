"""One client's connection: its socket, from the first byte to the last.

What comes in: a connected socket. What goes out: nothing; it returns when the connection is over, however it came to
be. Reads no further ahead than a message, and sends no faster than the client reads: what it asked for waits in DuckDB.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from stepsize.postgres import messages, startup
from stepsize.postgres.errors import FatalError, ProtocolError
from stepsize.postgres.guard import Guard
from stepsize.postgres.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stepsize.listening.tls import WatchedTls
    from stepsize.postgres.engine import Engine
    from stepsize.postgres.startup import Access

_RECEIVE_BYTES = 1 << 16
_SEND_BYTES = 1 << 18
_CLOSE_S = 1.0
_DRAINED_BYTES = 64 << 20
_TLS_HANDSHAKE = b"\x16"
_GONE = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)

Piece: TypeAlias = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take.

    Attributes:
        start_s: from its first byte until it was let in.
        message_s: to send the rest of a message that it has begun.
        send_s: to take anything at all of what it asked for.
        idle_s: between two messages.
        open_s: as ``idle_s``, while it has a transaction open.
    """

    start_s: float = 15.0
    message_s: float = 30.0
    send_s: float = 30.0
    idle_s: float = 3600.0
    open_s: float = 600.0


class Client:
    """A connection.

    Args:
        connection: the socket.
        process: its number, and ``secret`` what cancels it.
        patience: how long it may take.
        access: who may come in.
        tls: what encrypts it; None where nothing does.
        address: from where it comes.
    """

    def __init__(
        self,
        connection: socket.socket,
        process: int,
        secret: bytes,
        patience: Patience,
        access: Access,
        tls: WatchedTls | None,
        address: str,
    ) -> None:
        self._socket = connection
        self.process = process
        self.secret = secret
        self._patience = patience
        self._access = access
        self._tls = tls
        self.address = address
        self.began_s = time.monotonic()
        self.is_known = False
        """Whether it has said who it is."""
        self.is_served = False
        """Whether a thread does."""
        self.guard = Guard()
        self._parser = messages.Parser()
        self._waiting = bytearray()
        self._end: FatalError | None = None

    def serve(
        self, engine: Engine, admit: Callable[[], None], cancel: Callable[[messages.CancelRequest], None]
    ) -> None:
        """Until the connection is over.

        Args:
            engine: runs its statements.
            admit: counts it among those that were let in, or raises a `FatalError`.
            cancel: stops what another connection is doing.
        """
        self.is_served = True
        try:
            self._tune()
            self._talk(engine, admit, cancel)
        except FatalError as failed:
            self._say_last(self._end or failed)
            if self._parser.max_bytes == messages.MAX_MESSAGE_BYTES and self._parser.waiting_bytes:
                self._drain()
        except (OSError, ValueError):  # it went, or was sent away; ValueError: TLS that was shut meanwhile
            if self._end is not None:
                self._say_last(self._end)
        except MemoryError:
            self._say_last(FatalError("53200", "out of memory"))
        except Exception:
            self._say_last(FatalError("XX000", "this is a defect of stepsize; its log says more"))
            raise
        finally:
            self._close()

    def _drain(self) -> None:
        """Take what is on its way for a moment: a system that closes on unread bytes takes back what was said last."""
        with contextlib.suppress(OSError, ValueError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            self._socket.settimeout(_CLOSE_S)
            for _ in range(_DRAINED_BYTES // _RECEIVE_BYTES):
                if not self._socket.recv(_RECEIVE_BYTES):
                    return

    def _close(self) -> None:
        if isinstance(self._socket, ssl.SSLSocket):
            self._socket.settimeout(_CLOSE_S)
            with contextlib.suppress(OSError, ValueError):
                self._socket.unwrap()  # says that nothing was cut off
        with contextlib.suppress(OSError):
            self._socket.close()

    def _say_last(self, why: FatalError) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._send([messages.error(why)])

    def _tune(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, name):
                self._socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def _talk(
        self, engine: Engine, admit: Callable[[], None], cancel: Callable[[messages.CancelRequest], None]
    ) -> None:
        began = self._begin(cancel)
        if began is None:
            return
        self.is_known = True
        dialogue = startup.begin(began, self._access, is_encrypted=isinstance(self._socket, ssl.SSLSocket))
        try:
            answer = next(dialogue)
            while True:
                self._send([answer])
                answer = dialogue.send(self._next(self._patience.start_s))
        except StopIteration as ended:
            said, last = ended.value
        admit()
        self._parser.max_bytes = messages.MAX_MESSAGE_BYTES
        session = Session(engine, self.guard, said["user"], self.process, said)
        try:
            self._send([last, *session.greet(self.secret)])
            self._answer(session)
        finally:
            session.close()

    # -- the start ---------------------------------------------------------------------------------------------------

    def _begin(self, cancel: Callable[[messages.CancelRequest], None]) -> messages.Startup | None:
        """What the client begins with, once it is encrypted if it wants that; None where it wanted something else."""
        self._socket.settimeout(self._patience.start_s)
        if self._tls is not None and self._socket.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
            self._encrypt()  # without asking before, as newer clients may
        while True:
            first = self._parser.next_first()
            if first is None:
                self._receive(self._patience.start_s)
            elif isinstance(first, messages.EncryptionRequest):
                self._answer_encryption(first)
            elif isinstance(first, messages.CancelRequest):
                cancel(first)
                return None
            else:
                return first

    def _answer_encryption(self, request: messages.EncryptionRequest) -> None:
        is_possible = request.is_tls and self._tls is not None and not isinstance(self._socket, ssl.SSLSocket)
        if self._parser.waiting_bytes:  # somebody between us may have put it there
            raise ProtocolError("received unencrypted data after a request to encrypt")
        self._socket.sendall(b"S" if is_possible else b"N")
        if is_possible:
            self._encrypt()

    def _encrypt(self) -> None:
        if self._tls is not None:
            context = self._tls.context
            self._socket = wrapped = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            wrapped.do_handshake()  # once it is what others cut

    # -- messages ----------------------------------------------------------------------------------------------------

    def _answer(self, session: Session) -> None:
        while True:
            message = self._parser.next()
            if message is None:
                idle_s = self._patience.open_s if session.is_in_transaction else self._patience.idle_s
                message = self._next(idle_s)
            if isinstance(message, messages.Terminate):
                self._flush()
                return
            if self._end is not None:
                raise self._end
            self._send(session.handle(message), more=self._parser.waiting_bytes > 0)

    def _next(self, patience_s: float) -> messages.Message:
        """The next message, which has so long to begin."""
        self._flush()
        while (message := self._parser.next()) is None:
            is_begun = self._parser.waiting_bytes > 0
            self._receive(self._patience.message_s if is_begun else patience_s)
        return message

    def _receive(self, patience_s: float) -> None:
        """Some bytes more.

        Raises:
            FatalError: there were none for so long.
            OSError: the client went.
        """
        self._socket.settimeout(patience_s)
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            raise FatalError("57P05", f"terminating connection: nothing was sent for {patience_s:g} s") from None
        if not data:
            raise ConnectionResetError
        self._parser.feed(data)

    def _send(self, pieces: Iterable[Piece], *, more: bool = False) -> None:
        """Send what answers a message; with ``more``, small answers wait for those to the messages that are here."""
        for piece in pieces:
            if len(piece) > _SEND_BYTES:
                self._flush()
                self._send_all(memoryview(piece))
            else:
                self._waiting += piece
                if len(self._waiting) > _SEND_BYTES:
                    self._flush()
        if not more:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            self._send_all(memoryview(waiting))

    def _send_all(self, content: memoryview) -> None:
        self._socket.settimeout(self._patience.send_s)
        while content:
            sent = self._socket.send(content[:_SEND_BYTES])
            content = content[sent:]

    # -- from other threads ------------------------------------------------------------------------------------------

    def is_gone(self) -> bool:
        """Whether the client has hung up, as far as the system says without reading."""
        if not _GONE or not hasattr(select, "poll"):
            return False
        poll = select.poll()
        try:
            poll.register(self._socket.fileno(), _GONE)
        except (ValueError, OSError):
            return True
        return bool(poll.poll(0))

    def end(self, why: FatalError) -> None:
        """Have the connection end, with what runs."""
        self._end = why
        self.guard.stop(why)
        with contextlib.suppress(OSError):  # wakes who waits for bytes; not the method of TLS, which could not say more
            socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def cut(self) -> None:
        """Close the connection under whoever serves it."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
