"""OTLP requests for tests, built by hand from the published schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECOND = 10**9
_FIELDS = {
    bool: "bool_value",
    int: "int_value",
    float: "double_value",
    bytes: "bytes_value",
    str: "string_value",
}


def any_value(value: Any) -> AnyValue:
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
    if value is None:
        return AnyValue()
    return AnyValue(**{_FIELDS[type(value)]: value})


def pairs(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def identity(task: str = "1", attempt: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "stepsize.flow.name": "TrainFlow",
        "stepsize.run.id": "17",
        "stepsize.step.name": "train",
        "stepsize.task.id": task,
        "stepsize.task.attempt": attempt,
        "host.name": "worker-1",
        "service.name": "TrainFlow",
        **more,
    }


class RequestBuilder:
    """One request with one resource; metrics are added to it."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.message = ExportMetricsServiceRequest()
        one = self.message.resource_metrics.add()
        one.resource.attributes.extend(pairs(resource))
        self._scope = one.scope_metrics.add()
        self._scope.scope.name = "stepsize"

    def gauge(
        self, name: str, points: Iterable[tuple[int, float]], unit: str = "1", **attributes: Any
    ) -> RequestBuilder:
        data = self._scope.metrics.add(name=name, unit=unit).gauge.data_points
        for time, value in points:
            point = data.add(time_unix_nano=time, attributes=pairs(_dotted(attributes)))
            if isinstance(value, int):
                point.as_int = value
            else:
                point.as_double = value
        return self

    def sum(
        self, name: str, start: int, points: Iterable[tuple[int, float]], unit: str = "1", **attributes: Any
    ) -> RequestBuilder:
        data = self._scope.metrics.add(name=name, unit=unit).sum
        data.is_monotonic, data.aggregation_temporality = True, 2
        for time, value in points:
            point = data.data_points.add(
                time_unix_nano=time, start_time_unix_nano=start, attributes=pairs(_dotted(attributes))
            )
            if isinstance(value, int):
                point.as_int = value
            else:
                point.as_double = value
        return self

    def end(self, time: int, outcome: str, **attributes: Any) -> RequestBuilder:
        return self.gauge("stepsize.task.end", [(time, 1)], stepsize__outcome=outcome, **attributes)

    def content(self) -> bytes:
        return self.message.SerializeToString()


def _dotted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("__", "."): value for name, value in attributes.items()}


def cpu_samples(start: int, cores: Iterable[float]) -> list[tuple[int, float]]:
    return [(start + (i + 1) * SECOND, value) for i, value in enumerate(cores)]
