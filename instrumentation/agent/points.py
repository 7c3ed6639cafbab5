"""Points on their way out: gathered by resource and series, sealed into batches, turned into `MetricsData`.

What comes in: observations with their resource and time. What goes out: batches, and OpenTelemetry's own data
classes, whose points hold the true time of each sample: the SDK's readers keep one value per series and collection.
Never sends anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.model import METRICS, SCOPE_NAME, TASK_END, Attr, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from opentelemetry.sdk.metrics.export import Metric as SdkMetric
    from opentelemetry.sdk.metrics.export import MetricsData

    from stepsize.instrumentation.agent.probes.observation import Attributes, Observation
    from stepsize.model import AttributeValue

_COPIED = (("flow", Attr.FLOW), ("run", Attr.RUN), ("step", Attr.STEP))


@dataclass(slots=True)
class ResourcePoints:
    """The points of one resource: (metric, attributes) → (time, value) in the order of time.

    Attributes:
        resource: its attributes when the batch was sealed.
        start_unix_nano: since when its sums have counted.
    """

    resource: Mapping[str, AttributeValue]
    start_unix_nano: int
    series: dict[tuple[str, Attributes], list[tuple[int, int | float]]] = field(default_factory=dict)

    def add(self, time_unix_nano: int, observations: Iterable[Observation]) -> int:
        """Append one sample; how many points it has."""
        count = 0
        for observation in observations:
            key = observation.metric.name, observation.attributes
            self.series.setdefault(key, []).append((time_unix_nano, observation.value))
            count += 1
        return count

    def size(self) -> int:
        """How many points there are."""
        return sum(len(points) for points in self.series.values())


@dataclass(slots=True)
class Batch:
    """What is sent and acknowledged together."""

    resources: list[ResourcePoints]
    points: int
    thinned: bool = False

    def thin(self) -> int:
        """Keep the last point of every series, which holds sums, peaks and ends; how many points were dropped."""
        before = self.points
        for resource in self.resources:
            for key, points in resource.series.items():
                resource.series[key] = points if key[0] == TASK_END.name else points[-1:]
        self.points = sum(resource.size() for resource in self.resources)
        self.thinned = True
        return before - self.points


def merge(batches: Sequence[Batch], max_points: int) -> tuple[list[ResourcePoints], int]:
    """The resources of as many batches, from the first on, as stay within ``max_points``; at least one batch."""
    resources: list[ResourcePoints] = []
    taken = points = 0
    for batch in batches:
        if taken and points + batch.points > max_points:
            break
        resources += batch.resources
        points += batch.points
        taken += 1
    return resources, taken


def copied_attributes(resource: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Flow, run and step, as they are copied onto points for backends that drop resources."""
    return {name: resource[key] for name, key in _COPIED if key in resource}


def to_metrics_data(resources: Iterable[ResourcePoints], *, point_attributes: bool) -> MetricsData:
    """OpenTelemetry's form of the points; ``point_attributes`` copies flow, run and step onto each.

    Sums are cumulative and monotonic from their resource's start, gauges have no start.
    """
    # The SDK takes 100 ms to import: the agent samples while its sender does.
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415

    from stepsize import __version__  # noqa: PLC0415

    scope = InstrumentationScope(SCOPE_NAME, __version__)
    # OpenTelemetry's encoder keeps the last of resources that are equal, as those of two batches are: one each.
    found: dict[Resource, list[SdkMetric]] = {}
    for resource in resources:
        metrics = _metrics(resource, copied_attributes(resource.resource) if point_attributes else {})
        if metrics:
            found.setdefault(Resource(dict(resource.resource)), []).extend(metrics)
    return MetricsData(
        resource_metrics=[
            ResourceMetrics(resource, [ScopeMetrics(scope=scope, metrics=metrics, schema_url="")], schema_url="")
            for resource, metrics in found.items()
        ]
    )


def _metrics(resource: ResourcePoints, copied: Mapping[str, AttributeValue]) -> list[SdkMetric]:
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415 - as above
        AggregationTemporality,
        Gauge,
        Metric,
        NumberDataPoint,
        Sum,
    )

    by_metric: dict[str, list[NumberDataPoint]] = {}
    for (name, attributes), points in resource.series.items():
        start = resource.start_unix_nano if METRICS[name].kind is Kind.SUM else 0
        merged = {**copied, **dict(attributes)}
        by_metric.setdefault(name, []).extend(NumberDataPoint(merged, start, when, value) for when, value in points)
    found = []
    for name, data_points in by_metric.items():
        row = METRICS[name]
        data: Sum | Gauge = Gauge(data_points)
        if row.kind is Kind.SUM:
            data = Sum(data_points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
        found.append(Metric(name, row.description, row.unit, data))
    return found
