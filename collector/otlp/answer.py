"""What a receiver answers, in the encoding of the request.

What comes in: an outcome. What goes out: bytes of ``ExportMetricsServiceResponse`` or ``google.rpc.Status``. Never does
I/O. The status codes are those of the OTLP specification ("Failures", "OTLP/HTTP Response").
"""

from __future__ import annotations

import json
from typing import Any

from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 3, 4, 8
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 12, 13, 14, 16
"""Codes of google/rpc/code.proto."""
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"


def success(rejected_points: int, reason: str) -> Any:
    """The response to a request of which ``rejected_points`` were not kept; a reason alone is a warning."""
    response = ExportMetricsServiceResponse()
    if rejected_points or reason:
        response.partial_success.rejected_data_points = rejected_points
        response.partial_success.error_message = reason
    return response


def success_json(rejected_points: int, reason: str) -> bytes:
    """:func:`success` in OTLP's JSON."""
    if not rejected_points and not reason:
        return b"{}"
    return json.dumps({"partialSuccess": {"rejectedDataPoints": str(rejected_points), "errorMessage": reason}}).encode()


def status(code: int, message: str, retry_after_s: int | None = None) -> Any:
    """A ``google.rpc.Status``, with when to try again where that makes sense."""
    made = status_pb2.Status(code=code, message=message)
    if retry_after_s is not None:
        details = error_details_pb2.RetryInfo()
        details.retry_delay.seconds = retry_after_s
        made.details.add().Pack(details)
    return made


def status_json(code: int, message: str, retry_after_s: int | None = None) -> bytes:
    """:func:`status` in JSON (protobuf's mapping of ``Any`` and ``Duration``)."""
    made: dict[str, Any] = {"code": code, "message": message}
    if retry_after_s is not None:
        made["details"] = [{"@type": _RETRY_INFO, "retryDelay": f"{retry_after_s}s"}]
    return json.dumps(made).encode()
