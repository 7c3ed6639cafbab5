"""What answers to an OTLP request mean, as the specification has it: one table for everything here that sends.

What comes in: statuses, codes, what came with them. What goes out: whether the request may be sent again, when, and
what a server said in words. Whoever sends adds rules of its own: how long it waits for what is wrong on the other side.
Pure: never talks to anybody, and raises at no answer, however odd. Standard library only, as agents that have no
OpenTelemetry use it too; what gRPC packs into protobuf is read with what gRPC's users have.
"""

from __future__ import annotations

import email.utils
import json
from datetime import timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_RETRY_AFTER_S = 300.0
"""A server that asks to be left alone for longer is asked again all the same."""

_HTTP_AGAIN = frozenset({408, 425, 429, 502, 503, 504})
"""OTLP/HTTP's "Retryable Response Codes", and two that say the same of what came too late or too early."""
_GRPC_AGAIN = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})
_GRPC_AGAIN_WHERE_TOLD_WHEN = frozenset({"RESOURCE_EXHAUSTED"})
"""Without ``RetryInfo`` the server does not expect to recover ("OTLP/gRPC Throttling")."""
_MAX_REASON = 200


def http_may_come_again(status: int) -> bool:
    """Whether a request that was answered with an HTTP ``status`` may be taken later."""
    return status in _HTTP_AGAIN


def grpc_may_come_again(code: str, *, is_told_when: bool) -> bool:
    """Whether a request may be taken later.

    Args:
        code: name of the gRPC status code.
        is_told_when: whether a ``RetryInfo`` came with it.
    """
    return code in _GRPC_AGAIN or (is_told_when and code in _GRPC_AGAIN_WHERE_TOLD_WHEN)


def retry_after_s(text: str | None, now_unix_s: float) -> float | None:
    """How long a ``Retry-After`` asks to be left alone, up to the bound; None where it cannot be read.

    Args:
        text: seconds or a date (RFC 9110, 10.2.3).
        now_unix_s: what a date is compared with.
    """
    if text is None:
        return None
    try:
        return _bounded(int(text))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:  # "-0000": nobody's zone, so UTC
        moment = moment.replace(tzinfo=timezone.utc)
    return _bounded(moment.timestamp() - now_unix_s)


def retry_info_s(metadata: Iterable[tuple[str, str | bytes]] | None) -> float | None:
    """How long a ``google.rpc.RetryInfo`` asks to be left alone, up to the bound; None where there is none.

    Args:
        metadata: the trailing metadata of a gRPC failure: it lies in the status's details or, as OpenTelemetry's own
            exporter looks for it, under its own key.
    """
    found = {key: value for key, value in metadata or () if isinstance(value, bytes)}
    alone, details = found.get("google.rpc.retryinfo-bin"), found.get("grpc-status-details-bin")
    if not alone and not details:
        return None
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - after a failure of gRPC alone
    from google.rpc import error_details_pb2, status_pb2  # noqa: PLC0415 - as above

    info = error_details_pb2.RetryInfo()
    try:
        if alone:
            info.ParseFromString(alone)
        elif not any(detail.Unpack(info) for detail in status_pb2.Status.FromString(details or b"").details):
            return None
    except DecodeError:
        return None
    return _bounded(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)


def said_in_json(body: bytes) -> tuple[int, str]:
    """Points that were not kept, and the message: of a partial success, or of a failure (``google.rpc.Status``).

    Nothing where it is neither.
    """
    try:
        content = json.loads(body)
        partial = content.get("partialSuccess") or {}
        reason = partial.get("errorMessage") or content.get("message") or ""
        return int(partial.get("rejectedDataPoints") or 0), short(str(reason))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return 0, ""


def short(reason: str) -> str:
    """What a server said, in one line that a log has room for."""
    return " ".join(reason.split())[:_MAX_REASON]


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S)
