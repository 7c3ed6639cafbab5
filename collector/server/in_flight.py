"""How many bytes of requests a collector holds at once: those that arrive, are checked, and wait for the disk.

What comes in: sizes. What goes out: whether there is room. Never waits: who finds no room is told to come later.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from stepsize.collector.server.refusals import IN_FLIGHT, BusyError

if TYPE_CHECKING:
    from collections.abc import Iterator


class InFlight:
    """The room; ``limit_bytes`` 0 is no bound."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Use so much of it; :meth:`give` it back.

        Raises:
            BusyError: there is not so much left.
        """
        if self._limit_bytes and self.used_bytes + size_bytes > self._limit_bytes:
            raise BusyError("the collector holds as many requests as it may; send again later", IN_FLIGHT)
        self.used_bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """Give so much back."""
        self.used_bytes -= size_bytes

    @contextlib.contextmanager
    def held(self, size_bytes: int) -> Iterator[None]:
        """:meth:`take` while the block runs."""
        self.take(size_bytes)
        try:
            yield
        finally:
            self.give(size_bytes)
