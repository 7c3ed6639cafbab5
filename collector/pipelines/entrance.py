"""A receiver's way into the pipelines, which can be led elsewhere while requests come.

What comes in: requests, checked. What goes out: records in logs. A request that is on its way when the entrance is led
elsewhere ends where it was going.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from stepsize.collector.server.refusals import QUEUE, BusyError
from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.collector.pipelines.fanout import Appender

_LOOK_S = 0.25


class Way:
    """Where an entrance leads, and how many requests are on it."""

    def __init__(self, target: Appender | None) -> None:
        self.target = target
        self.under_way = 0
        self._settled = asyncio.Event()

    def leave(self) -> None:
        """One request has ended."""
        self.under_way -= 1
        if not self.under_way:
            self._settled.set()

    async def settled(self) -> None:
        """Return once no request is on it, where none begins any more."""
        if self.under_way:
            self._settled.clear()
            await self._settled.wait()


class Entrance:
    """One receiver's."""

    def __init__(self) -> None:
        self._way = Way(None)
        self._gates: Sequence[Callable[[], str | None]] = ()

    def lead(self, target: Appender | None, gates: Sequence[Callable[[], str | None]]) -> Way:
        """Have requests go to ``target`` from now on, unless one of ``gates`` says why not; returns the way before."""
        before, self._way = self._way, Way(target)
        self._gates = gates
        return before

    def closed(self) -> str | None:
        """Why nothing can be taken now, or None.

        Raises:
            BusyError: a queue is full.
        """
        for gate in self._gates:
            if reason := gate():
                return reason
        return None

    async def append(self, request: bytes) -> None:
        """Return once ``request`` is durable wherever it goes.

        Raises:
            UnavailableError: it is not; sending it again is safe.
        """
        way = self._way
        if way.target is None:
            raise UnavailableError("the collector's configuration has just changed; send again")
        way.under_way += 1
        try:
            await way.target.append(request)
        finally:
            way.leave()


def queue_gate(
    exporter: str, max_bytes: int, waiting: Callable[[], int], clock_s: Callable[[], float] = time.monotonic
) -> Callable[[], str | None]:
    """A gate that is closed while more than ``max_bytes`` wait for an exporter; looks a few times a second.

    It raises `BusyError`, with the bound's name, rather than to say why.
    """
    next_look_s = -1.0
    full = False

    def gate() -> str | None:
        nonlocal next_look_s, full
        now_s = clock_s()
        if now_s >= next_look_s:
            next_look_s = now_s + _LOOK_S
            full = waiting() > max_bytes
        if full:
            raise BusyError(f"the queue of exporter {exporter} is full; send again later", QUEUE)
        return None

    return gate
