"""How an agent stops being found without losing anybody who has found it.

What comes in: the socket's path and the server that listens on it. What goes out: whether the agent may end. Never
takes away a socket that another agent has put in its place.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from stepsize.instrumentation import rendezvous

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.instrumentation.agent.server import Server

_LOCK_S = 1.0

_log = logging.getLogger(__name__)


class Retirement:
    """The socket's name, for as long as it is this agent's."""

    def __init__(self, path: Path, server: Server) -> None:
        self._path = path
        self._server = server
        self._inode = _inode(path)

    def retire(self) -> bool:
        """Stop being found, unless somebody has just come; whether to end."""
        try:
            with rendezvous.locked(self._path, time.monotonic() + _LOCK_S):
                if not self._is_ours():
                    return True  # somebody took the file away and another agent has the name
                rendezvous.withdraw(self._path, self._server.listener)
                came = self._server.accept()
                self._server.forget_listener()
                if not came:
                    return True
                listener = rendezvous.listen(self._path)
                self._inode = _inode(self._path)
                self._server.listen_on(listener)
        except FileNotFoundError:
            return not self._server.accept()  # somebody removed the directory: nobody can come any more
        except OSError as error:
            _log.debug("not now: %s", error)
        return False

    def leave(self) -> None:
        """Give the name up whoever may come: they start another agent."""
        with contextlib.suppress(OSError), rendezvous.locked(self._path, time.monotonic() + _LOCK_S):
            if self._is_ours():
                self._path.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        return self._inode is not None and _inode(self._path) == self._inode


def _inode(path: Path) -> int | None:
    """Which file has the socket's name; ``None`` where none has."""
    try:
        return path.stat().st_ino
    except OSError:
        return None
