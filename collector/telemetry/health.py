"""Whether a collector does its work: whether it lives, and whether it should be sent to.

What comes in: functions that say what is wrong, if anything. What goes out: the sum of them. Never changes anything.

*Alive* and *ready* are two questions. A collector whose disk is full or whose sink is behind is alive, and starting it
again would make nothing better; it is not ready, and a load balancer should send to another one meanwhile.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize.collector.wal.space import look

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from stepsize.collector.wal.limits import WalLimits
    from stepsize.collector.wal.writer import WalCounters

_REMEMBERED_S = 5.0
"""A failed write counts for so long: nobody would send to who is never ready again for want of requests."""


class Health:
    """What is asked; :attr:`ending` is set when the collector takes no more.

    Args:
        lag_s: how old the oldest points are that are on disk and not stored yet.
    """

    def __init__(self, lag_s: Callable[[], float]) -> None:
        self.ending = False
        self._lag_s = lag_s
        self._checks: dict[str, Callable[[], str | None]] = {}
        self._asides: dict[str, Callable[[], str | None]] = {}

    def add(self, name: str, check: Callable[[], str | None]) -> None:
        """Have ``check`` say why the collector is not ready, or None."""
        self._checks[name] = check

    def add_aside(self, name: str, check: Callable[[], str | None]) -> None:
        """Have ``check`` say what is wrong with something that nobody needs who sends points."""
        self._asides[name] = check

    def forgetting(self, name: str) -> Callable[[], Awaitable[None]]:
        """What takes back an aside."""

        async def forget() -> None:
            self._asides.pop(name, None)

        return forget

    @property
    def asides(self) -> dict[str, str]:
        """What is wrong, and no reason not to send here."""
        return {name: problem for name, check in self._asides.items() if (problem := check())}

    @property
    def is_alive(self) -> bool:
        """Whether it serves."""
        return not self.ending

    def problems(self, max_lag_s: float) -> dict[str, str]:
        """Why it should not be sent to, where points may wait ``max_lag_s`` for being stored; empty where it should."""
        found = {name: problem for name, check in self._checks.items() if (problem := check())}
        if self.ending:
            found["collector"] = "it is about to end"
        if (lag_s := self._lag_s()) > max_lag_s:
            found["lag"] = f"points of {lag_s:.0f} s ago are not stored yet"
        return found


def log_check(
    directory: Path, limits: WalLimits, counters: WalCounters, clock_s: Callable[[], float] = time.monotonic
) -> Callable[[], str | None]:
    """Whether the write-ahead log in ``directory`` can take requests: it has room, and no write has just failed."""
    seen, failed_s = 0, float("-inf")

    def check() -> str | None:
        nonlocal seen, failed_s
        now_s = clock_s()
        if counters.failed_syncs > seen:
            seen, failed_s = counters.failed_syncs, now_s
        if now_s - failed_s < _REMEMBERED_S:
            return "the write-ahead log could not be written a moment ago"
        try:
            room = look(directory, limits)
        except OSError as error:
            return f"{directory} cannot be read: {error.strerror}"
        return room.reason if room.left_bytes <= 0 else None

    return check
