"""A receiver's way into the pipelines, which can be led elsewhere while requests come.

What comes in: requests, checked. What goes out: records in logs. A request that is on its way when the entrance is led
elsewhere ends where it was going.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize.collector.server.refusals import QUEUE, BusyError
from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.collector.pipelines.fanout import Appender

_LOOK_S = 0.25


class Entrance:
    """One receiver's."""

    def __init__(self) -> None:
        self._target: Appender | None = None
        self._gates: Sequence[Callable[[], str | None]] = ()

    def lead(self, target: Appender | None, gates: Sequence[Callable[[], str | None]]) -> None:
        """Have requests go to ``target`` from now on, unless one of ``gates`` says why not."""
        self._target = target
        self._gates = gates

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
        if self._target is None:
            raise UnavailableError("the collector's configuration has just changed; send again")
        await self._target.append(request)


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
