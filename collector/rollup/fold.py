"""Folds what was gathered into the attempts that it tells of.

What comes in: owners with their figures. What goes out: changed :class:`~stepsize.collector.rollup.attempt.Attempt`
states and facts about hosts. Never does I/O. A metric that no rule below names leaves the roll-up as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize import model
from stepsize.collector.rollup.attempt import ALL_DEVICES, FROM_SAMPLES, Attempt
from stepsize.collector.rollup.bounds import figure
from stepsize.collector.rollup.describe import describe
from stepsize.model import Attr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from stepsize.collector.decode.vocabulary import Attributes, Vocabulary
    from stepsize.collector.rollup.evidence import Figures, Owner

_BY_DEVICE = frozenset({model.TASK_GPU_UTILIZATION.name, model.TASK_GPU_MEMORY_USAGE.name})
_OUTCOMES = frozenset(outcome.value for outcome in model.Outcome)


@dataclass(slots=True)
class HostFacts:
    """What a host's own metrics say of it."""

    host_cpus: int | None = None
    host_memory_bytes: int | None = None


_HOST_COLUMNS = {
    model.SYSTEM_CPU_LOGICAL_COUNT.name: "host_cpus",
    model.SYSTEM_MEMORY_LIMIT.name: "host_memory_bytes",
}


def fold_hosts(hosts: dict[str, HostFacts], owners: Iterable[Owner], vocabulary: Vocabulary) -> set[str]:
    """Note what ``system.*`` points say of their hosts; returns the hosts of which that is news."""
    news = set()
    for owner in owners:
        for figures in owner.figures:
            column = _HOST_COLUMNS.get(figures.metric.name)
            name = vocabulary.resources[owner.resource].attributes.get("host.name") if column else None
            if column and name is not None and figures.samples:
                host, value = hosts.setdefault(str(name), HostFacts()), round(figures.samples.last[1])
                if getattr(host, column) != value:
                    setattr(host, column, value)
                    news.add(str(name))
    return news


def fold(attempt: Attempt, owners: list[Owner], vocabulary: Vocabulary) -> None:
    """Fold what was gathered of ``owners``, all of one attempt, into its state."""
    if attempt.presumed:  # it was silent, and is not: what was concluded from that is taken back
        attempt.presumed, attempt.outcome = False, None
    for owner in owners:
        attempt.arrived_ns = max(attempt.arrived_ns, owner.arrived_ns)
        attempt.seen(owner.first_ns, owner.last_ns)
        attempt.seen(owner.started_ns, 0)  # a container may be older than the task in it, so only the task's sums count
    for owner in owners:
        if owner.attributes >= 0:
            describe(attempt.described, vocabulary.attributes[owner.attributes].values)
    # What the resource says counts before what a point says, so it comes second.
    for resource in dict.fromkeys(owner.resource for owner in owners):
        describe(attempt.described, vocabulary.resources[resource].attributes)
    # The start has to be known before the first sample of a rate is weighed, so rules come last.
    for owner in owners:
        for figures in owner.figures:
            rule = _RULES.get(figures.metric.name)
            if rule is not None and figures.points:
                rule(attempt, figures)
    _sum_devices(attempt, owners)


def _cpu_usage(attempt: Attempt, figures: Figures) -> None:
    assert figures.samples
    attempt.add_cpu(figures.samples)
    attempt.add_level(figures.metric.name, figures.total, figures.points, figures.highest)


def _memory_usage(attempt: Attempt, figures: Figures) -> None:
    attempt.add_level(figures.metric.name, figures.total, figures.points, figures.highest)
    attempt.add_memory_peak(figures.highest, FROM_SAMPLES)


def _memory_peak(attempt: Attempt, figures: Figures) -> None:
    attempt.add_memory_peak(figures.highest, str(figures.attributes.values.get(Attr.MEMORY_SOURCE, "")))


def _memory_limit(attempt: Attempt, figures: Figures) -> None:
    assert figures.samples
    attempt.memory_limit = figures.samples.last[1]


def _level(attempt: Attempt, figures: Figures) -> None:
    device = figures.attributes.values.get("hw.id")
    name = figures.metric.name
    name = name if device is None else f"{name}|{device}"
    attempt.add_level(name, figures.total, figures.points, figures.highest)


def _sum_devices(attempt: Attempt, owners: list[Owner]) -> None:
    """Sum by moment what was sent by device: devices need not have been at their highest at once.

    Points of one moment come in one batch, as whoever measures them sends them.
    """
    by_metric: dict[str, dict[int, dict[str, float]]] = {}
    for figures in (figures for owner in owners for figures in owner.figures):
        name = figures.metric.name
        if name not in _BY_DEVICE:
            continue
        device = figures.attributes.values.get("hw.id")
        if device is None or figures.samples is None:
            continue
        for time_ns, value in figures.samples.each():
            moment = by_metric.setdefault(name, {}).setdefault(time_ns, {})
            moment[str(device)] = max(moment.get(str(device), 0.0), value)
    used: dict[int, set[str]] = {}
    for name, moments in by_metric.items():
        _add_levels(attempt, f"{name}{ALL_DEVICES}", [math.fsum(moment.values()) for moment in moments.values()])
        for time_ns, moment in moments.items():
            used.setdefault(time_ns, set()).update(device for device, value in moment.items() if value > 0)
    if used:
        counts = [float(len(devices)) for devices in used.values()]
        _add_levels(attempt, f"{model.TASK_GPU_COUNT.name}{ALL_DEVICES}", counts)


def _add_levels(attempt: Attempt, name: str, values: list[float]) -> None:
    if values:
        attempt.add_level(name, sum(values), len(values), max(values))


def _counter(attempt: Attempt, figures: Figures) -> None:
    values = figures.attributes.values
    which = "|".join(str(values.get(name, "")) for name in ("cpu.mode", "disk.io.direction"))
    if figures.metric.temporality == "delta":
        attempt.add_delta(f"{figures.metric.name}|{which}|0", figures.total)
    else:
        attempt.add_counter(f"{figures.metric.name}|{which}|{figures.since_ns}", figures.lowest, figures.highest)


def _network(attempt: Attempt, figures: Figures) -> None:
    values = figures.attributes.values
    if values.get(Attr.SCOPE) == "host":  # traffic of everybody on the host says nothing of the task
        return
    assert figures.samples
    attempt.add_rate(f"{figures.metric.name}|{values.get('network.io.direction')}", figures.samples)


def _end(attempt: Attempt, figures: Figures) -> None:
    outcome = figures.attributes.values.get(Attr.OUTCOME)
    attempt.outcome = outcome if outcome in _OUTCOMES else model.Outcome.UNKNOWN.value
    assert figures.samples
    attempt.ended_ns = max(attempt.ended_ns, figures.samples.last[0])
    attempt.exit_code = _exit_number(figures.attributes, "process.exit.code")
    attempt.exit_signal = _exit_number(figures.attributes, "process.exit.signal")


def _exit_number(attributes: Attributes, name: str) -> int | None:
    number = figure(name, attributes.values.get(name))
    return None if number is None else int(number)


_RULES: Mapping[str, Callable[[Attempt, Figures], None]] = {
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
    model.CONTAINER_CPU_LIMIT.name: _level,
}
"""What each metric of an attempt does to its state; `system.*` is folded by :func:`fold_hosts`."""
FOLDED = frozenset((*_RULES, *_HOST_COLUMNS))
"""The metrics whose figures matter; of others only that there was something to tell."""
