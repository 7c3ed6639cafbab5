"""Which `stepsize.track` surrounds the code that asks: one for each thread and each task of asyncio.

What comes in: handles as their blocks are entered and left. What goes out: the innermost one that is live. Never does
I/O. Standard library only.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.api.tracked import Tracked
    from stepsize.instrumentation.client import Registration

_entered: ContextVar[tuple[Tracked, ...]] = ContextVar("stepsize_entered", default=())


def enter(tracked: Tracked) -> None:
    """Its block begins here."""
    _entered.set((*_entered.get(), tracked))


def leave(tracked: Tracked) -> None:
    """Its block is over."""
    _entered.set(tuple(each for each in _entered.get() if each is not tracked))


def entered() -> tuple[Tracked, ...]:
    """The handles whose blocks surround this code, the innermost first."""
    return _entered.get()[::-1]


def current() -> Tracked | None:
    """The handle of the innermost `stepsize.track` around this code, in this thread or task; ``None`` outside."""
    return next((tracked for tracked in entered() if tracked.running), None)


def registration() -> Registration | None:
    """Under what the innermost one was registered."""
    tracked = current()
    return None if tracked is None else tracked.registration
