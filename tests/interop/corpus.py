"""A metrics request in which every field of OpenTelemetry's schema is used, with the values that go wrong.

What comes in: a time. What goes out: a message: every type of metric, both temporalities, the ends of every range, text
of many scripts, attribute values of every type, nested, empty and absent.
"""

from __future__ import annotations

import math
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags

from tests.collector.otlp import identity, pairs

SECOND = 10**9
INT64 = (-(2**63), -(2**53) - 1, -1, 0, 1, 2**53 + 1, 2**63 - 1)
DOUBLES = (0.0, -0.0, 0.1, -1.5, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, math.pi)
SPECIAL_DOUBLES = (math.nan, math.inf, -math.inf)
UINT64 = (0, 1, 2**53 + 1, 2**63, 2**64 - 1)
TEXTS = {
    "empty": "",
    "script": "naïve Ωμέγα 日本語 Привет עברית",
    "emoji": "👩‍👩‍👧‍👦 \U0001f680",
    "controls": "tab\tnew\nline\r\0bell\a",
    "quotes": "'single' \"double\" `back` \\ / ../ ; --",
    "json": '{"not": ["parsed"]}',
    "long": "x" * 5_000,
    "": "no key",
    "ключ 🔑": "key",
}
VALUES: dict[str, Any] = {
    "text": "a",
    "true": True,
    "false": False,
    "int.max": 2**63 - 1,
    "int.min": -(2**63),
    "int.zero": 0,
    "double": 0.1,
    "double.whole": 1.0,
    "double.minus.zero": -0.0,
    "nan": math.nan,
    "infinity": math.inf,
    "bytes": b"\0\xff\xfe",
    "bytes.empty": b"",
    "array": ["a", 1, 1.0, True, b"\1"],
    "array.empty": [],
    "array.nested": [[1, [2, [3]]], {"in": "map"}],
    "map": {"a": 1, "b": {"c": {"d": [False, "deep"]}}},
    "map.empty": {},
    "null": None,
}


def everything(now_ns: int, task: str = "1") -> Any:
    """The request; its points lie in the minute before ``now_ns``."""
    request = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add(schema_url="https://opentelemetry.io/schemas/1.30.0")
    resource_metrics.resource.attributes.extend(pairs({**identity(task), **TEXTS, "nested": VALUES}))
    resource_metrics.resource.dropped_attributes_count = 3
    resource_metrics.resource.entity_refs.add(
        schema_url="https://opentelemetry.io/schemas/1.31.0",
        type="host",
        id_keys=["host.name"],
        description_keys=["empty", "script"],
    )
    resource_metrics.resource.entity_refs.add(type="service", id_keys=["service.name"])
    scope_metrics = resource_metrics.scope_metrics.add(schema_url="https://opentelemetry.io/schemas/1.29.0")
    scope_metrics.scope.name, scope_metrics.scope.version = "interop", "1.0 ✓"
    scope_metrics.scope.attributes.extend(pairs(VALUES))
    scope_metrics.scope.dropped_attributes_count = 7
    start_ns = now_ns - 60 * SECOND
    _gauges(scope_metrics, start_ns)
    _sums(scope_metrics, start_ns)
    _histograms(scope_metrics, start_ns)
    _exponential_histograms(scope_metrics, start_ns)
    _summaries(scope_metrics, start_ns)
    second = request.resource_metrics.add()  # a resource that says nothing
    bare = second.scope_metrics.add().metrics.add(name="bare")
    bare.gauge.data_points.add(time_unix_nano=now_ns, as_int=1)
    return request


def _gauges(scope_metrics: Any, start_ns: int) -> None:
    metric = scope_metrics.metrics.add(name="gauge.int", unit="{row}", description="Integers ✓")
    metric.metadata.extend(pairs({"source": "test", "nested": {"a": [1]}}))
    for number, value in enumerate(INT64):
        metric.gauge.data_points.add(time_unix_nano=start_ns + number, as_int=value)
    metric = scope_metrics.metrics.add(name="gauge.double")
    for number, value in enumerate((*DOUBLES, *SPECIAL_DOUBLES)):
        metric.gauge.data_points.add(time_unix_nano=start_ns + number, as_double=value)
    metric = scope_metrics.metrics.add(name="gauge.attributes", unit="µs")
    for number, (name, value) in enumerate({**TEXTS, **VALUES}.items()):
        metric.gauge.data_points.add(
            time_unix_nano=start_ns + number, as_double=number, attributes=pairs({name: value, "n": number})
        )
    metric = scope_metrics.metrics.add(name="gauge.absent")
    absent = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
    metric.gauge.data_points.add(time_unix_nano=start_ns, flags=absent)
    metric.gauge.data_points.add(time_unix_nano=start_ns + 1, as_int=1, flags=2**32 - 2)


def _sums(scope_metrics: Any, start_ns: int) -> None:
    for monotonic in (True, False):
        for temporality in (0, 1, 2):
            metric = scope_metrics.metrics.add(name=f"sum.{monotonic}.{temporality}", unit="By")
            metric.sum.is_monotonic, metric.sum.aggregation_temporality = monotonic, temporality
            point = metric.sum.data_points.add(
                start_time_unix_nano=start_ns, time_unix_nano=start_ns + SECOND, as_int=2**63 - 1
            )
            point.exemplars.add(
                time_unix_nano=start_ns + 5,
                as_int=-(2**63),
                trace_id=bytes(range(16)),
                span_id=bytes(range(248, 256)),
                filtered_attributes=pairs(VALUES),
            )
            point.exemplars.add(time_unix_nano=start_ns + 6, as_double=0.1)
            metric.sum.data_points.add(
                start_time_unix_nano=start_ns, time_unix_nano=start_ns + 2 * SECOND, as_double=1e300
            )


def _histograms(scope_metrics: Any, start_ns: int) -> None:
    for temporality in (1, 2):
        metric = scope_metrics.metrics.add(name=f"histogram.{temporality}", unit="s")
        metric.histogram.aggregation_temporality = temporality
        points = metric.histogram.data_points
        point = points.add(
            start_time_unix_nano=start_ns,
            time_unix_nano=start_ns + SECOND,
            count=2**64 - 1,
            sum=-0.5,
            min=-3.0,
            max=7.25,
            bucket_counts=UINT64,
            explicit_bounds=[-1.5, 0.0, 0.1, 1e300],
            attributes=pairs({"route": "/"}),
        )
        point.exemplars.add(time_unix_nano=start_ns + 1, as_double=math.inf, filtered_attributes=pairs({"a": ""}))
        points.add(start_time_unix_nano=start_ns, time_unix_nano=start_ns + SECOND)  # sum, min, max and buckets absent
        points.add(time_unix_nano=start_ns + 1, sum=0.0, min=0.0, max=0.0)  # which is not zero
        points.add(time_unix_nano=start_ns + 2, count=4, sum=math.nan, bucket_counts=[4], flags=1)


def _exponential_histograms(scope_metrics: Any, start_ns: int) -> None:
    for temporality in (1, 2):
        metric = scope_metrics.metrics.add(name=f"exponential.{temporality}", unit="s")
        metric.exponential_histogram.aggregation_temporality = temporality
        points = metric.exponential_histogram.data_points
        point = points.add(
            start_time_unix_nano=start_ns,
            time_unix_nano=start_ns + SECOND,
            count=2**53 + 1,
            sum=1e-300,
            min=-1e10,
            max=1e10,
            scale=-10,
            zero_count=2**64 - 1,
            zero_threshold=1e-9,
            attributes=pairs({"route": "/"}),
            flags=2,
        )
        point.positive.offset, point.negative.offset = 2**31 - 1, -(2**31)
        point.positive.bucket_counts.extend(UINT64)
        point.negative.bucket_counts.extend([0, 0, 3])
        point.exemplars.add(time_unix_nano=start_ns + 1, as_int=3, trace_id=b"\1" * 16, span_id=b"\2" * 8)
        points.add(time_unix_nano=start_ns + 1, scale=20)
        points.add(time_unix_nano=start_ns + 2, sum=0.0, min=0.0, max=0.0)


def _summaries(scope_metrics: Any, start_ns: int) -> None:
    metric = scope_metrics.metrics.add(name="summary", unit="ms")
    point = metric.summary.data_points.add(
        start_time_unix_nano=start_ns,
        time_unix_nano=start_ns + SECOND,
        count=2**64 - 1,
        sum=math.pi,
        attributes=pairs({"route": "/"}),
        flags=1,
    )
    for quantile, value in ((0.0, -1.0), (0.5, 0.0), (1.0, 1e308)):
        point.quantile_values.add(quantile=quantile, value=value)
    metric.summary.data_points.add(time_unix_nano=start_ns + 1)
