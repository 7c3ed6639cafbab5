"""Requests that are valid and odd: every kind of metric, every kind of value, at the edges of their types."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

NAMES = (
    "m",
    "stepsize.task.cpu.time",
    "stepsize.task.cpu.usage",
    "stepsize.task.memory.usage",
    "stepsize.task.memory.peak",
    "stepsize.task.end",
    "system.memory.usage",
    "\0';--../é\U0001f600",
)
KEYS = (
    "stepsize.flow.name",
    "stepsize.run.id",
    "stepsize.step.name",
    "stepsize.task.id",
    "stepsize.task.attempt",
    "stepsize.request.memory",
    "stepsize.annotation.x",
    "stepsize.outcome",
    "host.name",
    "cpu.mode",
    "",
)
U64 = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
I64 = st.sampled_from([0, -1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
REAL = st.floats(allow_nan=True, allow_infinity=True)
TEXT = st.text(max_size=8) | st.sampled_from(["ok", "7", "'", "\n", "x" * 10_000])


def values() -> st.SearchStrategy[AnyValue]:
    """Attribute values."""
    plain = (
        st.just(AnyValue())
        | TEXT.map(lambda v: AnyValue(string_value=v))
        | st.booleans().map(lambda v: AnyValue(bool_value=v))
        | I64.map(lambda v: AnyValue(int_value=v))
        | REAL.map(lambda v: AnyValue(double_value=v))
        | st.binary(max_size=8).map(lambda v: AnyValue(bytes_value=v))
    )
    return plain | st.lists(plain, max_size=3).map(_array)


def _array(inner: list[AnyValue]) -> AnyValue:
    made = AnyValue()
    made.array_value.values.extend(inner)
    return made


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request."""
    message = ExportMetricsServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        resource = message.resource_metrics.add()
        _attributes(draw, resource.resource.attributes)
        scope = resource.scope_metrics.add()
        for _ in range(draw(st.integers(0, 4))):
            _metric(draw, scope.metrics.add(name=draw(st.sampled_from(NAMES)), unit=draw(TEXT)))
    return message.SerializeToString()


def _attributes(draw: st.DrawFn, into: Any) -> None:
    for _ in range(draw(st.integers(0, 5))):
        into.add(key=draw(st.sampled_from(KEYS)), value=draw(values()))


def _metric(draw: st.DrawFn, metric: Any) -> None:
    kind = draw(st.sampled_from(["gauge", "sum", "histogram", "exponential_histogram", "summary"]))
    data = getattr(metric, kind)
    if kind in ("sum", "histogram", "exponential_histogram"):
        data.aggregation_temporality = draw(st.sampled_from([0, 1, 2, 7]))
    if kind == "sum":
        data.is_monotonic = draw(st.booleans())
    data.SetInParent()
    for _ in range(draw(st.integers(0, 3))):
        point = data.data_points.add(time_unix_nano=draw(U64), start_time_unix_nano=draw(U64))
        point.flags = draw(st.integers(0, 2**32 - 1))
        _attributes(draw, point.attributes)
        _fill(draw, kind, point)


def _fill(draw: st.DrawFn, kind: str, point: Any) -> None:
    if kind in ("gauge", "sum"):
        which = draw(st.sampled_from(["as_int", "as_double", ""]))
        if which:
            setattr(point, which, draw(I64 if which == "as_int" else REAL))
        if draw(st.booleans()):
            point.exemplars.add(time_unix_nano=draw(U64), as_double=draw(REAL), trace_id=draw(st.binary(max_size=20)))
        return
    point.count = draw(U64)
    if kind == "summary":
        point.sum = draw(REAL)
        point.quantile_values.add(quantile=draw(REAL), value=draw(REAL))
        return
    if draw(st.booleans()):
        point.sum = draw(REAL)
    if kind == "histogram":
        point.bucket_counts.extend(draw(st.lists(U64, max_size=3)))
        point.explicit_bounds.extend(draw(st.lists(REAL, max_size=3)))
        return
    point.scale = draw(st.integers(-(2**31), 2**31 - 1))
    point.zero_count = draw(U64)
    point.positive.offset = draw(st.integers(-(2**31), 2**31 - 1))
    point.positive.bucket_counts.extend(draw(st.lists(U64, max_size=3)))
