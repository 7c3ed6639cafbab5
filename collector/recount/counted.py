"""What series add up to: sums, levels, peaks, the end. Parts of an attempt's row, each by its key.

What comes in: series with their deployment. What goes out: expressions of a row for each attempt that has such figures.
Evaluates nothing. The rules are those of `rollup.fold` and `rollup.attempt`, which say why.
"""

from __future__ import annotations

import ibis

from stepsize import model
from stepsize.collector.recount.stored import said
from stepsize.collector.recount.whose import KEY, rounded
from stepsize.collector.rollup.attempt import FROM_SAMPLES, START_SLACK_NS
from stepsize.collector.rollup.bounds import EARLIEST_NS, MOST
from stepsize.model import Attr, Outcome

_SUMS = (
    model.TASK_CPU_TIME.name,
    model.TASK_DISK_IO.name,
    model.CONTAINER_CPU_THROTTLED_TIME.name,
    model.CONTAINER_MEMORY_OOM_KILLS.name,
)
_LEVELS = {
    "cpu": model.TASK_CPU_USAGE.name,
    "memory": model.TASK_MEMORY_USAGE.name,
    "scratch": model.TASK_DISK_USAGE.name,
    "gpu_busy": model.TASK_GPU_UTILIZATION.name,
    "gpu_memory": model.TASK_GPU_MEMORY_USAGE.name,
    "gpu_true_peak": model.TASK_GPU_MEMORY_PEAK.name,
    "gpus": model.TASK_GPU_COUNT.name,
    "cpu_limit": model.CONTAINER_CPU_LIMIT.name,
}
_BY_DEVICE = ("scratch", "gpu_busy", "gpu_memory", "gpu_true_peak", "gpus", "cpu_limit")
LAST = (model.TASK_END.name, model.CONTAINER_MEMORY_LIMIT.name)
"""Metrics of which the newest sample counts."""


def times(series: ibis.Table) -> ibis.Table:
    """When an attempt began and was last heard of: ``first_ns``, ``last_ns``, ``arrived_ns``."""
    rows = series.group_by(*KEY).agg(
        seen_ns=series["first"].min(),
        started_ns=series.started.min(),
        last_ns=series["last"].max(),
        arrived_ns=series.arrived.max(),
    )
    return rows.select(
        *KEY, "last_ns", "arrived_ns", first_ns=ibis.least(rows.seen_ns, rows.started_ns.fill_null(2**62))
    )


def sums(series: ibis.Table, heard: ibis.Table) -> ibis.Table:
    """What the sums have counted during the attempt, see `Attempt.counted`."""
    found = series.filter(series.metric.isin(_SUMS), series.points > 0)
    parts = found.group_by(
        *KEY,
        "metric",
        "is_delta",
        "since",
        mode=said(found.attributes, "cpu.mode"),
        direction=said(found.attributes, "disk.io.direction"),
    ).agg(lowest=found.lowest.min(), highest=found.highest.max(), total=found.total.sum())
    known = parts.left_join(heard, list(KEY))
    earliest = ibis.greatest(1, known.first_ns - START_SLACK_NS)
    ours = known.since.between(earliest, known.last_ns + START_SLACK_NS)
    gained = ibis.ifelse(ours, known.highest, known.highest - known.lowest)
    counts = known.select(*KEY, "metric", "direction", counted=ibis.ifelse(known.is_delta, known.total, gained))

    def counted(metric: model.Metric, direction: str | None = None) -> ibis.Value:
        which = counts.metric == metric.name
        return counts.counted.sum(where=which if direction is None else which & (counts.direction == direction))

    rows = counts.group_by(*KEY).agg(
        cpu_counted_s=counted(model.TASK_CPU_TIME),
        throttled_s=counted(model.CONTAINER_CPU_THROTTLED_TIME),
        oom_kills=counted(model.CONTAINER_MEMORY_OOM_KILLS),
        disk_read=counted(model.TASK_DISK_IO, "read"),
        disk_write=counted(model.TASK_DISK_IO, "write"),
    )
    return rows.select(
        *KEY,
        "cpu_counted_s",
        "throttled_s",
        oom_kills=rounded(rows.oom_kills),
        disk_read_bytes=rounded(rows.disk_read),
        disk_write_bytes=rounded(rows.disk_write),
    )


def levels(series: ibis.Table) -> ibis.Table:
    """Mean, count and highest sample of gauges that are levels; of those by device none here, see `weighed.devices`."""
    whole = series.filter(series.metric.isin(tuple(_LEVELS.values())), series.points > 0)
    device = whole.metric.isin([_LEVELS[name] for name in _BY_DEVICE]) & said(whole.attributes, "hw.id").notnull()
    whole = whole.filter(~device)
    figures = {}
    for name, metric in _LEVELS.items():
        of_it = whole.metric == metric
        figures[f"{name}_mean"] = whole.total.sum(where=of_it) / whole.points.sum(where=of_it)
        figures[f"{name}_samples"] = whole.points.sum(where=of_it)
        figures[f"{name}_highest"] = whole.highest.max(where=of_it)
    return whole.group_by(*KEY).agg(**figures)


def peaks(series: ibis.Table) -> ibis.Table:
    """The highest memory, and where that comes from: of equal ones a true peak counts before a sample."""
    metrics = (model.TASK_MEMORY_USAGE.name, model.TASK_MEMORY_PEAK.name)
    found = series.filter(series.metric.isin(metrics), series.points > 0)
    is_sample = found.metric == model.TASK_MEMORY_USAGE.name
    source = ibis.ifelse(is_sample, FROM_SAMPLES, said(found.attributes, Attr.MEMORY_SOURCE).fill_null(""))
    truth = ibis.ifelse(source == FROM_SAMPLES, 0, 1)
    each = found.select(*KEY, "highest", source=source, truth=truth)
    window = ibis.window(group_by=KEY, order_by=[ibis.desc("highest"), ibis.desc("truth"), "source"])
    best = each.mutate(place=ibis.row_number().over(window))
    best = best.filter(best.place == 0)
    return best.select(*KEY, memory_peak_bytes=rounded(best.highest), memory_source=best.source.nullif(""))


def newest(points: ibis.Table) -> ibis.Table:
    """What the newest sample of each metric of `LAST` says, of points with their deployment."""
    found = points.filter(points.metric.isin(LAST), points.value.notnull())
    window = ibis.window(group_by=(*KEY, "metric"), order_by=[ibis.desc("time"), ibis.desc("value"), "attributes"])
    last = found.mutate(place=ibis.row_number().over(window))
    last = last.filter(last.place == 0)
    ends = last.metric == model.TASK_END.name
    outcome = said(last.attributes, Attr.OUTCOME)
    known = ibis.ifelse(outcome.isin([one.value for one in Outcome]), outcome, Outcome.UNKNOWN.value)
    told = last.select(
        *KEY,
        outcome=ibis.ifelse(ends, known, ibis.null("string")),
        ended_ns=ibis.ifelse(ends, last.time, ibis.null("int64")),
        exit_code=ibis.ifelse(ends, _exit_number(last, "process.exit.code"), ibis.null("int32")),
        exit_signal=ibis.ifelse(ends, _exit_number(last, "process.exit.signal"), ibis.null("int32")),
        limit_bytes=ibis.ifelse(ends, ibis.null("float64"), last.value),
    )
    rows = told.group_by(*KEY).agg(
        **{name: told[name].max() for name in ("outcome", "ended_ns", "exit_code", "exit_signal", "limit_bytes")}
    )
    return rows.select(
        *KEY, "outcome", "ended_ns", "exit_code", "exit_signal", memory_limit_bytes=rounded(rows.limit_bytes)
    )


def _exit_number(points: ibis.Table, attribute: str) -> ibis.Value:
    number = said(points.attributes, attribute).try_cast("float64")
    return ibis.ifelse(
        (number >= 0) & (number <= int(MOST[attribute])), number.floor().cast("int32"), ibis.null("int32")
    )


def believed_start(first_ns: ibis.Value) -> ibis.Value:
    """When an attempt began, NULL where that cannot be."""
    return ibis.ifelse(first_ns >= EARLIEST_NS, first_ns, ibis.null("int64"))
