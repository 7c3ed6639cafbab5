"""Points as OTLP's JSON, for an agent whose interpreter has no OpenTelemetry.

What comes in: the points of resources. What goes out: the bytes of an `ExportMetricsServiceRequest` that holds what
`otlp_protobuf` makes of the same points. Never sends anything. Standard library only.

Source: the OTLP specification, "JSON Protobuf Encoding" (camelCase names, enumerations as numbers), and protobuf's
"ProtoJSON format" (64-bit integers as text; ``NaN`` and ``Infinity`` as text).
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from stepsize import __version__
from stepsize.instrumentation.agent.points import copied_attributes
from stepsize.model import METRICS, SCOPE_NAME, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.instrumentation.agent.points import ResourcePoints
    from stepsize.model import AttributeValue

_CUMULATIVE = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE


def encode(resources: Iterable[ResourcePoints], *, point_attributes: bool) -> bytes:
    """The request; ``point_attributes`` copies flow, run and step onto each point."""
    found = []
    for resource in resources:
        metrics = _metrics(resource, copied_attributes(resource.resource) if point_attributes else {})
        if metrics:
            scope = {"scope": {"name": SCOPE_NAME, "version": __version__}, "metrics": metrics}
            found.append({"resource": {"attributes": _attributes(resource.resource)}, "scopeMetrics": [scope]})
    return json.dumps({"resourceMetrics": found}, separators=(",", ":"), allow_nan=False).encode("ascii")


def _metrics(resource: ResourcePoints, copied: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    by_metric: dict[str, list[dict[str, Any]]] = {}
    for (name, attributes), points in resource.series.items():
        since: dict[str, Any] = {"attributes": _attributes({**copied, **dict(attributes)})}
        if METRICS[name].kind is Kind.SUM:
            since["startTimeUnixNano"] = str(resource.start_unix_nano)
        by_metric.setdefault(name, []).extend(
            {**since, "timeUnixNano": str(when), **_number(value)} for when, value in points
        )
    return [_metric(name, data_points) for name, data_points in by_metric.items()]


def _metric(name: str, data_points: list[dict[str, Any]]) -> dict[str, Any]:
    row = METRICS[name]
    described = {"name": name, "description": row.description, "unit": row.unit}
    if row.kind is Kind.GAUGE:
        return {**described, "gauge": {"dataPoints": data_points}}
    data = {"dataPoints": data_points, "aggregationTemporality": _CUMULATIVE, "isMonotonic": True}
    return {**described, "sum": data}


def _number(value: float) -> dict[str, Any]:
    return {"asInt": str(value)} if _is_int64(value) else {"asDouble": _double(float(value))}


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _attributes(attributes: Mapping[str, AttributeValue]) -> list[dict[str, Any]]:
    return [{"key": _text(key), "value": _value(value)} for key, value in attributes.items()]


def _value(value: AttributeValue) -> dict[str, Any]:
    if isinstance(value, bool):  # before int, which it is too
        return {"boolValue": value}
    if _is_int64(value):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": _double(value)}
    # One user's attribute that no receiver could read must not cost everybody the request: a number beyond 64 bits is
    # sent as text, and half a surrogate pair (a file name of another encoding) is replaced.
    return {"stringValue": _text(str(value))}


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _is_int64(value: object) -> bool:
    return isinstance(value, int) and -(1 << 63) <= value < 1 << 63
