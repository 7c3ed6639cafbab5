"""Validated OTLP requests to series and their points.

What comes in: the bytes of ``ExportMetricsServiceRequest`` messages that the full schema accepted, with their times of
arrival. What goes out: a :class:`Batch` with every field of every point. Never does I/O, never drops a point.

Resources, scopes, metrics and attribute sets are looked up by their raw bytes and decoded once: tasks send the same
ones with every export. What is kept of them is bounded: everything is forgotten once it is full.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2

from stepsize.collector.decode.distributions import (
    exemplar_text,
    exponential_histogram_row,
    histogram_row,
    summary_row,
)
from stepsize.collector.decode.projection import projected_request
from stepsize.collector.decode.series import INT64_MAX, MetricInfo, NumberPoints, OtherPoints, Resource, Series
from stepsize.collector.decode.values import attributes, json_text

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE_BYTES = 128 << 20
"""Bound of the caches, as far as they can be weighed; 200,000 series of usual length."""
_ENTRY_BYTES = 600  # what Python takes for an entry besides its bytes
_TEMPORALITIES = {0: "unspecified", 1: "delta", 2: "cumulative"}
_DISTRIBUTIONS: dict[str, tuple[Any, Callable[[Any], dict[str, Any]], str]] = {
    "histogram": (metrics_pb2.Histogram, histogram_row, "histograms"),
    "exponential_histogram": (metrics_pb2.ExponentialHistogram, exponential_histogram_row, "exponential_histograms"),
    "summary": (metrics_pb2.Summary, summary_row, "summaries"),
}
"""Field of ``Metric`` → its message, the row of one of its points, and the table of the lake."""


@dataclass(slots=True)
class Batch:
    """Points gathered from any number of requests."""

    numbers: dict[Series, NumberPoints] = field(default_factory=dict)
    others: dict[str, dict[Series, OtherPoints]] = field(
        default_factory=lambda: {table: {} for _, _, table in _DISTRIBUTIONS.values()}
    )
    count: int = 0


_Extra = tuple[tuple[str, Any], ...]
"""What a resource says besides its attributes; rare, and kept beside the scope."""


@dataclass(slots=True)
class _Caches:
    resources: dict[tuple[bytes, str], tuple[Resource, _Extra]] = field(default_factory=dict)
    scopes: dict[tuple[bytes, str, _Extra], str] = field(default_factory=dict)
    series: dict[tuple[Any, ...], dict[tuple[bytes, ...], Series]] = field(default_factory=dict)
    size_bytes: int = 0

    def weigh(self, *contents: bytes | str) -> None:
        """Count a new entry, made from ``contents``."""
        self.size_bytes += _ENTRY_BYTES + sum(map(len, contents))


class Decoder:
    """Decodes requests; keeps what it has decoded of resources, metrics and attributes, up to ``cache_bytes``."""

    def __init__(self, cache_bytes: int = CACHE_BYTES) -> None:
        self._request = projected_request()
        self._cache_bytes = cache_bytes
        self._caches = _Caches()

    def add(self, batch: Batch, request: bytes, received_at_unix_nano: int) -> None:
        """Add the points of one request to ``batch``."""
        if self._caches.size_bytes > self._cache_bytes:
            self._caches = _Caches()
        for resource_metrics in self._request.FromString(request).resource_metrics:
            resource = self._resource(resource_metrics.resource, resource_metrics.schema_url)
            for scope_metrics in resource_metrics.scope_metrics:
                scope = self._scope(scope_metrics.scope, scope_metrics.schema_url, resource[1])
                for metric in scope_metrics.metrics:
                    self._metric(batch, metric, resource[0], scope, received_at_unix_nano)

    def _resource(self, content: bytes, schema_url: str) -> tuple[Resource, _Extra]:
        key = (content, schema_url)
        found = self._caches.resources.get(key)
        if found is None:
            message = resource_pb2.Resource.FromString(content)
            values = attributes(message.attributes)
            extra = (
                ("resource_schema_url", schema_url),
                ("resource_dropped_attributes_count", message.dropped_attributes_count),
            )
            found = self._caches.resources[key] = Resource(values, json_text(values)), extra
            self._caches.weigh(content, schema_url)
        return found

    def _scope(self, content: bytes, schema_url: str, resource_extra: _Extra) -> str:
        key = (content, schema_url, resource_extra)
        found = self._caches.scopes.get(key)
        if found is None:
            message = common_pb2.InstrumentationScope.FromString(content)
            values = {
                "name": message.name,
                "version": message.version,
                "attributes": attributes(message.attributes),
                "dropped_attributes_count": message.dropped_attributes_count,
                "schema_url": schema_url,
                **dict(resource_extra),
            }
            found = self._caches.scopes[key] = json_text({name: value for name, value in values.items() if value})
            self._caches.weigh(content, schema_url)
        return found

    def _metric(self, batch: Batch, metric: Any, resource: Resource, scope: str, received: int) -> None:
        kind = metric.WhichOneof("data")
        if kind is None:
            return  # a type of a later OTLP, which the receiver has counted as rejected
        if kind in _DISTRIBUTIONS:
            self._distribution(batch, metric, kind, resource, scope, received)
            return
        data = getattr(metric, kind)
        info = _info(metric, kind, data)
        known = self._known(resource, scope, info)
        for point in data.data_points:
            series = self._series(known, tuple(point.attributes), info, resource, scope)
            points = batch.numbers.get(series)
            if points is None:
                points = batch.numbers[series] = NumberPoints()
            _append(points, point, received)
        batch.count += len(data.data_points)

    def _distribution(
        self, batch: Batch, metric: Any, kind: str, resource: Resource, scope: str, received: int
    ) -> None:
        message, row, table = _DISTRIBUTIONS[kind]
        data = message.FromString(getattr(metric, kind))
        info = _info(metric, kind, data)
        known = self._known(resource, scope, info)
        for point in data.data_points:
            key = tuple(pair.SerializeToString(deterministic=True) for pair in point.attributes)
            series = self._series(known, key, info, resource, scope)
            points = batch.others[table].get(series)
            if points is None:
                points = batch.others[table][series] = OtherPoints()
            points.time.append(min(point.time_unix_nano, INT64_MAX))
            points.received.append(received)
            points.rows.append(row(point))
        batch.count += len(data.data_points)

    def _known(self, resource: Resource, scope: str, info: MetricInfo) -> dict[tuple[bytes, ...], Series]:
        key = (id(resource), scope, info)  # the cache keeps the resource alive, so its id is not used again
        known = self._caches.series.get(key)
        if known is None:
            known = self._caches.series[key] = {}
            self._caches.weigh(info.name, info.unit, info.description, info.metadata or "")
        return known

    def _series(
        self,
        known: dict[tuple[bytes, ...], Series],
        key: tuple[bytes, ...],
        info: MetricInfo,
        resource: Resource,
        scope: str,
    ) -> Series:
        series = known.get(key)
        if series is None:
            values = attributes(map(common_pb2.KeyValue.FromString, key))
            series = known[key] = Series.make(info, resource, scope, values, json_text(values))
            self._caches.weigh(*key)
        return series


def _info(metric: Any, kind: str, data: Any) -> MetricInfo:
    metadata = json_text(attributes(map(common_pb2.KeyValue.FromString, metric.metadata))) if metric.metadata else None
    return MetricInfo(
        name=metric.name,
        unit=metric.unit,
        kind=kind,
        description=metric.description,
        metadata=metadata,
        temporality=None if kind in ("gauge", "summary") else _temporality(data.aggregation_temporality),
        monotonic=data.is_monotonic if kind == "sum" else None,
    )


def _temporality(value: int) -> str:
    return _TEMPORALITIES.get(value, str(value))


def _append(points: NumberPoints, point: Any, received: int) -> None:
    if point.exemplars:
        points.exemplars[len(points.time)] = exemplar_text(map(metrics_pb2.Exemplar.FromString, point.exemplars))
    kind = point.WhichOneof("value")
    points.kinds.append(0 if kind is None else 1 if kind == "as_double" else 2)
    points.double.append(point.as_double)
    points.integer.append(point.as_int)
    points.time.append(min(point.time_unix_nano, INT64_MAX))
    points.start.append(min(point.start_time_unix_nano, INT64_MAX))
    points.flags.append(point.flags)
    points.received.append(received)
