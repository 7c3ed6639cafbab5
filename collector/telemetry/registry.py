"""The collector's own metrics: counters that cost an addition, and what is read only when somebody asks.

What comes in: names, additions, functions that read. What goes out: :class:`Family` values, one per metric. Never does
I/O by itself, and never fails because a reading does: what cannot be read is absent.

Names are the OpenTelemetry Collector's where it has one (its `service/documentation.md` and
`receiver/receiverhelper/documentation.md`), else they start with ``stepsize_``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

Labels = tuple[tuple[str, str], ...]
SUM, GAUGE = "sum", "gauge"


@dataclass(slots=True)
class Counter:
    """A sum that only grows; written by one thread."""

    value: float = 0

    def add(self, amount: float = 1) -> None:
        """Count ``amount`` more."""
        self.value += amount


@dataclass(frozen=True, slots=True)
class Family:
    """All series of one metric at one moment.

    Attributes:
        name: as it is exported.
        kind: :data:`SUM` (monotonic, cumulative since the start) or :data:`GAUGE`.
        unit: in UCUM, as OpenTelemetry has it.
        description: one line.
        samples: labels and value of each series.
    """

    name: str
    kind: str
    unit: str
    description: str
    samples: tuple[tuple[Labels, float], ...]


@dataclass(slots=True)
class _Metric:
    kind: str
    unit: str
    description: str
    series: dict[Labels, Callable[[], float | None]] = field(default_factory=dict)
    counters: dict[Labels, Counter] = field(default_factory=dict)


class Registry:
    """The metrics of one collector."""

    def __init__(self) -> None:
        self._metrics: dict[str, _Metric] = {}

    def counter(self, name: str, unit: str, description: str, **labels: str) -> Counter:
        """The counter of a name and labels; the same one each time it is asked for."""
        metric = self._metric(name, SUM, unit, description)
        return metric.counters.setdefault(_labels(labels), Counter())

    def observe(
        self, name: str, kind: str, unit: str, description: str, read: Callable[[], float | None], **labels: str
    ) -> None:
        """Have ``read`` give the value whenever metrics are collected; None, or an `OSError`, is no value."""
        self._metric(name, kind, unit, description).series[_labels(labels)] = read

    def collect(self) -> list[Family]:
        """Everything there is, by name."""
        return [
            Family(name, metric.kind, metric.unit, metric.description, samples)
            for name, metric in sorted(self._metrics.items())
            if (samples := _samples(metric))
        ]

    def _metric(self, name: str, kind: str, unit: str, description: str) -> _Metric:
        return self._metrics.setdefault(name, _Metric(kind, unit, description))


def _labels(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _samples(metric: _Metric) -> tuple[tuple[Labels, float], ...]:
    found = [(labels, counter.value) for labels, counter in metric.counters.items()]
    for labels, read in metric.series.items():
        try:
            value = read()
        except OSError:
            continue
        if value is not None:
            found.append((labels, value))
    return tuple(found)
