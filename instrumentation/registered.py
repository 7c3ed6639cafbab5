"""Which attempts this process is: its registrations that have not ended, oldest first.

What comes in: registrations as they begin and end. What goes out: the one that something said of "the attempt" is
about. This is the one piece of state that the client keeps for the process as a whole: a process is what it is
registered as, whoever did so. Never does I/O. Standard library only.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.instrumentation.client import Registration

_lock = threading.Lock()
_live: list[Registration] = []


def add(registration: Registration) -> None:
    """It begins."""
    with _lock:
        _live.append(registration)


def remove(registration: Registration) -> None:
    """It ends; one that is not there has ended before."""
    with _lock:
        _live[:] = [each for each in _live if each is not registration]


def oldest() -> Registration | None:
    """The registration that has been live for longest: the step or command that all others are a part of."""
    with _lock:
        return _live[0] if _live else None
