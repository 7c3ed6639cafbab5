"""Checks a metrics request before it is acknowledged.

What comes in: bytes of an ``ExportMetricsServiceRequest``. What goes out: the bytes to keep, how many of its points
cannot be kept, and why; or :class:`DataError`. Never does I/O.

The full schema decides what is valid: it is stricter than the projection that the sink decodes with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.errors import DataError


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that may be kept.

    Attributes:
        content: the bytes to keep; empty where nothing is left.
        message: the parsed request, without what is rejected.
        rejected_points: points that are not kept.
        reason: why, for the client's log.
    """

    content: bytes
    message: Any
    rejected_points: int = 0
    reason: str = ""


def check_request(content: bytes) -> CheckedRequest:
    """Parse with the full schema and take out what cannot be stored.

    Raises:
        DataError: the bytes are no such request.
    """
    try:
        message = ExportMetricsServiceRequest.FromString(content)
    except DecodeError:
        raise DataError("the body is not a valid ExportMetricsServiceRequest") from None
    return check_message(message, content)


def check_message(message: Any, content: bytes | None = None) -> CheckedRequest:
    """As :func:`check_request`, for a request that is parsed already."""
    rejected, faulty = 0, False
    for scope_metrics in (scope for resource in message.resource_metrics for scope in resource.scope_metrics):
        bad = [i for i, metric in enumerate(scope_metrics.metrics) if not metric.name or not metric.WhichOneof("data")]
        for index in reversed(bad):
            metric = scope_metrics.metrics[index]
            kind = metric.WhichOneof("data")
            rejected += len(getattr(metric, kind).data_points) if kind else 0
            del scope_metrics.metrics[index]
            faulty = True
    if faulty:
        content = None
    if content is None:
        content = message.SerializeToString()
    reason = "metrics without a name or of an unknown type were not kept" if faulty else ""
    return CheckedRequest(content if message.resource_metrics else b"", message, rejected, reason)


def count_points(message: Any) -> int:
    """How many points a request holds."""
    return sum(
        len(getattr(metric, kind).data_points)
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data"))
    )
