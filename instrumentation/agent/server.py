"""The agent's socket: who may speak, and what they say.

What comes in: the listening socket. What goes out: messages, each with the pid of who sent it and the pidfd that came
with it. Never blocks. Whoever is not this user is turned away (``SO_PEERCRED``), though the directory of the socket
should have kept them out.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import socket
import struct
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.errors import DataError
from stepsize.instrumentation import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

_UCRED = struct.Struct("3i")  # pid, uid, gid
_LOCAL_PEERPID = 2  # macOS, <sys/un.h>
_READ_BYTES = 1 << 16
_MAX_HANDLES = 4

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A message, who sent it, and the descriptors that came with it, now the receiver's to close."""

    message: wire.Message
    connection: Connection
    handles: tuple[int, ...]


class Connection:
    """One client."""

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self.channel = channel
        self.pid = pid
        self.instance_key: tuple[str, int] | None = None
        """The attempt that this client last registered."""
        self._pending = bytearray()
        self._handles: deque[int] = deque()

    def answer(self, message: wire.Message) -> None:
        """Say something back; a client that is gone does not hear it."""
        with contextlib.suppress(OSError):
            self.channel.sendall(wire.encode(message))

    def read(self) -> tuple[list[bytes], bool]:
        """The whole lines that have come, and whether the client is still there."""
        lines: list[bytes] = []
        while True:
            try:
                content, handles, _, _ = socket.recv_fds(
                    self.channel, _READ_BYTES, _MAX_HANDLES, getattr(socket, "MSG_CMSG_CLOEXEC", 0)
                )
            except BlockingIOError:
                return lines, True
            except OSError:
                return lines, False
            self._handles.extend(handles)
            if not content:
                return lines, False
            self._pending += content
            *complete, rest = bytes(self._pending).split(b"\n")
            lines += complete
            self._pending[:] = rest
            if len(rest) > wire.MAX_LINE_BYTES:
                return lines, False

    def take_handles(self) -> tuple[int, ...]:
        """The descriptors that have come so far."""
        handles = tuple(self._handles)
        self._handles.clear()
        return handles

    def close(self) -> None:
        """Hang up."""
        for handle in self.take_handles():
            os.close(handle)
        self.channel.close()


class Server:
    """Accepts clients and takes their messages."""

    def __init__(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._connections: dict[Connection, None] = {}  # in the order in which they came
        self.is_full = False
        """Whether somebody waits for whom there is no descriptor: the selector, which would not rest, is not told."""
        self.listener = listener
        self.listen_on(listener)

    def listen_on(self, listener: socket.socket) -> None:
        """Accept from this socket from now on."""
        listener.setblocking(False)
        self.listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def forget_listener(self) -> None:
        """Accept no more."""
        if not self.is_full:
            self._selector.unregister(self.listener)
        self.is_full = False
        self.listener.close()

    @property
    def busy(self) -> bool:
        """Whether a client is connected."""
        return bool(self._connections)

    def receive(self) -> Iterator[Received]:
        """Everything that has been said by now, in the order in which clients came; waits for nothing."""
        self.accept()
        for connection in list(self._connections):
            lines, open_ = connection.read()
            for line in lines:
                with contextlib.suppress(DataError):
                    message = wire.decode(line)
                    handles = connection.take_handles() if isinstance(message, wire.Register | wire.Record) else ()
                    yield Received(message, connection, handles)
            if not open_:
                self._drop(connection)

    def accept(self) -> int:
        """Let in whoever is waiting; how many there were."""
        if self.is_full:
            self.is_full = False
            self._selector.register(self.listener, selectors.EVENT_READ)
        count = 0
        while True:
            try:
                channel, _ = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                return count
            except OSError as error:  # out of descriptors, or withdrawn with nobody waiting
                _log.debug("cannot accept: %s", error)
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.is_full = True
                    self._selector.unregister(self.listener)
                return count
            count += 1
            pid, uid = _peer(channel)
            if uid is not None and uid != os.getuid():
                _log.warning("user %d was turned away", uid)
                channel.close()
                continue
            channel.setblocking(False)
            connection = Connection(channel, pid)
            self._connections[connection] = None
            self._selector.register(channel, selectors.EVENT_READ)

    def _drop(self, connection: Connection) -> None:
        del self._connections[connection]
        self._selector.unregister(connection.channel)
        connection.close()


def _peer(channel: socket.socket) -> tuple[int, int | None]:
    """Pid (0: unknown) and user of the other end."""
    if hasattr(socket, "SO_PEERCRED"):
        pid, uid, _ = _UCRED.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return pid, uid
    try:
        return channel.getsockopt(0, _LOCAL_PEERPID), None
    except OSError:
        return 0, None
