"""Points on their way out: gathered by resource and series, sealed into batches.

What comes in: observations with their resource and time. What goes out: batches, for the encoders (`otlp_protobuf`,
`otlp_json`). Points hold the true time of each sample. Never sends anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.model import METRICS, TASK_END, Attr, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.instrumentation.agent.probes.observation import Attributes, Observation
    from stepsize.model import AttributeValue

_LAST_COUNTS = frozenset(name for name, row in METRICS.items() if row.kind is Kind.SUM or name.endswith(".peak"))
_COPIED = (("flow", Attr.FLOW), ("run", Attr.RUN), ("step", Attr.STEP))


@dataclass(slots=True)
class ResourcePoints:
    """The points of one resource: (metric, attributes) → (time, value) in the order of time.

    Of sums and peaks only the last point is kept: it holds what those before it did.

    Attributes:
        resource: its attributes when the batch was sealed.
        start_unix_nano: since when its sums have counted.
    """

    resource: Mapping[str, AttributeValue]
    start_unix_nano: int
    series: dict[tuple[str, Attributes], list[tuple[int, int | float]]] = field(default_factory=dict)

    def add(self, time_unix_nano: int, observations: Iterable[Observation]) -> int:
        """Append one sample; by how many points there are more."""
        series, more = self.series, 0
        for metric, value, attributes in observations:
            name = metric[0]
            key = name, attributes
            point = time_unix_nano, value
            points = series.get(key)
            if points is None:
                series[key] = [point]
            elif name in _LAST_COUNTS:
                points[0] = point
                continue
            else:
                points.append(point)
            more += 1
        return more

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


def copied_attributes(resource: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Flow, run and step, as they are copied onto points for backends that drop resources."""
    return {name: resource[key] for name, key in _COPIED if key in resource}
