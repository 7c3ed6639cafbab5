"""Cuts a request that was too large for a collector in two.

What comes in: a request. What goes out: two that hold its points, each once and in order, or ``None`` where it holds
one point alone. Pure: no I/O. A point keeps its metric, scope and resource.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from stepsize.instrumentation.agent.delivery import Encoding, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DATA = frozenset({"gauge", "sum", "histogram", "exponentialHistogram", "summary"})
"""Where a metric's points are in OTLP's JSON, one of these."""


def split(request: Request) -> tuple[Request, Request] | None:
    """The two halves of a request.

    Raises:
        ValueError: it is not one.
    """
    halves = [(_half_json if request.encoding is Encoding.JSON else _half_protobuf)(request, half) for half in (0, 1)]
    return (halves[0], halves[1]) if all(half.points for half in halves) else None


def _half_protobuf(request: Request, half: int) -> Request:
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - hardly ever needed
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # noqa: PLC0415 - as above
        ExportMetricsServiceRequest,
    )

    def points_of(metric: Any) -> Any:
        data = metric.WhichOneof("data")
        return [] if data is None else getattr(metric, data).data_points

    try:
        kept = ExportMetricsServiceRequest.FromString(request.body)
    except DecodeError as error:
        raise ValueError(f"not a request: {error}") from None
    count = _cut(kept.resource_metrics, lambda each: each.scope_metrics, lambda each: each.metrics, points_of, half)
    return Request(kept.SerializeToString(), count, Encoding.PROTOBUF)


def _half_json(request: Request, half: int) -> Request:
    def points_of(metric: dict[str, Any]) -> Any:
        return next((data["dataPoints"] for name, data in metric.items() if name in _DATA), [])

    kept = json.loads(request.body)
    count = _cut(
        kept["resourceMetrics"], lambda each: each["scopeMetrics"], lambda each: each["metrics"], points_of, half
    )
    return Request(json.dumps(kept, separators=(",", ":")).encode(), count, Encoding.JSON)


def _cut(
    resources: Any, scopes_of: Callable[[Any], Any], metrics_of: Callable[[Any], Any], points_of: Callable[[Any], Any],
    half: int,
) -> int:  # fmt: skip
    """Leave one half of the points, and nothing that holds none of them; how many were left."""

    def all_points() -> Iterator[Any]:
        for resource in resources:
            for scope in scopes_of(resource):
                for metric in metrics_of(scope):
                    yield points_of(metric)

    middle = sum(len(points) for points in all_points()) // 2
    passed = left = 0
    for points in all_points():
        count = len(points)
        border = min(max(0, middle - passed), count)
        if half == 0:
            del points[border:]
        else:
            del points[:border]
        passed += count
        left += len(points)
    for resource in resources:
        for scope in scopes_of(resource):
            _drop_where(metrics_of(scope), lambda metric: not points_of(metric))
        _drop_where(scopes_of(resource), lambda scope: not metrics_of(scope))
    _drop_where(resources, lambda resource: not scopes_of(resource))
    return left


def _drop_where(items: Any, is_empty: Callable[[Any], bool]) -> None:
    for index in reversed(range(len(items))):
        if is_empty(items[index]):
            del items[index]
