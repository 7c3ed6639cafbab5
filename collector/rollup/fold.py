"""Folds a batch of points into the attempts that they tell of.

What comes in: series with their points. What goes out: changed :class:`~stepsize.collector.rollup.attempt.Attempt`
states and facts about hosts. Never does I/O. A metric that no rule below names leaves the roll-up as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize import model
from stepsize.collector.rollup.attempt import ALL_DEVICES, FROM_SAMPLES, Attempt
from stepsize.collector.rollup.bounds import MOST, believed_samples, believed_starts, believed_times, figure
from stepsize.model import Attr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stepsize.collector.decode.series import NumberPoints, Series
    from stepsize.collector.limits import ClockBounds
    from stepsize.collector.rollup.bounds import Sample

# Attribute → column of `tasks`. Which of them is newest counts: annotations and hosts become known late.
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
_BY_DEVICE = frozenset({model.TASK_GPU_UTILIZATION.name, model.TASK_GPU_MEMORY_USAGE.name})
_FLAGS: Mapping[str, str] = {
    Attr.HOST_SPOT: "instance_spot",
    Attr.HOST_DEDICATED: "instance_dedicated",
}
_OUTCOMES = frozenset(outcome.value for outcome in model.Outcome)


@dataclass(slots=True)
class Host:
    """What a host's own metrics say of it."""

    host_cpus: int | None = None
    host_memory_bytes: int | None = None


def fold_hosts(hosts: dict[str, Host], numbers: Mapping[Series, NumberPoints]) -> bool:
    """Note what ``system.*`` points say of their hosts; whether that is news."""
    news = False
    for series, points in numbers.items():
        column = _HOST_COLUMNS.get(series.metric.name)
        name = series.resource.attributes.get("host.name")
        samples = believed_samples(points, points.time, MOST[series.metric.name]) if column and name is not None else []
        if column and samples:
            host, value = hosts.setdefault(str(name), Host()), round(samples[-1].value)
            if getattr(host, column) != value:
                setattr(host, column, value)
                news = True
    return news


_HOST_COLUMNS = {
    model.SYSTEM_CPU_LOGICAL_COUNT.name: "host_cpus",
    model.SYSTEM_MEMORY_LIMIT.name: "host_memory_bytes",
}


def fold(attempt: Attempt, series: list[Series], numbers: Mapping[Series, NumberPoints], clock: ClockBounds) -> None:
    """Fold the points of ``series``, all of one attempt, into its state; a time beyond ``clock`` is that of arrival."""
    if attempt.presumed:  # it was silent, and is not: what was concluded from that is taken back
        attempt.presumed, attempt.outcome = False, None
    times = [believed_times(numbers[one], clock) for one in series]
    for one, when in zip(series, times, strict=True):
        _see(attempt, one, numbers[one], when, clock)
    for one in series:
        if one.attributes:
            _describe(attempt.described, one.attributes)
    # What the resource says counts before what a point says, so it comes second.
    for resource in {id(one.resource): one.resource for one in series}.values():
        _describe(attempt.described, resource.attributes)
    # The start has to be known before the first sample of a rate is weighed, so rules come last.
    for one, when in zip(series, times, strict=True):
        rule = _RULES.get(one.metric.name)
        samples = believed_samples(numbers[one], when, MOST[one.metric.name]) if rule is not None else []
        if rule is not None and samples:
            rule(attempt, one, samples)
    _sum_devices(attempt, series, numbers, times)


def _see(attempt: Attempt, series: Series, points: NumberPoints, times: Sequence[int], clock: ClockBounds) -> None:
    attempt.arrived_ns = max(attempt.arrived_ns, *points.received)
    attempt.seen(min(times), max(times))
    if series.metric.name.startswith("stepsize.task.") and series.metric.kind == "sum":
        starts = believed_starts(points, clock)
        if starts:  # a container may be older than the task in it
            attempt.seen(min(starts), 0)


def _describe(described: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    for name, column in _TEXTS.items():
        if (text := attributes.get(name)) is not None:
            described[column] = str(text)
    if "cloud_vendor" in described:  # as the catalogue has it, so that prices can be found
        described["cloud_vendor"] = model.CLOUD_VENDORS.get(described["cloud_vendor"], described["cloud_vendor"])
    for name, column in _NUMBERS.items():
        if (number := figure(name, attributes.get(name))) is not None:
            described[column] = round(number) if column.endswith("_bytes") else number
    for name, column in _FLAGS.items():
        if isinstance(flag := attributes.get(name), bool):
            described[column] = flag
    notes = {
        name.removeprefix(Attr.ANNOTATION_PREFIX): value
        for name, value in attributes.items()
        if name.startswith(Attr.ANNOTATION_PREFIX)
    }
    if notes:
        described["annotations"] = {**described.get("annotations", {}), **notes}


def _values(samples: list[Sample]) -> list[float]:
    return [sample.value for sample in samples]


def _in_order(samples: list[Sample]) -> list[tuple[int, float]]:
    return sorted((sample.time_ns, sample.value) for sample in samples)


def _cpu_usage(attempt: Attempt, series: Series, samples: list[Sample]) -> None:
    attempt.add_cpu(_in_order(samples))
    attempt.add_level(series.metric.name, _values(samples))


def _memory_usage(attempt: Attempt, series: Series, samples: list[Sample]) -> None:
    attempt.add_level(series.metric.name, _values(samples))
    attempt.add_memory_peak(max(_values(samples)), FROM_SAMPLES)


def _memory_peak(attempt: Attempt, series: Series, samples: list[Sample]) -> None:
    attempt.add_memory_peak(max(_values(samples)), str(series.attributes.get(Attr.MEMORY_SOURCE, "")))


def _memory_limit(attempt: Attempt, _series: Series, samples: list[Sample]) -> None:
    attempt.memory_limit = _in_order(samples)[-1][1]


def _level(attempt: Attempt, series: Series, samples: list[Sample]) -> None:
    device = series.attributes.get("hw.id")
    name = series.metric.name
    attempt.add_level(name if device is None else f"{name}|{device}", _values(samples))


def _sum_devices(
    attempt: Attempt, series: list[Series], numbers: Mapping[Series, NumberPoints], times: list[Sequence[int]]
) -> None:
    """Sum by moment what was sent by device: devices need not have been at their highest at once.

    Points of one moment come in one batch, as whoever measures them sends them.
    """
    by_metric: dict[str, dict[int, dict[str, float]]] = {}
    for one, when in zip(series, times, strict=True):
        name, device = one.metric.name, one.attributes.get("hw.id")
        if device is None or name not in _BY_DEVICE:
            continue
        for sample in believed_samples(numbers[one], when, MOST[name]):
            moment = by_metric.setdefault(name, {}).setdefault(sample.time_ns, {})
            moment[str(device)] = max(moment.get(str(device), 0.0), sample.value)
    used: dict[int, set[str]] = {}
    for name, moments in by_metric.items():
        attempt.add_level(f"{name}{ALL_DEVICES}", [math.fsum(moment.values()) for moment in moments.values()])
        for time_ns, moment in moments.items():
            used.setdefault(time_ns, set()).update(device for device, value in moment.items() if value > 0)
    if used:
        attempt.add_level(
            f"{model.TASK_GPU_COUNT.name}{ALL_DEVICES}", [float(len(devices)) for devices in used.values()]
        )


def _counter(attempt: Attempt, series: Series, samples: list[Sample]) -> None:
    which = "|".join(str(series.attributes.get(name, "")) for name in ("cpu.mode", "disk.io.direction"))
    if series.metric.temporality == "delta":
        attempt.add_delta(f"{series.metric.name}|{which}|0", _values(samples))
        return
    by_start: dict[int, list[float]] = {}
    for sample in samples:
        by_start.setdefault(sample.start_ns, []).append(sample.value)
    for start, values in by_start.items():
        attempt.add_counter(f"{series.metric.name}|{which}|{start}", values)


def _network(attempt: Attempt, series: Series, samples: list[Sample]) -> None:
    if series.attributes.get(Attr.SCOPE) == "host":  # traffic of everybody on the host says nothing of the task
        return
    direction = series.attributes.get("network.io.direction")
    attempt.add_rate(f"{series.metric.name}|{direction}", _in_order(samples))


def _end(attempt: Attempt, series: Series, samples: list[Sample]) -> None:
    outcome = series.attributes.get(Attr.OUTCOME)
    attempt.outcome = outcome if outcome in _OUTCOMES else model.Outcome.UNKNOWN.value
    attempt.ended_ns = max(attempt.ended_ns, max(samples).time_ns)
    attempt.exit_code = _exit_number(series, "process.exit.code")
    attempt.exit_signal = _exit_number(series, "process.exit.signal")


def _exit_number(series: Series, name: str) -> int | None:
    number = figure(name, series.attributes.get(name))
    return None if number is None else int(number)


_RULES: Mapping[str, Callable[[Attempt, Series, list[Sample]], None]] = {
    model.TASK_CPU_USAGE.name: _cpu_usage,
    model.TASK_CPU_TIME.name: _counter,
    model.TASK_MEMORY_USAGE.name: _memory_usage,
    model.TASK_MEMORY_PEAK.name: _memory_peak,
    model.TASK_DISK_IO.name: _counter,
    model.TASK_DISK_USAGE.name: _level,
    model.TASK_NETWORK_IO_RATE.name: _network,
    model.TASK_GPU_UTILIZATION.name: _level,
    model.TASK_GPU_MEMORY_USAGE.name: _level,
    model.TASK_GPU_MEMORY_PEAK.name: _level,
    model.TASK_GPU_COUNT.name: _level,
    model.TASK_END.name: _end,
    model.CONTAINER_CPU_THROTTLED_TIME.name: _counter,
    model.CONTAINER_MEMORY_OOM_KILLS.name: _counter,
    model.CONTAINER_MEMORY_LIMIT.name: _memory_limit,
}
"""What each metric of an attempt does to its state; `system.*` is folded by :func:`fold_hosts`."""
