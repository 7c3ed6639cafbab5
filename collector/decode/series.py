"""What the points of a series have in common, and the points gathered of it.

What comes in: a decoded resource, scope, metric and attributes. What goes out: :class:`Series` with the tags the lake
and the roll-up look for, and columns of points. Never does I/O.

A tag is taken from the resource under its own name (``stepsize.flow.name``), else from the point under it, else under
its short name (``flow``) from the resource or the point, so that any OpenTelemetry SDK can feed the lake.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepsize.model import Attr

if TYPE_CHECKING:
    from collections.abc import Mapping

INT64_MAX = 2**63 - 1

_TAGS = {
    "flow": Attr.FLOW,
    "run": Attr.RUN,
    "step": Attr.STEP,
    "task": Attr.TASK,
    "attempt": Attr.ATTEMPT,
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A decoded resource: its attributes, and as JSON text."""

    attributes: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """A metric apart from its points. ``temporality`` is None for gauges and summaries."""

    name: str
    unit: str
    kind: str
    description: str
    metadata: str | None
    temporality: str | None
    monotonic: bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series: equal in everything but its points. Compared by identity; the decoder makes each one once."""

    metric: MetricInfo
    resource: Resource
    scope: str
    attributes: Mapping[str, Any]
    attributes_text: str
    flow: str | None
    run: str | None
    step: str | None
    task: str | None
    attempt: int | None

    @classmethod
    def make(
        cls, metric: MetricInfo, resource: Resource, scope: str, attributes: Mapping[str, Any], attributes_text: str
    ) -> Series:
        """The series, its tags found."""
        tags = {name: _tag(name, full, resource.attributes, attributes) for name, full in _TAGS.items()}
        attempt = _integer(tags.pop("attempt"))
        texts = {name: None if value is None else str(value) for name, value in tags.items()}
        return cls(metric, resource, scope, attributes, attributes_text, attempt=attempt, **texts)


@dataclass(slots=True)
class NumberPoints:
    """Points of a gauge or sum, by column. ``kinds`` holds 0 no value, 1 a double, 2 an integer."""

    time: array[int] = field(default_factory=lambda: array("q"))
    start: array[int] = field(default_factory=lambda: array("q"))
    received: array[int] = field(default_factory=lambda: array("q"))
    flags: array[int] = field(default_factory=lambda: array("I"))
    double: array[float] = field(default_factory=lambda: array("d"))
    integer: array[int] = field(default_factory=lambda: array("q"))
    kinds: bytearray = field(default_factory=bytearray)
    exemplars: dict[int, str] = field(default_factory=dict)

    def values(self) -> list[tuple[int, float]]:
        """(time in nanoseconds, value) of the points that have a finite value, in order of arrival."""
        return [
            (time, double if kind == 1 else float(integer))
            for time, kind, double, integer in zip(self.time, self.kinds, self.double, self.integer, strict=True)
            if kind and (kind == 2 or math.isfinite(double))
        ]


@dataclass(slots=True)
class OtherPoints:
    """Points of a histogram, exponential histogram or summary: rows of stored columns."""

    time: array[int] = field(default_factory=lambda: array("q"))
    received: array[int] = field(default_factory=lambda: array("q"))
    rows: list[dict[str, Any]] = field(default_factory=list)


def _tag(name: str, full: str, resource: Mapping[str, Any], attributes: Mapping[str, Any]) -> Any:
    for mapping, key in ((resource, full), (attributes, full), (resource, name), (attributes, name)):
        value = mapping.get(key)
        if value is not None:
            return value
    return None


def _integer(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if -(2**31) <= number < 2**31 else None
