"""OTLP's JSON against protobuf's own writer of JSON, over any request."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from stepsize.collector.otlp.json_request import parse_json
from stepsize.collector.otlp.request import check_request
from stepsize.errors import DataError
from tests.collector.otlp import any_value

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
UINT32 = st.integers(0, 2**32 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INT64 | st.floats(allow_nan=False) | TEXT | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.lists(st.builds(lambda key, value: {"key": key, "value": any_value(value)}, TEXT, VALUES), max_size=3)
NUMBER = st.one_of(
    st.builds(lambda value: {"as_int": value}, INT64),
    st.builds(lambda value: {"as_double": value}, st.floats(allow_nan=False)),
    st.just({}),
)
EXEMPLAR = st.builds(
    lambda number, ids, attributes: {
        **number,
        "trace_id": ids,
        "span_id": ids[:8],
        "filtered_attributes": attributes,
    },
    NUMBER,
    st.binary(min_size=16, max_size=16),
    ATTRIBUTES,
)
COMMON = {"time_unix_nano": UINT64, "start_time_unix_nano": UINT64, "flags": UINT32}
POINT = st.builds(
    lambda number, exemplars, **more: {**number, **more, "exemplars": exemplars},
    NUMBER,
    st.lists(EXEMPLAR, max_size=2),
    attributes=ATTRIBUTES,
    **COMMON,
)
BUCKETS = st.fixed_dictionaries({"offset": st.integers(-5, 5), "bucket_counts": st.lists(UINT64, max_size=3)})
EXPONENTIAL = st.fixed_dictionaries(
    {**COMMON, "count": UINT64, "scale": st.integers(-10, 20), "positive": BUCKETS},
    optional={"sum": st.floats(allow_nan=False), "min": st.floats(allow_nan=False), "negative": BUCKETS},
)
METRIC = st.one_of(
    st.builds(lambda points: {"gauge": {"data_points": points}}, st.lists(POINT, max_size=3)),
    st.builds(
        lambda points, kind, up: {
            "sum": {"data_points": points, "aggregation_temporality": kind, "is_monotonic": up},
        },
        st.lists(POINT, max_size=3),
        st.sampled_from([0, 1, 2]),
        st.booleans(),
    ),
    st.builds(lambda points: {"exponential_histogram": {"data_points": points}}, st.lists(EXPONENTIAL, max_size=3)),
)


@given(METRIC, ATTRIBUTES, TEXT, st.sampled_from([True, False]))
def test_what_protobuf_writes_is_read(metric: dict[str, Any], resource: Any, name: str, original: bool) -> None:
    """Any request that protobuf writes as JSON, its ids in hex, is read as the same request; field names too."""
    scope = {"scope": {"name": name}, "metrics": [{"name": name, "unit": name, **metric}], "schema_url": name}
    whole = {"resource": {"attributes": resource, "dropped_attributes_count": 3}, "scope_metrics": [scope]}
    request = ExportMetricsServiceRequest(resource_metrics=[whole])
    values = json_format.MessageToDict(request, preserving_proto_field_name=original)
    _ids_as_hex(values)
    parsed = parse_json(json.dumps(values).encode())
    assert parsed == request
    assert ExportMetricsServiceRequest.FromString(parsed.SerializeToString()) == request


def _ids_as_hex(node: Any) -> None:
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _ids_as_hex(inner)
    if isinstance(node, dict):
        for exemplar in node.get("exemplars", ()):
            for key in ("traceId", "spanId", "trace_id", "span_id"):
                if key in exemplar:
                    exemplar[key] = base64.b64decode(exemplar[key]).hex()


@given(st.binary() | st.text().map(str.encode) | VALUES.map(lambda value: json.dumps(value, default=str).encode()))
def test_anything_else_is_read_or_refused(content: bytes) -> None:
    """Bytes of any kind are a request or refused in one line."""
    try:
        parse_json(content)
    except DataError as error:
        said = str(error)
    else:
        said = "taken"
    assert "\n" not in said


def body(value: str) -> bytes:
    point = {"asInt": 1, "attributes": [{"key": "a", "value": "here"}]}
    metric = {"name": "m", "gauge": {"dataPoints": [point]}}
    request = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}
    return json.dumps(request).replace('"here"', value).encode()


@pytest.mark.parametrize("depth", range(1, 60))
def test_what_is_taken_can_be_read_again(depth: int) -> None:
    """However deep values lie, what is taken from JSON is what protobuf's parser takes: nothing kept is unreadable."""
    value = '{"arrayValue": {"values": [' * depth + "{}" + "]}}" * depth
    if depth > 46:
        with pytest.raises(DataError, match="nested"):
            parse_json(body(value))
    else:
        assert check_request(parse_json(body(value)).SerializeToString()).points == 1


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('{"bytesValue": "-_8="}', b"\xfb\xff"),
        ('{"bytesValue": "-_8"}', b"\xfb\xff"),
        ('{"bytesValue": "+/8="}', b"\xfb\xff"),
        ('{"doubleValue": "1e3"}', 1000.0),
        ('{"intValue": 1e3}', 1000),
        ('{"doubleValue": 12345678901234567890}', 12345678901234567890.0),
    ],
)
def test_other_ways_to_write_a_value(value: str, kept: Any) -> None:
    """Both alphabets of base64, with padding or without; exponents; large whole numbers for doubles."""
    point = parse_json(body(value)).resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    assert point.attributes[0].value == any_value(kept)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"doubleValue": NaN}', 'NaN is no JSON; write "NaN"'),
        ('{"doubleValue": 1e999}', "doubleValue is out of range"),
        ('{"doubleValue": "nan"}', "doubleValue has to be a number"),
        ('{"doubleValue": "1_0"}', "doubleValue has to be a number"),
        ('{"intValue": "1_0"}', "intValue has to be a whole number"),
        ('{"intValue": " 1"}', "intValue has to be a whole number"),
        ('{"intValue": true}', "intValue has to be a whole number"),
        ('{"bytesValue": "a"}', "no base64"),
        ('{"stringValue": 5}', "stringValue cannot be a number"),
        ('{"stringValue": "a", "intValue": 1}', "AnyValue has two of value"),
        ('{"arrayValue": []}', "expected an object for ArrayValue, found a list"),
    ],
)
def test_refusals_name_the_field(value: str, said: str) -> None:
    """What is wrong is said with the field's name."""
    with pytest.raises(DataError) as refused:
        parse_json(body(value))
    assert said in str(refused.value)


def test_doubles_that_are_no_numbers() -> None:
    """NaN and the infinities are read from text."""
    for written, expected in (("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)):
        message = parse_json(body(f'{{"doubleValue": "{written}"}}'))
        value: AnyValue = (
            message.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0].attributes[0].value
        )
        assert repr(value.double_value) == repr(expected)
