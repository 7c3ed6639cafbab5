"""OTLP's JSON: requests to messages, answers to text.

What comes in: the body of an OTLP/HTTP JSON request. What goes out: the message, or :class:`DataError`. Never does I/O.

The mapping is protobuf's own but for what the OTLP specification changes ("JSON Protobuf Encoding"): trace and span ids
are hex, enums integers, unknown fields ignored. 64-bit integers may be numbers or text.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.errors import DataError

_ID_FIELDS = ("traceId", "spanId", "trace_id", "span_id")
_WAY_TO_EXEMPLARS = (
    ("resourceMetrics", "resource_metrics"),
    ("scopeMetrics", "scope_metrics"),
    ("metrics",),
    ("gauge", "sum", "histogram", "exponentialHistogram", "exponential_histogram"),
    ("dataPoints", "data_points"),
    ("exemplars",),
)
"""Names of the fields, level by level, at whose end exemplars are: what is called so elsewhere is something else."""


def parse_json(content: bytes) -> Any:
    """The ``ExportMetricsServiceRequest`` that a JSON body means.

    Raises:
        DataError: it is no JSON, or not of that shape; the message says where.
    """
    try:
        values = json.loads(content, parse_int=_number)
        if not isinstance(values, dict):
            raise DataError("the body is not a JSON object")
        _decode_ids(values)
        return json_format.ParseDict(values, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    except (ValueError, TypeError, AttributeError, RecursionError, json_format.ParseError) as error:
        line = " ".join(str(error).split())[:300]
        raise DataError(f"the body is not a valid ExportMetricsServiceRequest in JSON: {line}") from None


def _number(text: str) -> int | float:
    """A number without a point: ``-0`` is a double's, and would lose its sign as an integer."""
    return -0.0 if text == "-0" else int(text)


def _decode_ids(request: dict[str, Any]) -> None:
    """Turn the hex ids of exemplars into the base64 that protobuf's mapping expects, in place."""
    found = [request]
    for names in _WAY_TO_EXEMPLARS:
        found = [inner for node in found for name in names for inner in _objects(node.get(name))]
    for exemplar in found:
        for name in _ID_FIELDS:
            if exemplar.get(name):
                exemplar[name] = base64.b64encode(bytes.fromhex(exemplar[name])).decode()


def _objects(value: Any) -> list[dict[str, Any]]:
    """The objects that a field holds; a field of another shape is left to protobuf's parser to refuse."""
    return [inner for inner in (value if isinstance(value, list) else [value]) if isinstance(inner, dict)]
