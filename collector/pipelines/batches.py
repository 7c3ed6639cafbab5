"""Requests put together and taken apart, for exporters that send.

What comes in: bytes of requests. What goes out: bytes of requests. Pure. The bytes of several requests after each other
are one request (protobuf merges repeated fields), so nothing is decoded to put them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.otlp.request import count_points

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def points_of(request: bytes) -> int:
    """How many points a request holds."""
    return count_points(ExportMetricsServiceRequest.FromString(request))


def requests_of(parts: Sequence[bytes], max_points: int) -> list[tuple[bytes, int]]:
    """``parts`` as one request, or as several of at most ``max_points`` points (0: no bound), each with its number."""
    content = b"".join(parts)
    message = ExportMetricsServiceRequest.FromString(content)
    points = count_points(message)
    if not max_points or points <= max_points:
        return [(content, points)]
    return [(one.SerializeToString(), count_points(one)) for one in _split(message, max_points)]


def _split(message: Any, max_points: int) -> Iterator[Any]:
    made, left = ExportMetricsServiceRequest(), max_points
    for resource in message.resource_metrics:
        target_resource = None
        for scope in resource.scope_metrics:
            target_scope = None
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                points = getattr(metric, kind).data_points if kind else ()
                start = 0
                while start < len(points):
                    if not left:
                        yield made
                        made, left = ExportMetricsServiceRequest(), max_points
                        target_resource = target_scope = None
                    if target_resource is None:
                        target_resource = made.resource_metrics.add(schema_url=resource.schema_url)
                        target_resource.resource.CopyFrom(resource.resource)
                    if target_scope is None:
                        target_scope = target_resource.scope_metrics.add(schema_url=scope.schema_url)
                        target_scope.scope.CopyFrom(scope.scope)
                    taken = points[start : start + left]
                    _add_metric(target_scope, metric, kind, taken)
                    start += len(taken)
                    left -= len(taken)
    if made.resource_metrics:
        yield made


def _add_metric(scope: Any, metric: Any, kind: Any, points: Any) -> None:
    target = scope.metrics.add(name=metric.name, description=metric.description, unit=metric.unit)
    target.metadata.extend(metric.metadata)
    data = getattr(target, kind)
    data.SetInParent()
    for field, value in getattr(metric, kind).ListFields():
        if field.name != "data_points":
            setattr(data, field.name, value)
    data.data_points.extend(points)
