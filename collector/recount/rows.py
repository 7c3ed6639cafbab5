"""The whole roll-up as one expression: stored points in, rows of `tasks` out.

What comes in: how far clocks are believed, how long an attempt may be silent, and until when. What goes out: a
:class:`Plan`. Evaluates nothing. What is used more than once is a stage, which an engine keeps: the points are read
twice, for series and for samples, and everything else is made of these.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import ibis

from stepsize.collector.limits import ClockBounds, RollupLimits
from stepsize.collector.recount import counted, weighed, whose
from stepsize.collector.recount.series import summed
from stepsize.collector.recount.stored import HOST_METRICS, points_of_attempts, points_of_hosts, stored_points
from stepsize.collector.recount.whose import KEY, rounded
from stepsize.collector.rollup.bounds import MOST_CORES
from stepsize.collector.rollup.describe import FLAGS, NUMBERS, TEXTS
from stepsize.model import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the roll-up believes. ``until_ns``: the moment at which an attempt that was silent for too long is lost."""

    until_ns: int
    clock: ClockBounds = field(default_factory=ClockBounds)
    limits: RollupLimits = field(default_factory=RollupLimits)


@dataclass(frozen=True, slots=True)
class Stage:
    """An engine evaluates ``rows`` and keeps them as a table called ``name``, which later expressions read."""

    name: str
    rows: ibis.Table


@dataclass(frozen=True, slots=True)
class Plan:
    """``stages`` to be kept, in this order, and the ``rows`` that are made of them.

    The rows are the stored columns of `tasks` but ``state``; times are ``started_ns`` and ``ended_ns``, nanoseconds
    since 1970; ``cpu_histogram`` is a list of buckets in no order, since engines do not agree on one.
    """

    stages: tuple[Stage, ...]
    rows: ibis.Table


def plan(rules: Rules) -> Plan:
    """The whole roll-up."""
    stages: list[Stage] = []

    def keep(name: str, rows: ibis.Table) -> ibis.Table:
        stages.append(Stage(name, rows))
        return ibis.table(rows.schema(), name=name)

    points = points_of_attempts(stored_points(), rules.clock)
    series = keep("series", summed(points))
    sources = keep("sources", whose.sources(series))
    dispute = keep("dispute", whose.disputed(sources))
    sources = keep("placed_sources", whose.with_deployment(sources, dispute, "more"))
    series = keep("placed_series", whose.with_deployment(series, dispute, "attributes").drop("resource"))
    chosen = points.filter(points.metric.isin((*weighed.WEIGHED, *counted.LAST)), points.value.notnull())
    samples = whose.with_deployment(chosen, dispute, "attributes")
    samples = keep("samples", samples.select(*KEY, "metric", "attributes", "time", "value"))
    said = keep("said", whose.objects(sources))
    heard = keep("heard", counted.times(series))
    cores = keep("cores", weighed.cores(samples, heard))
    parts = {
        "described": whose.described(sources),
        "annotations": whose.notes(said),
        "thread_limits": whose.thread_limits(said),
        "sums": counted.sums(series, heard),
        "levels": counted.levels(series),
        "peaks": counted.peaks(series),
        "newest": counted.newest(samples),
        "histograms": weighed.histograms(cores),
        "network": weighed.network(samples, heard),
        "devices": weighed.devices(samples),
    }
    rows = heard
    for name, part in parts.items():
        rows = rows.left_join(keep(f"part_{name}", part), list(KEY)).drop(*(f"{one}_right" for one in KEY))
    rows = rows.left_join(keep("part_hosts", _hosts(rules)), "host").drop("host_right")
    return Plan(tuple(stages), _columns(rows, rules))


def _hosts(rules: Rules) -> ibis.Table:
    told = points_of_hosts(stored_points(), rules.clock)
    cpus, memory = HOST_METRICS
    rows = told.group_by("host").agg(
        cpus=told.value.argmax(told.time, where=told.metric == cpus),
        memory=told.value.argmax(told.time, where=told.metric == memory),
    )
    return rows.select("host", host_cpus=rounded(rows.cpus).cast("int32"), host_memory_bytes=rounded(rows.memory))


def _columns(rows: ibis.Table, rules: Rules) -> ibis.Table:
    started_ns = counted.believed_start(rows.first_ns)
    ended_ns = ibis.greatest(ibis.coalesce(rows.ended_ns, rows.last_ns), started_ns.fill_null(0))
    duration_s = (ended_ns - started_ns) / 10**9
    cpu_seconds = ibis.coalesce(rows.cpu_counted_s, rows.cpu_sampled_s)
    mean = cpu_seconds / duration_s.nullif(0)
    is_silent = rows.arrived_ns <= rules.until_ns - round(rules.limits.silence_s * 1e9)
    closed = ibis.ifelse(rows.oom_kills.fill_null(0) > 0, Outcome.OOM.value, Outcome.LOST.value)
    return rows.select(
        *KEY[:-1],
        *(*TEXTS.values(), *NUMBERS.values(), *FLAGS.values(), "annotations", "thread_limits"),
        *("host_cpus", "host_memory_bytes"),
        *("exit_code", "exit_signal", "throttled_s", "oom_kills", "disk_read_bytes", "disk_write_bytes"),
        *("memory_peak_bytes", "memory_source", "memory_limit_bytes", "net_received_bytes", "net_sent_bytes"),
        "cpu_histogram",
        started_ns=started_ns,
        ended_ns=counted.believed_start(ended_ns),
        duration_s=duration_s,
        outcome=ibis.coalesce(rows.outcome, ibis.ifelse(is_silent, closed, ibis.null("string"))),
        samples=ibis.greatest(rows.cpu_samples.fill_null(0), rows.memory_samples.fill_null(0)),
        cpu_seconds=cpu_seconds,
        cpu_mean=ibis.ifelse(mean <= int(MOST_CORES), mean, ibis.null("float64")),
        cpu_p95=ibis.ifelse(rows.cpu_enough < rows.cpu_highest, rows.cpu_enough, rows.cpu_highest),
        cpu_max=rows.cpu_highest,
        cpu_limit=rows.cpu_limit_highest,
        memory_mean_bytes=rows.memory_mean,
        gpu_count=ibis.coalesce(rows.gpus_highest, rows.gpus_at_once),
        gpu_utilization_mean=ibis.coalesce(rows.gpu_busy_mean, rows.gpu_busy_summed_mean),
        gpu_utilization_max=ibis.coalesce(rows.gpu_busy_highest, rows.gpu_busy_summed_highest),
        gpu_memory_mean_bytes=ibis.coalesce(rows.gpu_memory_mean, rows.gpu_memory_summed_mean),
        gpu_memory_peak_bytes=rounded(_vram(rows)),
        disk_peak_bytes=rounded(rows.scratch_highest),
    )


def _vram(rows: ibis.Table) -> ibis.Value:
    """The highest of samples and true peak, whichever is there."""
    sampled = ibis.coalesce(rows.gpu_memory_highest, rows.gpu_memory_summed_highest)
    best = ibis.greatest(sampled.fill_null(-1), rows.gpu_true_peak_highest.fill_null(-1))
    return best.nullif(-1)
