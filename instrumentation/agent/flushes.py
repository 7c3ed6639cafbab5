"""Clients that wait until everything sampled so far was taken.

What comes in: a connection and how long it waits. What goes out: an `Answer` on it, once the collector has everything,
what waited on disk too, or the time is up. Never waits itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation import wire

if TYPE_CHECKING:
    from stepsize.instrumentation.agent.sender import Sender
    from stepsize.instrumentation.agent.server import Connection


@dataclass(frozen=True, slots=True)
class _Waiter:
    """Waits for everything up to ``batch``; of ``dropped_points`` an earlier flush has heard."""

    connection: Connection
    batch: int
    dropped_points: int
    deadline_s: float


class Flushes:
    """Flushes that are not answered yet.

    Args:
        sender: whose batches they wait for.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._waiters: list[_Waiter] = []
        self._told = 0

    @property
    def deadlines_s(self) -> list[float]:
        """Monotonic times at which those that wait are answered whatever has been taken."""
        return [waiter.deadline_s for waiter in self._waiters]

    def add(self, connection: Connection, timeout_s: float) -> None:
        """Answer once everything that the sender has been given by now is dealt with."""
        self._waiters.append(_Waiter(connection, self._sender.sealed, self._told, time.monotonic() + timeout_s))

    def answer(self) -> None:
        """Answer whoever need not wait any longer: points that were given up since the flush before are not well."""
        if not self._waiters:
            return
        now, settled, looked = time.monotonic(), self._sender.settled, self._sender.has_looked
        # In this order: whatever was dealt with has been counted as lost, or as spooled, before.
        spooled, dropped = self._sender.spooled_points, self._sender.losses.total
        waiting = []
        for waiter in self._waiters:
            taken = settled >= waiter.batch and looked and not spooled
            if taken or now >= waiter.deadline_s:
                ok = taken and dropped == waiter.dropped_points
                waiter.connection.answer(wire.Answer(ok=ok))
                self._told = dropped
            else:
                waiting.append(waiter)
        self._waiters = waiting
