"""Checks a metrics request before it is acknowledged.

What comes in: bytes of an ``ExportMetricsServiceRequest``. What goes out: the bytes to keep, how many points they hold,
how many cannot be kept, and why; or :class:`DataError`. Never does I/O.

The full schema decides what is valid: it is stricter than the projection that the sink decodes with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.errors import DataError

NAMELESS = "metrics without a name or of an unknown type were not kept"


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that may be kept.

    Attributes:
        content: the bytes to keep; empty where nothing is left.
        message: the parsed request, without what is rejected.
        points: how many points it holds.
        rejected_points: points that are not kept.
        reason: why, for the client's log.
    """

    content: bytes
    message: Any
    points: int
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
    return _checked(message, content)


def _checked(message: Any, content: bytes) -> CheckedRequest:
    points, rejected, faulty = 0, 0, False
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            bad = False
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind and metric.name:
                    points += len(getattr(metric, kind).data_points)
                else:
                    bad = True
            if bad:
                faulty = True
                rejected += _take_out_nameless(scope.metrics)
    if faulty:
        content = message.SerializeToString()
    return CheckedRequest(
        content if message.resource_metrics else b"", message, points, rejected, NAMELESS if faulty else ""
    )


def _take_out_nameless(metrics: Any) -> int:
    """Delete metrics without a name or of an unknown type; how many points they held."""
    rejected = 0
    for index in reversed(range(len(metrics))):
        metric = metrics[index]
        kind = metric.WhichOneof("data")
        if kind and metric.name:
            continue
        rejected += len(getattr(metric, kind).data_points) if kind else 0
        del metrics[index]
    return rejected


def count_points(message: Any) -> int:
    """How many points a request holds."""
    return sum(
        len(getattr(metric, kind).data_points)
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data"))
    )
