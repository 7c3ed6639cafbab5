"""Where client and agent meet: the agent's socket, and the lock that whoever makes or removes it holds.

What comes in: the socket's path and a deadline on the monotonic clock. What goes out: connections, listening sockets,
the lock. Never waits longer than it was told. Standard library only: it is imported inside the user's process.

A socket file outlives its listener, so only a connection says whether somebody is there. Whoever is refused takes the
lock, looks again, and replaces the file; whoever stops listening takes the lock, removes the file and serves those
that had already got through (`withdraw`). So two agents never serve one path, and nobody is left talking to none.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RETRY_S = 0.001
_BACKLOG = 4096  # the kernel caps it at net.core.somaxconn


def connect(path: Path, deadline: float) -> socket.socket | None:
    """A connection, or ``None`` where nobody listens.

    Raises:
        TimeoutError: somebody listens but takes no more connections.
    """
    if not hasattr(socket, "AF_UNIX"):
        return None  # Python has none on Windows, so nobody can listen
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(RETRY_S, deadline - time.monotonic()))
            connection.connect(os.fspath(path))
        except BlockingIOError:
            connection.close()  # the backlog is full
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} takes no more connections") from None
            time.sleep(RETRY_S)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except BaseException:
            connection.close()
            raise
        else:
            return connection


@contextlib.contextmanager
def locked(path: Path, deadline: float) -> Iterator[None]:
    """Hold the lock that whoever makes or removes the agent's socket holds.

    Raises:
        TimeoutError: somebody else held it for too long.
    """
    import fcntl  # noqa: PLC0415 - absent on Windows

    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # a user's umask may have left nothing, and then nobody could open it again
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{path} is locked") from None
                time.sleep(RETRY_S)
        yield
    finally:
        os.close(descriptor)


def listen(path: Path) -> socket.socket:
    """Listen on ``path``, in place of a socket that nobody listens on any more."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)  # whatever the umask: its user, and nobody else
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def adopt(path: Path, listener: socket.socket, deadline: float) -> socket.socket | None:
    """What an agent that was handed ``listener`` is to listen on; ``None`` where another one serves ``path``.

    It is another socket where the agent before it had withdrawn the one that both were handed, and was killed after.

    Raises:
        OSError: there is no other to be had.
    """
    if not _is_withdrawn(listener):
        return listener
    with locked(path, deadline):
        connection = connect(path, deadline)
        if connection is not None:
            connection.close()
            return None
        return listen(path)


def _is_withdrawn(listener: socket.socket) -> bool:
    poll = select.poll()
    poll.register(listener, select.POLLRDHUP if hasattr(select, "POLLRDHUP") else select.POLLHUP)
    return bool(poll.poll(0))


def withdraw(path: Path, listener: socket.socket) -> None:
    """Stop being found; connections that got through can still be accepted, and nobody else gets through.

    The caller holds the lock. Shutting down comes after unlinking: a client that had found the socket by then is
    refused by the kernel instead of being queued where nobody accepts (unix_stream_connect checks RCV_SHUTDOWN).
    """
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RD)
