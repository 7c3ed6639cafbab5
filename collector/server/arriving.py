"""A request while an HTTP connection reads it.

What comes in: parts, as the parser finds them. What goes out: the request when it is whole. Never does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from stepsize.collector.server.http_messages import Request, Response
    from stepsize.collector.server.in_flight import InFlight


@dataclass(slots=True)
class Arriving:
    """A request that is being read."""

    method: str = ""
    url: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    header_bytes: int = 0
    headers_complete: bool = False
    begun: bool = False
    size_bytes: int = 0
    body: list[bytes] = field(default_factory=list)
    body_bytes: int = 0
    admission: asyncio.Future[Response | None] | None = None

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits to be told to send the body."""
        return self.headers.get("expect", "").lower() == "100-continue"

    def give_back(self, in_flight: InFlight) -> None:
        """Its body takes no more room."""
        in_flight.give(self.body_bytes)
        self.body_bytes = 0

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        if self.admission is not None:
            self.admission.cancel()


@dataclass(slots=True)
class Arrived:
    """A request that is there, and what it was read into."""

    request: Request
    arriving: Arriving


class RefusedError(Exception):
    """Ends the parsing of a request that will not be taken."""

    def __init__(self, status: int, bound: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.bound = bound
        self.reason = reason
