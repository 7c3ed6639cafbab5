"""Samples of series whose samples matter one by one, weighed by the time between them.

What comes in: columns of points. What goes out: by series its first and last sample, and what those between them add
up to. Never does I/O, never looks at a clock, and knows nothing of what came before: how long the first sample of a
series holds is for whoever knows the sample before it.

A sample of a rate holds for the time since the one before it. All series are weighed at once, by column; one sample at
a time is looked at only where it arrived out of order (:meth:`Samples.each`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.collector.rollup.attempt import MAX_GAP_NS
from stepsize.model import CPU_BUCKET_MAX, CPU_BUCKET_MIN, CPU_BUCKETS_PER_OCTAVE

if TYPE_CHECKING:
    from collections.abc import Collection

_NS = 1e9


class Samples(NamedTuple):
    """The samples of one series, by time; of those at one moment, the highest last.

    Attributes:
        first, last: (time in nanoseconds since 1970, value).
        interval_ns: the last time between two of them, at most `MAX_GAP_NS`; 0 where there are not two moments.
        later_total: each but the first by the seconds since the one before it.
        later_s: bucket of cores (`model.cpu_bucket`) → those seconds, where they were asked for.
        rows: the samples of all series, and where among them those of this one lie.
    """

    first: tuple[int, float]
    last: tuple[int, float]
    interval_ns: int
    later_total: float
    later_s: tuple[tuple[int, float], ...]
    rows: tuple[pa.Table, int, int]

    def each(self) -> list[tuple[int, float]]:
        """(time, value) of every sample."""
        table, start, count = self.rows
        mine = table.slice(start, count)
        return list(zip(mine["time"].to_pylist(), mine["value"].to_pylist(), strict=True))


def samples_by_series(points: pa.Table, in_buckets: Collection[int]) -> dict[int, Samples]:
    """The samples in ``points`` by the code of their series.

    Args:
        points: columns ``series``, ``metric``, ``time`` and ``value``, none of them NULL.
        in_buckets: metrics whose time is counted by bucket of cores.
    """
    if not points.num_rows:
        return {}
    rows = _weighed(_ordered(points.select(_NEEDED).combine_chunks()).combine_chunks())
    told = rows.group_by("series", use_threads=False).aggregate(
        [("time", "first"), ("value", "first"), ("time", "last"), ("value", "last"), ("total", "sum"), ("gap", "count")]
    )
    intervals = _intervals(rows)
    buckets = _buckets(rows, in_buckets)
    found: dict[int, Samples] = {}
    start = 0
    for code, first_ns, first, last_ns, last, total, count in zip(
        *(told[name].to_pylist() for name in _TOLD), strict=True
    ):
        found[code] = Samples(
            (first_ns, first),
            (last_ns, last),
            intervals.get(code, 0),
            total,
            tuple(buckets.get(code, ())),
            (rows, start, count),
        )
        start += count
    return found


_NEEDED = ["series", "time", "value", "metric"]
_TOLD = ("series", "time_first", "value_first", "time_last", "value_last", "total_sum", "gap_count")


def _ordered(rows: pa.Table) -> pa.Table:
    """The rows by series and time. They mostly come so within a series, and one number sorts much faster than three."""
    ordered = rows.take(pc.sort_indices(rows["series"].combine_chunks()))
    same, ahead_ns = _since_before(ordered)
    if pc.any(pc.and_(same, pc.less_equal(ahead_ns, 0))).as_py():
        by = [(name, "ascending") for name in ("series", "time", "value")]
        return ordered.take(pc.sort_indices(ordered, sort_keys=by))
    return ordered


def _since_before(rows: pa.Table) -> tuple[pa.Array, pa.Array]:
    """For each row but the first, whether the one before is of its series, and how much later it is."""
    series, times = rows["series"].combine_chunks(), rows["time"].combine_chunks()
    return pc.equal(series[1:], series[:-1]), pc.subtract(times[1:], times[:-1])


def _weighed(rows: pa.Table) -> pa.Table:
    """The rows with the time since the one before of their series (0 for its first), and the value by its seconds."""
    same, ahead_ns = _since_before(rows)
    gaps = pc.if_else(same, pc.min_element_wise(ahead_ns, MAX_GAP_NS), 0)
    gap = pa.concat_arrays([pa.array([0], pa.int64()), gaps])
    seconds = pc.divide(gap.cast(pa.float64()), _NS)
    total = pc.multiply(rows["value"].combine_chunks(), seconds)
    return rows.append_column("gap", gap).append_column("seconds", seconds).append_column("total", total)


def _intervals(rows: pa.Table) -> dict[int, int]:
    passed = rows.filter(pc.greater(rows["gap"], 0))
    last = passed.group_by("series", use_threads=False).aggregate([("gap", "last")])
    return dict(zip(last["series"].to_pylist(), last["gap_last"].to_pylist(), strict=True))


def _buckets(rows: pa.Table, metrics: Collection[int]) -> dict[int, list[tuple[int, float]]]:
    """By series the seconds in each bucket, as `model.cpu_bucket` has it."""
    asked = pc.is_in(rows["metric"], value_set=pa.array(metrics, pa.int32()))
    chosen = rows.filter(pc.and_(asked, pc.greater(rows["gap"], 0)))
    cores = chosen["value"]
    above = pc.ceil(pc.multiply(pc.log2(pc.max_element_wise(cores, _LEAST_CORES)), CPU_BUCKETS_PER_OCTAVE))
    bucket = pc.min_element_wise(above, CPU_BUCKET_MAX).cast(pa.int32())
    table = pa.table([chosen["series"], bucket, chosen["seconds"]], ["series", "bucket", "seconds"])
    summed = table.group_by(["series", "bucket"], use_threads=False).aggregate([("seconds", "sum")])
    found: dict[int, list[tuple[int, float]]] = {}
    for code, number, seconds in zip(
        *(summed[name].to_pylist() for name in ("series", "bucket", "seconds_sum")), strict=True
    ):
        found.setdefault(code, []).append((number, seconds))
    return found


_LEAST_CORES = 2.0 ** (CPU_BUCKET_MIN / CPU_BUCKETS_PER_OCTAVE)
