"""Whom a connection of HTTP/2 tells what its client wants, and how much that may be.

What comes in: nothing. What goes out: the seam between :class:`~stepsize.collector.http2.connection.Connection` and
whoever answers requests, and the bounds of a connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stepsize.collector.http2.headers import Head
    from stepsize.collector.http2.streams import Stream

STREAMS, MALFORMED, FRAMES = "streams", "invalid", "frames"
"""Bounds: requests at a time, what a request must be, what a connection may do."""


class Owner(Protocol):
    """Who answers the requests of one connection."""

    def began(self, stream: Stream, head: Head) -> None:
        """A request begins."""

    def came(self, stream: Stream, content: bytes) -> None:
        """Some of its content."""

    def ended(self, stream: Stream) -> None:
        """All of it has come."""

    def gone(self, stream: Stream) -> None:
        """It is over: its answer is sent, or nobody waits for one. Once for each that began."""

    def turned_away(self, bound: str) -> None:
        """A request that did not begin, or the connection, was ended because of :data:`STREAMS` or another bound."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a connection.

    Attributes:
        streams: requests that are under way at a time.
        ping_gap_s, pings_without_calls: see :class:`~stepsize.collector.http2.budget.Budget`.
    """

    streams: int = 1024
    ping_gap_s: float = 300.0
    pings_without_calls: bool = False
