"""Which attempts this process is: its registrations that have not ended, oldest first.

What comes in: registrations as they begin and end. What goes out: the one that something said of "the attempt" is
about. This is the one piece of state that the client keeps for the process as a whole: a process is what it is
registered as, whoever did so. Never does I/O. Standard library only.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.instrumentation.client import Registration

# Without a lock: each change is one operation of the list, and a fork would keep a lock that another thread held.
_live: list[Registration] = []


def add(registration: Registration) -> None:
    """It begins."""
    _live.append(registration)


def remove(registration: Registration) -> None:
    """It ends; one that is not there has ended before."""
    with contextlib.suppress(ValueError):
        _live.remove(registration)


def oldest() -> Registration | None:
    """The registration that has been live for longest: the step or command that all others are a part of."""
    return next(iter(_live), None)
