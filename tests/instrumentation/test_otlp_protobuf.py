"""The encoder of requests, read back by OpenTelemetry's published classes."""

from __future__ import annotations

from typing import Any

from google.protobuf import unknown_fields
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize import __version__
from stepsize.instrumentation.agent.otlp_protobuf import encode
from stepsize.instrumentation.agent.points import ResourcePoints
from stepsize.model import METRICS, SCOPE_NAME, Kind

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
ATTRIBUTES = st.dictionaries(TEXTS, TEXTS | INT64 | FLOATS | st.booleans(), max_size=3)
TIMES = st.integers(0, 2**64 - 1)
SERIES = st.dictionaries(
    st.tuples(st.sampled_from(sorted(METRICS)), ATTRIBUTES.map(lambda found: tuple(found.items()))),
    st.lists(st.tuples(TIMES, INT64 | FLOATS), min_size=1, max_size=4),
    min_size=1,
    max_size=5,
)


def _parse(content: bytes) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest.FromString(content)
    for message in _messages(request):
        assert len(unknown_fields.UnknownFieldSet(message)) == 0, "a field that the classes do not know"
    return request


def _messages(request: ExportMetricsServiceRequest) -> Any:
    for resource in request.resource_metrics:
        yield from (resource, resource.resource)
        for scope in resource.scope_metrics:
            yield from (scope, scope.scope)
            for metric in scope.metrics:
                yield metric
                data = getattr(metric, metric.WhichOneof("data"))
                yield data
                yield from data.data_points


def _plain(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@given(SERIES, ATTRIBUTES, TIMES)
def test_whatever_is_encoded_is_read_back_as_it_was(series: Any, attributes: Any, start: int) -> None:
    """Every point is there once, in order, with its time, exact value and type, attributes, and its sum's start."""
    request = _parse(encode([ResourcePoints(attributes, start, series)], point_attributes=False))
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    assert _plain(resource.resource.attributes) == attributes
    assert (scope.scope.name, scope.scope.version) == (SCOPE_NAME, __version__)
    found: dict[Any, list[Any]] = {}
    for metric in scope.metrics:
        row = METRICS[metric.name]
        assert (metric.unit, metric.description) == (row.unit, row.description)
        is_sum = row.kind is Kind.SUM
        assert metric.WhichOneof("data") == ("sum" if is_sum else "gauge")
        if is_sum:
            assert metric.sum.is_monotonic
            assert metric.sum.aggregation_temporality == 2
        for point in (metric.sum if is_sum else metric.gauge).data_points:
            assert point.start_time_unix_nano == (start if is_sum else 0)
            value = getattr(point, point.WhichOneof("value"))
            key = metric.name, tuple(_plain(point.attributes).items())
            found.setdefault(key, []).append((point.time_unix_nano, type(value), value))
    assert found == {key: [(when, type(v), v) for when, v in points] for key, points in series.items()}


def test_what_no_field_can_hold_does_not_cost_the_request() -> None:
    """Numbers beyond 64 bits become text (attributes) or doubles (values), half a surrogate pair a question mark."""
    resource = {"huge": 2**70, "broken": "\ud800"}
    points = {("stepsize.task.memory.usage", ()): [(1, 2**70)]}
    request = _parse(encode([ResourcePoints(resource, 0, points)], point_attributes=False))
    assert _plain(request.resource_metrics[0].resource.attributes) == {"huge": str(2**70), "broken": "?"}
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    assert metric.gauge.data_points[0].as_double == 2.0**70


def test_flow_run_and_step_are_copied_onto_points_where_asked_for() -> None:
    """For backends that drop resources; a resource without points is left out."""
    resource = {"stepsize.flow.name": "F", "stepsize.run.id": "1", "stepsize.step.name": "s"}
    points = {("stepsize.task.memory.usage", (("a", 1),)): [(1, 2)]}
    request = _parse(encode([ResourcePoints(resource, 0, points), ResourcePoints({}, 0)], point_attributes=True))
    (found,) = request.resource_metrics
    point = found.scope_metrics[0].metrics[0].gauge.data_points[0]
    assert _plain(point.attributes) == {"flow": "F", "run": "1", "step": "s", "a": 1}
