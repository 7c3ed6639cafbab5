"""What the HTTP server hands to an application and takes from it, and the bounds of a server.

What comes in: nothing. What goes out: frozen values. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepsize.collector.access.neighbours import Ends


@dataclass(frozen=True, slots=True)
class Request:
    """One request; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    ends: Callable[[], Ends | None] = lambda: None
    """Which connection it came over, for who asks; None of what is no TCP."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of a server, in bytes and seconds."""

    max_header_bytes: int = 32 << 10
    max_body_bytes: int = 20 << 20
    read_timeout_s: float = 30.0
    read_header_timeout_s: float = 0.0
    """0 is the one above."""
    write_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    max_connections: int = 4096
    keep_alive: bool = True


def plain_refusal(_headers: Mapping[str, str], status: int, bound: str, reason: str) -> Response:  # noqa: ARG001 - the seam's
    """An answer in text to a request that the server itself turns away."""
    return Response(status, f"{reason}\n".encode(), headers=(("retry-after", "1"),) if status == 503 else ())
