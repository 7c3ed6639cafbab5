"""The same points in JSON and in protobuf are the same request."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.otlp.json_request import parse_json
from stepsize.instrumentation.agent import otlp_json, otlp_protobuf
from stepsize.instrumentation.agent.points import ResourcePoints
from stepsize.model import METRICS, TASK_CPU_USAGE, Attr, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.one_of(TEXT, st.booleans(), INT64, st.floats(allow_nan=False))
TIMES = st.integers(1, 2**63 - 1)
NUMBERS = st.one_of(st.floats(allow_nan=False), INT64)
RESOURCES = st.dictionaries(st.one_of(TEXT, st.sampled_from([Attr.FLOW, Attr.RUN, Attr.STEP])), VALUES, max_size=4)
SERIES = st.dictionaries(
    st.tuples(
        st.sampled_from(sorted(METRICS)),
        st.lists(st.tuples(TEXT, TEXT), max_size=2, unique_by=lambda p: p[0]).map(tuple),
    ),
    st.lists(st.tuples(TIMES, NUMBERS), min_size=1, max_size=4),
    max_size=4,
)
POINTS = st.lists(st.builds(ResourcePoints, RESOURCES, TIMES, SERIES), max_size=3)


@given(POINTS, st.booleans())
def test_both_encodings_mean_the_same(resources: list[ResourcePoints], copied: bool) -> None:
    """Whatever is sampled: the collector's reader of JSON makes of it the message that protobuf is, in every field."""
    as_json = parse_json(otlp_json.encode(resources, point_attributes=copied))
    as_protobuf = ExportMetricsServiceRequest.FromString(otlp_protobuf.encode(resources, point_attributes=copied))
    assert as_json == as_protobuf


def _one(value: float, resource: Callable[[], dict[str, object]] = dict) -> dict:
    points = ResourcePoints(resource(), 5, {(TASK_CPU_USAGE.name, ()): [(7, value)]})  # type: ignore[arg-type]  # as a user's
    (found,) = json.loads(otlp_json.encode([points], point_attributes=False))["resourceMetrics"]
    return found


def test_the_specifications_own_spelling() -> None:
    """camelCase names, 64-bit integers as text, enumerations as numbers, no value that JSON has not got."""
    point = {"attributes": [], "timeUnixNano": "7"}
    (metric,) = _one(3)["scopeMetrics"][0]["metrics"]
    assert metric["gauge"] == {"dataPoints": [{**point, "asInt": "3"}]}
    assert _one(math.inf)["scopeMetrics"][0]["metrics"][0]["gauge"]["dataPoints"] == [{**point, "asDouble": "Infinity"}]
    summed = next(name for name, metric in METRICS.items() if metric.kind is Kind.SUM)
    points = ResourcePoints({}, 5, {(summed, ()): [(7, 0.5)]})
    (resource,) = json.loads(otlp_json.encode([points], point_attributes=False))["resourceMetrics"]
    assert resource["scopeMetrics"][0]["metrics"][0]["sum"] == {
        "dataPoints": [{**point, "startTimeUnixNano": "5", "asDouble": 0.5}],
        "aggregationTemporality": 2,
        "isMonotonic": True,
    }


def test_an_attribute_that_nobody_could_read_costs_nobody_the_request() -> None:
    """A number beyond 64 bits is text, half a surrogate pair is replaced."""
    found = _one(1.0, lambda: {"rows": 10**30, "name": "a\udc80"})["resource"]["attributes"]
    assert [each["value"] for each in found] == [{"stringValue": str(10**30)}, {"stringValue": "a?"}]
