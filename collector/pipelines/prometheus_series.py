"""The last value of each series, for the ``prometheus`` exporter.

What comes in: requests, the time. What goes out: families of series in Prometheus's text format. Never does I/O.
What is older than what a series has is passed over, a series without news for ``metric_expiration`` is forgotten, and
their number is bounded. Sums of deltas are added up (upstream's accumulator); deltas that may fall are not shown: there
is no total that they would be part of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepsize.collector.pipelines.prometheus_names import labels, metric_name
from stepsize.collector.pipelines.values import as_text, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stepsize.collector.components.prometheus_exporter import PrometheusExporterConfig

    Labels = tuple[tuple[str, str], ...]

MAX_SERIES = 500_000
_DELTA, _CUMULATIVE = 1, 2
_NO_RECORDED_VALUE = 1
_IDENTITY = ("service.name", "service.namespace", "service.instance.id")
_TYPES = {"gauge": "gauge", "histogram": "histogram", "exponential_histogram": "histogram", "summary": "summary"}


@dataclass(slots=True)
class _Series:
    """One series: its values by the suffix of the line that shows them, and by what is added to the labels there."""

    time_unix_nano: int
    updated_s: float
    values: dict[tuple[str, str, str], float]


@dataclass(slots=True)
class _Family:
    """Series of one name."""

    kind: str
    help: str
    series: dict[Labels, _Series] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Resource:
    """What all series of a resource and scope share."""

    common: tuple[tuple[str, str], ...]
    attributes: tuple[tuple[str, str], ...]


class PrometheusSeries:
    """The exporter's memory.

    Args:
        config: how series are named and how long they stay.
        log: takes a line for the operator.
        max_series: more are not shown.
    """

    def __init__(
        self, config: PrometheusExporterConfig, log: Callable[[str], None], max_series: int = MAX_SERIES
    ) -> None:
        self._config = config
        self._log = log
        self._max_series = max_series
        self._const_labels = labels(config.const_labels)
        self._families: dict[str, _Family] = {}
        self._count = 0
        self._said: set[str] = set()

    def consume(self, message: Any, now_s: float) -> None:
        """Take the values of a request."""
        for resource in message.resource_metrics:
            attributes = _texts(resource.resource.attributes)
            self._show_target(attributes, now_s)
            for scope in resource.scope_metrics:
                known = self._known(attributes, scope)
                for metric in scope.metrics:
                    self._take(metric, known, now_s)

    def text(self, now_s: float) -> bytes:
        """Everything in the text format, version 0.0.4."""
        self._expire(now_s)
        return "".join(self._lines()).encode("utf-8", "replace")

    # taking values

    def _known(self, attributes: dict[str, str], scope: Any) -> _Resource:
        config = self._config
        common = dict(_job_and_instance(attributes))
        if not config.without_scope_info:
            common |= {f"otel_scope_{key}": value for key, value in _texts(scope.scope.attributes).items()}
            common |= {
                "otel_scope_name": scope.scope.name,
                "otel_scope_version": scope.scope.version,
                "otel_scope_schema_url": scope.schema_url,
            }
        conversion = config.resource_to_telemetry_conversion
        skipped = _IDENTITY if conversion.exclude_service_attributes else ()
        shared = {key: value for key, value in attributes.items() if conversion.enabled and key not in skipped}
        return _Resource(tuple(common.items()), tuple(shared.items()))

    def _take(self, metric: Any, known: _Resource, now_s: float) -> None:
        kind = metric.WhichOneof("data")
        if kind is None:
            return
        data = getattr(metric, kind)
        temporality = getattr(data, "aggregation_temporality", _CUMULATIVE)
        is_counter = kind == "sum" and data.is_monotonic
        if temporality not in (_DELTA, _CUMULATIVE) or (kind == "sum" and temporality == _DELTA and not is_counter):
            return
        shown = "counter" if is_counter else _TYPES.get(kind, "gauge")
        name = metric_name(
            metric.name,
            metric.unit,
            namespace=self._config.namespace,
            suffixes=self._config.suffixes,
            is_counter=is_counter,
            is_gauge=shown == "gauge",
        )
        family = self._family(name, shown, metric.description)
        if family is None:
            return
        for point in data.data_points:
            attributes = dict(known.common) | _texts(point.attributes) | dict(known.attributes)
            found = labels(attributes.items()) | self._const_labels
            if point.flags & _NO_RECORDED_VALUE:
                self._forget(family, tuple(sorted(found.items())))
                continue
            self._put(family, found, point.time_unix_nano, _values(kind, point), now_s, adds=temporality == _DELTA)

    def _family(self, name: str, kind: str, description: str) -> _Family | None:
        family = self._families.get(name)
        if family is None and name:
            family = self._families[name] = _Family(kind, description)
        if family is None or family.kind != kind:
            self._say(f"{name or 'a metric'} of type {kind} cannot be shown: its name is another's, or has no letters")
            return None
        return family

    def _put(
        self,
        family: _Family,
        found: dict[str, str],
        time_unix_nano: int,
        values: dict[tuple[str, str, str], float],
        now_s: float,
        *,
        adds: bool = False,
    ) -> None:
        key = tuple(sorted(found.items()))
        series = family.series.get(key)
        if series is None:
            if self._count >= self._max_series:
                self._say(f"there are more than {self._max_series} series; new ones are not shown")
                return
            family.series[key] = _Series(time_unix_nano, now_s, values)
            self._count += 1
            return
        if time_unix_nano < series.time_unix_nano or (adds and time_unix_nano == series.time_unix_nano):
            return
        if adds and values.keys() == series.values.keys():
            values = {part: value + series.values[part] for part, value in values.items()}
        series.time_unix_nano, series.updated_s, series.values = time_unix_nano, now_s, values

    def _show_target(self, attributes: dict[str, str], now_s: float) -> None:
        """``target_info``: what is known of a resource that has a name."""
        identity = dict(_job_and_instance(attributes))
        others = {key: value for key, value in attributes.items() if key not in _IDENTITY}
        if identity and others and (family := self._family("target_info", "gauge", "Target metadata")):
            found = labels((others | identity).items()) | self._const_labels
            self._put(family, found, 0, {("", "", ""): 1.0}, now_s)

    def _forget(self, family: _Family, key: Labels) -> None:
        if family.series.pop(key, None) is not None:
            self._count -= 1

    def _say(self, line: str) -> None:
        if line not in self._said and len(self._said) < 100:
            self._said.add(line)
            self._log(line if line.isprintable() else repr(line))

    # showing them

    def _expire(self, now_s: float) -> None:
        oldest_s = now_s - self._config.metric_expiration_s
        for name, family in list(self._families.items()):
            for key in [key for key, series in family.series.items() if series.updated_s < oldest_s]:
                self._forget(family, key)
            if not family.series:
                del self._families[name]

    def _lines(self) -> Iterator[str]:
        for name, family in sorted(self._families.items()):
            if family.help:
                yield f"# HELP {name} {_escaped(family.help)}\n"
            yield f"# TYPE {name} {family.kind}\n"
            for key, series in sorted(family.series.items()):
                stamp = (
                    f" {series.time_unix_nano // 10**6}"
                    if self._config.send_timestamps and series.time_unix_nano
                    else ""
                )
                for (suffix, label, value), number in series.values.items():
                    pairs = [*key, (label, value)] if label else key
                    written = ",".join(f'{one}="{_escaped(text, quotes=True)}"' for one, text in pairs)
                    yield f"{name}{suffix}{{{written}}} {_number(number)}{stamp}\n"


def _values(kind: str, point: Any) -> dict[tuple[str, str, str], float]:
    if kind in ("gauge", "sum"):
        return {("", "", ""): point.as_int if point.WhichOneof("value") == "as_int" else point.as_double}
    made: dict[tuple[str, str, str], float] = {}
    if kind == "summary":
        made = {("", "quantile", _number(one.quantile)): one.value for one in point.quantile_values}
    else:
        if kind == "histogram":
            total = 0
            # One count more than bounds: the last is that of +Inf, which `count` has.
            for bound, count in zip(point.explicit_bounds, point.bucket_counts, strict=False):
                total += count
                made["_bucket", "le", _number(bound)] = total
        made["_bucket", "le", "+Inf"] = point.count
    made["_sum", "", ""] = point.sum
    made["_count", "", ""] = point.count
    return made


def _texts(attributes: Any) -> dict[str, str]:
    return {pair.key: as_text(plain(pair.value)) for pair in attributes}


def _job_and_instance(attributes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Labels ``job`` and ``instance`` of a resource (specification, "Resource attributes")."""
    if name := attributes.get("service.name", ""):
        space = attributes.get("service.namespace", "")
        yield "job", f"{space}/{name}" if space else name
    if instance := attributes.get("service.instance.id", ""):
        yield "instance", instance


def _number(value: float) -> str:
    return as_text(value)


def _escaped(text: str, *, quotes: bool = False) -> str:
    made = text.replace("\\", "\\\\").replace("\n", "\\n")
    return made.replace('"', '\\"') if quotes else made
