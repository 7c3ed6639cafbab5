"""What is handed over to a collector, and what its answer means.

What comes in: HTTP statuses, gRPC codes, what they say of when to come back. What goes out: an `Answer`. Pure: never
talks to anybody. Standard library only, as agents that have no OpenTelemetry use it too.

Which answers are permanent is the OTLP specification's (`stepsize.otlp_answers`), with two additions. An answer about
who asks or where (a wrong token, a wrong path) says nothing against the points: somebody may put it right while they
wait. And a server that broke while it handled a request may have been broken by it: that request is tried a few times.
"""

from __future__ import annotations

import enum
import gzip
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stepsize.otlp_answers import grpc_may_come_again, http_may_come_again, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMPRESSIONS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, 6, mtime=0),
    "deflate": zlib.compress,
}
"""How a body is compressed, by the name that ``Content-Encoding`` gives it."""


class Encoding(enum.Enum):
    """How a request is written down: its value is the content type of OTLP/HTTP."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"

    @property
    def suffix(self) -> str:
        """Of a file with such a request in it, which is compressed."""
        return ".pb.gz" if self is Encoding.PROTOBUF else ".json.gz"


@dataclass(frozen=True, slots=True)
class Request:
    """An `ExportMetricsServiceRequest` as it is sent, and sent again: byte for byte, so that a collector that has taken
    it already can tell.

    Attributes:
        body: not compressed.
        points: how many points it holds.
        encoding: what ``body`` is.
    """

    body: bytes
    points: int
    encoding: Encoding = Encoding.PROTOBUF


class Delivery(enum.Enum):
    """What became of a request."""

    TAKEN = "taken"
    LATER = "later"
    """May be taken if it is sent again."""
    FAULT = "fault"
    """The server broke; should it break each time, it is the request's doing."""
    BARRED = "barred"
    """Not taken from us or not there, whatever it holds: kept until somebody has put that right."""
    TOO_LARGE = "too large"
    """A part of it may be taken."""
    REFUSED = "refused"
    """Will be refused however often it is sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination said.

    Attributes:
        delivery: what became of the request.
        reason: for the log; empty where all is well.
        retry_after_s: seconds for which the destination asked to be left alone.
        rejected_points: points of a taken request that were not kept.
    """

    delivery: Delivery
    reason: str = ""
    retry_after_s: float | None = None
    rejected_points: int = 0


class Destination(Protocol):
    """Where requests go. Called from the sender's thread alone; may block."""

    def send(self, request: Request) -> Answer:
        """Send once; never raises, never tries again by itself."""

    def close(self) -> None:
        """Let go of whatever it holds."""


_BARRED_STATUSES = frozenset({401, 402, 403, 404, 405, 407, 421, 451, 501, 505, 511})
_BARRED_CODES = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"})
_FAULT_CODES = frozenset({"INTERNAL", "UNKNOWN"})
_TOO_LARGE_MARKS = ("larger than max", "exceeds maximum size", "message too large")
"""How gRPC's own implementations (C++, Go, Java) word the RESOURCE_EXHAUSTED of a message beyond their bound."""


def of_http(
    status: int, *, retry_after: str | None, now_unix_s: float, rejected_points: int = 0, reason: str = ""
) -> Answer:
    """What an HTTP answer means.

    Args:
        status: its status.
        retry_after: its ``Retry-After``, if any: seconds or a date (RFC 9110, 10.2.3).
        now_unix_s: what a date is compared with.
        rejected_points: as its partial success says.
        reason: what it said.
    """
    if 200 <= status < 300:
        return Answer(Delivery.TAKEN, reason, rejected_points=rejected_points)
    said = f"HTTP {status} {reason}".rstrip()
    if status == 413:
        return Answer(Delivery.TOO_LARGE, said)
    if http_may_come_again(status):
        return Answer(Delivery.LATER, said, retry_after_s(retry_after, now_unix_s))
    if status in _BARRED_STATUSES or status < 400:
        return Answer(Delivery.BARRED, said)
    return Answer(Delivery.FAULT if status >= 500 else Delivery.REFUSED, said)


def of_grpc(code: str, details: str, retry_delay_s: float | None) -> Answer:
    """What a gRPC failure means.

    Args:
        code: name of its status code.
        details: its message.
        retry_delay_s: of its ``RetryInfo``, if any: a server that sends one will have recovered by then.
    """
    said = f"gRPC {code} {details}".rstrip()
    if code == "RESOURCE_EXHAUSTED" and any(mark in details.lower() for mark in _TOO_LARGE_MARKS):
        return Answer(Delivery.TOO_LARGE, said)
    if grpc_may_come_again(code, is_told_when=retry_delay_s is not None):
        return Answer(Delivery.LATER, said, retry_delay_s)
    if code in _BARRED_CODES:
        return Answer(Delivery.BARRED, said)
    return Answer(Delivery.FAULT if code in _FAULT_CODES else Delivery.REFUSED, said)
