"""Why a request is not taken: each refusal with the bound that it broke, whether to send again, and how it is told.

What comes in: an error. What goes out: the HTTP status, the gRPC code and the seconds after which to send again. Pure.

The statuses are the OTLP specification's: what a client may send again is 503 and ``UNAVAILABLE`` with a time; what is
too large is 413 and ``RESOURCE_EXHAUSTED`` without one; what cannot be read is 400 and ``INVALID_ARGUMENT``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.collector.otlp import answer
from stepsize.errors import DataError, RetryableError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.errors import StepsizeError

MEMORY, IN_FLIGHT, DISK, QUEUE = "memory", "in_flight", "disk", "queue"
SIZE, POINTS, INVALID, ENCODING, CREDENTIALS = "size", "points", "invalid", "encoding", "credentials"
SIGNAL = "signal"
_SOONEST_S, _LATEST_S = 1, 5


class BusyError(UnavailableError):
    """A request is not taken now, because of one of the bounds above."""

    def __init__(self, message: str, bound: str) -> None:
        super().__init__(message)
        self.bound = bound


class TooLargeError(DataError):
    """A request is larger than a bound: of bytes, as it is sent or unpacked, or of points."""

    def __init__(self, message: str, bound: str = SIZE) -> None:
        super().__init__(message)
        self.bound = bound


class UnknownEncodingError(DataError):
    """A body is packed in a way that is not taken."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a request is turned away.

    Attributes:
        bound: what it broke, as metrics name it.
        http: the HTTP status.
        grpc: the code of google/rpc/code.proto.
        message: for the client's log.
        retry_after_s: after how long to send it again; None where that is of no use.
    """

    bound: str
    http: int
    grpc: int
    message: str
    retry_after_s: int | None = None


def refusal_of(error: StepsizeError, pick: Callable[[int, int], int] = random.randint) -> Refusal:
    """How a request that ended in ``error`` is turned away.

    Clients that are turned away together are told different times, so that they do not come back together.
    """
    message = str(error)
    if isinstance(error, RetryableError):
        bound = error.bound if isinstance(error, BusyError) else DISK
        return Refusal(bound, 503, answer.UNAVAILABLE, message, pick(_SOONEST_S, _LATEST_S))
    if isinstance(error, TooLargeError):
        return Refusal(error.bound, 413, answer.RESOURCE_EXHAUSTED, message)
    if isinstance(error, UnknownEncodingError):
        return Refusal(ENCODING, 415, answer.UNIMPLEMENTED, message)
    if isinstance(error, DataError):
        return Refusal(INVALID, 400, answer.INVALID_ARGUMENT, message)
    return Refusal("failure", 500, answer.INTERNAL, message)
