"""Folds a batch of points into the attempts that they tell of.

What comes in: series with their points. What goes out: changed :class:`~stepsize.collector.rollup.attempt.Attempt`
states and facts about hosts. Never does I/O. A metric that no rule below names leaves the roll-up as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize import model
from stepsize.collector.rollup.attempt import Attempt, AttemptKey
from stepsize.model import Attr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepsize.collector.decode.series import NumberPoints, Series

_PREFIXES = ("stepsize.task.", "container.")

# Resource attribute → column of `tasks`. Which of them is newest counts: annotations and hosts become known late.
_TEXTS: Mapping[str, str] = {
    Attr.ITEM: "item",
    Attr.CODE_VERSION: "code_version",
    Attr.RUN_ORIGIN: "run_origin",
    Attr.PROJECT: "project",
    Attr.BRANCH: "branch",
    Attr.USER: "user",
    "host.name": "host",
    "cloud.provider": "cloud_vendor",
    "cloud.region": "cloud_region",
    "host.type": "instance_type",
}
_NUMBERS: Mapping[str, str] = {
    Attr.REQUEST_CPU: "requested_cpu",
    Attr.REQUEST_MEMORY: "requested_memory_bytes",
    Attr.REQUEST_GPU: "requested_gpu",
    Attr.REQUEST_DISK: "requested_disk_bytes",
}
_ENVIRONMENT = ("deployment.environment.name", "service.namespace", "k8s.cluster.name")
_OUTCOMES = frozenset(outcome.value for outcome in model.Outcome)


@dataclass(slots=True)
class Host:
    """What a host's own metrics say of it."""

    host_cpus: int | None = None
    host_memory_bytes: int | None = None


def attempt_key(series: Series) -> AttemptKey | None:
    """Whose attempt a series tells of, or None where it tells of none."""
    if series.flow is None or series.run is None or series.step is None or series.task is None:
        return None
    values = series.resource.attributes
    environment = "/".join(str(values.get(name, "")) for name in _ENVIRONMENT)
    return AttemptKey(
        series.flow,
        series.run,
        series.step,
        series.task,
        series.attempt or 0,
        str(values.get(Attr.PROJECT, "")),
        str(values.get(Attr.BRANCH, "")),
        str(values.get(Attr.USER, "")),
        environment.strip("/"),
    )


def attempts_in(numbers: Mapping[Series, NumberPoints]) -> dict[AttemptKey, list[Series]]:
    """The series of a batch that the roll-up is interested in, by attempt."""
    found: dict[AttemptKey, list[Series]] = {}
    for series in numbers:
        if series.metric.name.startswith(_PREFIXES):
            key = attempt_key(series)
            if key is not None:
                found.setdefault(key, []).append(series)
    return found


def fold_hosts(hosts: dict[str, Host], numbers: Mapping[Series, NumberPoints]) -> bool:
    """Note what ``system.*`` points say of their hosts; whether that is news."""
    news = False
    for series, points in numbers.items():
        column = _HOST_COLUMNS.get(series.metric.name)
        name = series.resource.attributes.get("host.name")
        values = points.values() if column and name is not None else []
        if column and values:
            host, value = hosts.setdefault(str(name), Host()), round(values[-1][1])
            if getattr(host, column) != value:
                setattr(host, column, value)
                news = True
    return news


_HOST_COLUMNS = {
    model.SYSTEM_CPU_LOGICAL_COUNT.name: "host_cpus",
    model.SYSTEM_MEMORY_LIMIT.name: "host_memory_bytes",
}


def fold(attempt: Attempt, series: list[Series], numbers: Mapping[Series, NumberPoints]) -> None:
    """Fold the points of ``series``, all of one attempt, into its state."""
    if attempt.presumed:  # it was silent, and is not: what was concluded from that is taken back
        attempt.presumed, attempt.outcome = False, None
    for one in series:
        _see(attempt, one, numbers[one])
    for resource in {id(one.resource): one.resource for one in series}.values():
        _describe(attempt.described, resource.attributes)
    # The start has to be known before the first sample of a rate is weighed, so rules come second.
    for one in series:
        points = numbers[one]
        rule = _RULES.get(one.metric.name)
        samples = points.values()
        if rule is not None and samples:
            rule(attempt, one, points, samples)


def _see(attempt: Attempt, series: Series, points: NumberPoints) -> None:
    attempt.arrived_ns = max(attempt.arrived_ns, *points.received)
    times = [time for time in points.time if time > 0]
    if times:
        attempt.seen(min(times), max(times))
    if series.metric.name.startswith("stepsize.task.") and series.metric.kind == "sum":
        starts = [start for start in points.start if start > 0]
        if starts:  # a container may be older than the task in it
            attempt.seen(min(starts), 0)


def _describe(described: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    for name, column in _TEXTS.items():
        if (text := attributes.get(name)) is not None:
            described[column] = str(text)
    for name, column in _NUMBERS.items():
        if (number := _number(attributes.get(name))) is not None:
            described[column] = round(number) if column.endswith("_bytes") else number
    notes = {
        name.removeprefix(Attr.ANNOTATION_PREFIX): value
        for name, value in attributes.items()
        if name.startswith(Attr.ANNOTATION_PREFIX)
    }
    if notes:
        described["annotations"] = {**described.get("annotations", {}), **notes}


_Samples = list[tuple[int, float]]


def _values(samples: _Samples) -> list[float]:
    return [value for _, value in samples]


def _cpu_usage(attempt: Attempt, series: Series, _points: NumberPoints, samples: _Samples) -> None:
    attempt.add_cpu(sorted(samples))
    attempt.add_level(series.metric.name, _values(samples))


def _memory_usage(attempt: Attempt, series: Series, _points: NumberPoints, samples: _Samples) -> None:
    attempt.add_level(series.metric.name, _values(samples))
    attempt.add_memory_peak(max(_values(samples)), "samples")


def _memory_peak(attempt: Attempt, series: Series, _points: NumberPoints, samples: _Samples) -> None:
    attempt.add_memory_peak(max(_values(samples)), str(series.attributes.get(Attr.MEMORY_SOURCE, "samples")))


def _memory_limit(attempt: Attempt, _series: Series, _points: NumberPoints, samples: _Samples) -> None:
    attempt.memory_limit = max(samples)[1]


def _level(attempt: Attempt, series: Series, _points: NumberPoints, samples: _Samples) -> None:
    device = series.attributes.get("hw.id")
    name = series.metric.name
    attempt.add_level(name if device is None else f"{name}|{device}", _values(samples))


def _counter(attempt: Attempt, series: Series, points: NumberPoints, samples: _Samples) -> None:
    which = "|".join(str(series.attributes.get(name, "")) for name in ("cpu.mode", "disk.io.direction"))
    if series.metric.temporality == "delta":
        attempt.add_delta(f"{series.metric.name}|{which}|0", _values(samples))
        return
    by_start: dict[int, list[float]] = {}
    for kind, start, double, integer in zip(points.kinds, points.start, points.double, points.integer, strict=True):
        if kind == 2 or (kind == 1 and math.isfinite(double)):
            by_start.setdefault(start, []).append(double if kind == 1 else float(integer))
    for start, values in by_start.items():
        attempt.add_counter(f"{series.metric.name}|{which}|{start}", values)


def _network(attempt: Attempt, series: Series, _points: NumberPoints, samples: _Samples) -> None:
    if series.attributes.get(Attr.SCOPE) == "host":  # traffic of everybody on the host says nothing of the task
        return
    direction = series.attributes.get("network.io.direction")
    attempt.add_rate(f"{series.metric.name}|{direction}", sorted(samples))


def _end(attempt: Attempt, series: Series, _points: NumberPoints, samples: _Samples) -> None:
    outcome = series.attributes.get(Attr.OUTCOME)
    attempt.outcome = outcome if outcome in _OUTCOMES else model.Outcome.UNKNOWN.value
    attempt.ended_ns = max(attempt.ended_ns, max(samples)[0])
    attempt.exit_code = _integer(series.attributes.get("process.exit.code"))
    attempt.exit_signal = _integer(series.attributes.get("process.exit.signal"))


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 2**63 else None


def _integer(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and abs(number) < 2**31 else None


_RULES: Mapping[str, Callable[[Attempt, Series, NumberPoints, _Samples], None]] = {
    model.TASK_CPU_USAGE.name: _cpu_usage,
    model.TASK_CPU_TIME.name: _counter,
    model.TASK_MEMORY_USAGE.name: _memory_usage,
    model.TASK_MEMORY_PEAK.name: _memory_peak,
    model.TASK_DISK_IO.name: _counter,
    model.TASK_DISK_USAGE.name: _level,
    model.TASK_NETWORK_IO_RATE.name: _network,
    model.TASK_GPU_UTILIZATION.name: _level,
    model.TASK_GPU_MEMORY_USAGE.name: _level,
    model.TASK_GPU_COUNT.name: _level,
    model.TASK_END.name: _end,
    model.CONTAINER_CPU_THROTTLED_TIME.name: _counter,
    model.CONTAINER_MEMORY_OOM_KILLS.name: _counter,
    model.CONTAINER_MEMORY_LIMIT.name: _memory_limit,
}
"""What each metric of an attempt does to its state; `system.*` is folded by :func:`fold_hosts`."""
