"""OTLP's JSON mapping, case by case: what a sender may write, and what it means in protobuf.

The cases follow "JSON Protobuf Encoding" in OpenTelemetry's protocol specification and protobuf's own JSON mapping,
which that section changes: ids in hex, enums as integers, names in lowerCamelCase, unknown fields ignored.
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.collector.otlp import any_value
from tests.interop.rows import assert_equal, stored, wanted

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

JSON = "application/json"
ID = bytes(range(160, 176))
NUMBERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an integer as text": ({"asInt": "-9223372036854775808"}, {"as_int": -(2**63)}),
    "an integer as a number": ({"asInt": 9223372036854775807}, {"as_int": 2**63 - 1}),
    "an integer with a point": ({"asInt": 3.0}, {"as_int": 3}),
    "a zero that is there": ({"asInt": "0"}, {"as_int": 0}),
    "a whole double": ({"asDouble": 5}, {"as_double": 5.0}),
    "a double as text": ({"asDouble": "0.1"}, {"as_double": 0.1}),
    "a double zero": ({"asDouble": 0}, {"as_double": 0.0}),
    "minus zero": ({"asDouble": -0.0}, {"as_double": -0.0}),
    "the smallest double": ({"asDouble": 5e-324}, {"as_double": 5e-324}),
    "NaN": ({"asDouble": "NaN"}, {"as_double": math.nan}),
    "infinity": ({"asDouble": "Infinity"}, {"as_double": math.inf}),
    "minus infinity": ({"asDouble": "-Infinity"}, {"as_double": -math.inf}),
    "null is absent": ({"asDouble": None, "attributes": None, "flags": None}, {}),
    "no value": ({"flags": 1}, {"flags": 1}),
    "the largest flags": ({"asInt": "1", "flags": 4294967295}, {"as_int": 1, "flags": 2**32 - 1}),
    "a start as a number": ({"asInt": "1", "startTimeUnixNano": 17}, {"as_int": 1, "start_time_unix_nano": 17}),
    "unknown fields": (
        {"asInt": "1", "later": {"exemplars": "no list"}, "evenLater": [{"exemplars": 5, "traceId": "zz"}], "x": None},
        {"as_int": 1},
    ),
}
"""Case → fields of a point in JSON, and in protobuf."""
VALUES: dict[str, tuple[Any, Any]] = {
    "text": ({"stringValue": "naïve \U0001f680 \u0000 \\u0041"}, "naïve \U0001f680 \0 \\u0041"),
    "empty text": ({"stringValue": ""}, ""),
    "true": ({"boolValue": True}, True),
    "false": ({"boolValue": False}, False),
    "integer as text": ({"intValue": "9007199254740993"}, 9007199254740993),
    "integer as a number": ({"intValue": -5}, -5),
    "zero": ({"intValue": "0"}, 0),
    "double": ({"doubleValue": 1}, 1.0),
    "NaN": ({"doubleValue": "NaN"}, math.nan),
    "bytes": ({"bytesValue": "AP/+"}, b"\0\xff\xfe"),
    "no bytes": ({"bytesValue": ""}, b""),
    "array": ({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "b"}, {}]}}, [1, "b", None]),
    "empty array": ({"arrayValue": {}}, []),
    "map": (
        {"kvlistValue": {"values": [{"key": "a", "value": {"kvlistValue": {"values": [{"key": "b"}]}}}]}},
        {"a": {"b": None}},
    ),
    "empty map": ({"kvlistValue": {"values": []}}, {}),
    "nothing": ({}, None),
    "null": (None, None),
    "keys that are names of fields": (
        {"kvlistValue": {"values": [{"key": "exemplars", "value": {"stringValue": "traceId"}}]}},
        {"exemplars": "traceId"},
    ),
}
"""Case → an attribute's value in JSON, and in Python."""
EXEMPLARS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hex ids": ({"traceId": ID.hex(), "spanId": ID[:8].hex()}, {"trace_id": ID, "span_id": ID[:8]}),
    "upper case": ({"traceId": ID.hex().upper(), "asInt": "3"}, {"trace_id": ID, "as_int": 3}),
    "empty ids": ({"traceId": "", "spanId": "", "asDouble": 1}, {"as_double": 1.0}),
    "null ids": ({"traceId": None, "spanId": None, "asDouble": "NaN"}, {"as_double": math.nan}),
    "a value that is no number": (
        {"asDouble": "Infinity", "timeUnixNano": "7"},
        {"as_double": math.inf, "time_unix_nano": 7},
    ),
}
"""Case → fields of an exemplar in JSON, and in protobuf."""
REFUSED: dict[str, str] = {
    "no JSON": "{",
    "empty": "",
    "a list": "[]",
    "text": '"resourceMetrics"',
    "null": "null",
    "an object for a list": '{"resourceMetrics": {}}',
    "a number for an object": '{"resourceMetrics": [5]}',
    "null in a list": '{"resourceMetrics": [null]}',
    "an integer out of range": '{"asInt": "9223372036854775808"}',
    "a broken integer": '{"asInt": 1.5}',
    "no integer": '{"asInt": "one"}',
    "no double": '{"asDouble": "one"}',
    "negative flags": '{"asInt": 1, "flags": -1}',
    "an id that is not hex": '{"asInt": 1, "exemplars": [{"traceId": "zz"}]}',
    "half a byte": '{"asInt": 1, "exemplars": [{"spanId": "abc"}]}',
    "an id that is a number": '{"asInt": 1, "exemplars": [{"spanId": 17}]}',
    "exemplars that are none": '{"asInt": 1, "exemplars": [17]}',
    "text for a boolean": '{"asInt": 1, "attributes": [{"key": "a", "value": {"boolValue": "true"}}]}',
    "half a character": '{"asInt": 1, "attributes": [{"key": "a", "value": {"stringValue": "\\ud800"}}]}',
    "too deep": '{"asInt": 1, "attributes": [{"key": "a", "value": %s}]}'
    % ('{"arrayValue": {"values": [' * 5000 + "{}" + "]}}" * 5000),
    "two values": '{"asInt": 1, "asDouble": 1}',
}
"""Case → a body, or a point where it begins like one."""


def request(name: str, metric: dict[str, Any]) -> dict[str, Any]:
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": name, **metric}]}]}]}


def message(name: str, **fields: Any) -> Any:
    """The request with one point of one gauge."""
    made = ExportMetricsServiceRequest()
    metric = made.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    metric.gauge.data_points.add(**fields)
    return made


def test_every_case_means_what_the_specification_says(place: Place, collector: RunningCollector) -> None:
    """Values, attributes and exemplars as JSON may write them become the rows of the same request in protobuf."""
    now, cases = time.time_ns(), []
    for name, (point, fields) in NUMBERS.items():
        cases.append((name, {"timeUnixNano": str(now), **point}, {"time_unix_nano": now, **fields}))
    for name, (value, plain) in VALUES.items():
        pair = {"key": name, "value": value}
        attributes = [{"key": name, "value": any_value(plain)}]
        point = {"timeUnixNano": now, "asInt": 1, "attributes": [pair]}
        cases.append((f"attribute {name}", point, {"time_unix_nano": now, "as_int": 1, "attributes": attributes}))
    for name, (exemplar, fields) in EXEMPLARS.items():
        point = {"timeUnixNano": now, "asInt": 1, "exemplars": [exemplar]}
        cases.append((f"exemplar {name}", point, {"time_unix_nano": now, "as_int": 1, "exemplars": [fields]}))
    for name, point, _ in cases:
        status, body, headers = collector.post(json.dumps(request(name, {"gauge": {"dataPoints": [point]}})), kind=JSON)
        assert (status, json.loads(body), headers["content-type"]) == (200, {}, JSON), (name, body)
    collector.flush()
    assert_equal(stored(place.settings.data), wanted(message(name, **fields) for name, _, fields in cases))


def test_minus_zero_without_a_point(place: Place, collector: RunningCollector) -> None:
    """`-0`, which Go writes for a double, is not the integer that Python reads in it."""
    now = time.time_ns()
    point = {"timeUnixNano": now, "asDouble": "here", "exemplars": [{"asInt": "here"}]}
    body = json.dumps(request("zero", {"gauge": {"dataPoints": [point]}})).replace('"here"', "-0")
    assert collector.post(body, kind=JSON)[0] == 200
    collector.flush()
    expected = message("zero", time_unix_nano=now, as_double=-0.0, exemplars=[{"as_int": 0}])
    assert_equal(stored(place.settings.data), wanted([expected]))


def test_every_type_of_metric_in_json(place: Place, collector: RunningCollector) -> None:
    """Sums, histograms and summaries: enums and 64-bit counts as numbers or as text, defaults left out or written."""
    now = time.time_ns()
    times = {"timeUnixNano": str(now), "startTimeUnixNano": str(now - 5)}
    metrics = {
        "sum": {"sum": {"dataPoints": [{**times, "asInt": "1"}], "aggregationTemporality": 2, "isMonotonic": True}},
        "delta": {"sum": {"dataPoints": [{**times, "asInt": "1"}], "aggregationTemporality": 1, "isMonotonic": False}},
        "unspecified": {"sum": {"dataPoints": [{**times, "asInt": "1"}]}},
        "histogram": {
            "histogram": {
                "aggregationTemporality": 1,
                "dataPoints": [
                    {**times, "count": "3", "sum": 2, "bucketCounts": ["1", 2], "explicitBounds": [1], "min": 0},
                    {**times, "count": 0, "sum": None, "bucketCounts": [], "explicitBounds": ["NaN", "Infinity"]},
                ],
            }
        },
        "exponential": {
            "exponentialHistogram": {
                "aggregationTemporality": 2,
                "dataPoints": [
                    {
                        **times,
                        "count": 18446744073709551615,
                        "scale": -3,
                        "zeroCount": "1",
                        "zeroThreshold": 0.5,
                        "positive": {"offset": 1, "bucketCounts": ["0", "18446744073709551615"]},
                        "negative": {},
                        "max": "Infinity",
                    }
                ],
            }
        },
        "summary": {
            "summary": {
                "dataPoints": [{**times, "count": "2", "sum": 1, "quantileValues": [{"quantile": 0.5, "value": 3}, {}]}]
            }
        },
    }
    expected = ExportMetricsServiceRequest()
    scope = expected.resource_metrics.add().scope_metrics.add()
    both = {"time_unix_nano": now, "start_time_unix_nano": now - 5}
    for name, temporality, monotonic in (("sum", 2, True), ("delta", 1, False), ("unspecified", 0, False)):
        data = scope.metrics.add(name=name).sum
        data.aggregation_temporality, data.is_monotonic = temporality, monotonic
        data.data_points.add(**both, as_int=1)
    histogram = scope.metrics.add(name="histogram").histogram
    histogram.aggregation_temporality = 1
    histogram.data_points.add(**both, count=3, sum=2.0, bucket_counts=[1, 2], explicit_bounds=[1.0], min=0.0)
    histogram.data_points.add(**both, explicit_bounds=[math.nan, math.inf])
    exponential = scope.metrics.add(name="exponential").exponential_histogram
    exponential.aggregation_temporality = 2
    point = exponential.data_points.add(
        **both, count=2**64 - 1, scale=-3, zero_count=1, zero_threshold=0.5, max=math.inf
    )
    point.positive.offset = 1
    point.positive.bucket_counts.extend([0, 2**64 - 1])
    summary = scope.metrics.add(name="summary").summary.data_points.add(**both, count=2, sum=1.0)
    summary.quantile_values.add(quantile=0.5, value=3.0)
    summary.quantile_values.add()
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": n, **data} for n, data in metrics.items()]}]}]}
    status, answer, _ = collector.post(json.dumps(body), kind=JSON)
    assert status == 200, answer
    collector.flush()
    assert_equal(stored(place.settings.data), wanted([expected]))


def test_what_is_no_request_is_refused_for_good(place: Place, collector: RunningCollector) -> None:
    """400 with a `google.rpc.Status` in JSON that says why; nothing of it is kept."""
    for name, text in REFUSED.items():
        body = text
        if text.startswith('{"as'):
            body = json.dumps(request(name, {"gauge": {"dataPoints": ["here"]}})).replace('"here"', text)
        status, answer, headers = collector.post(body.encode(), kind=JSON)
        assert (status, headers["content-type"]) == (400, JSON), (name, answer)
        assert json.loads(answer)["code"] == 3, name
        assert json.loads(answer)["message"], name
    collector.flush()
    assert place.rows("SELECT count(*) FROM exact_points") == [(0,)]


@pytest.mark.parametrize("body", ["{}", '{"resourceMetrics": []}', '{"resourceMetrics": null, "later": 1}'])
def test_a_request_without_points_is_taken(collector: RunningCollector, body: str) -> None:
    """Nothing is a valid request, as in protobuf."""
    assert collector.post(body.encode(), kind=JSON)[:2] == (200, b"{}")
