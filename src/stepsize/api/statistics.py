"""Statistics of columns, folded row by row as they come: what was seen is not looked at again.

What comes in: a stream that grows, and its columns. What goes out: a `Statistic` for each column, and the seconds that
were spent in each bucket of cores. Means weigh a row by the time since the one before it. Pure but for the stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.api.columns import Form
from stepsize.api.derive import arrays, derive, grown
from stepsize.instrumentation.recording import TIME
from stepsize.model import CPU_BUCKET_MAX, CPU_BUCKET_MIN, CPU_BUCKETS_PER_OCTAVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.api.columns import Column
    from stepsize.api.stream import Stream

_LONGEST_S = 120.0
"""A row stands for no more time than this: between them the machine was suspended."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A column in numbers, in the unit of its name; ``None`` where no row could be read.

    Attributes:
        count: rows that could be read.
        mean: over time; of what grew, a row.
        minimum, maximum: of the rows.
        total: of the rows, which says something of what grew alone.
        latest: the last row's.
    """

    count: int = 0
    mean: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    total: float = 0.0
    latest: float | None = None


@dataclass(slots=True)
class _Sum:
    count: int = 0
    total: float = 0.0
    weighted: float = 0.0
    weight: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    latest: float = math.nan

    def add(self, values: pa.Array, weights: pa.Array) -> None:
        count = len(values) - values.null_count
        if not count:
            return
        extremes = pc.min_max(values)
        self.count += count
        self.total += pc.sum(values).as_py()
        self.weighted += pc.sum(pc.multiply(values, weights)).as_py()
        self.weight += pc.sum(pc.if_else(pc.is_valid(values), weights, None)).as_py()
        self.minimum = min(self.minimum, extremes["min"].as_py())
        self.maximum = max(self.maximum, extremes["max"].as_py())
        self.latest = pc.fill_null_forward(values)[-1].as_py()

    def statistic(self, column: Column) -> Statistic:
        if not self.count:
            return Statistic()
        mean = self.total / self.count
        if column.form is not Form.SINCE and self.weight > 0:
            mean = self.weighted / self.weight
        unit = column.unit
        return Statistic(
            self.count, mean / unit, self.minimum / unit, self.maximum / unit, self.total / unit, self.latest / unit
        )


class Statistics:
    """What is known of the columns of a stream.

    Args:
        stream: of records.
        columns: made of them.
        before: what its sums were before the first row, where that is known.
        cores: the field whose time is counted by buckets of cores.
    """

    def __init__(
        self, stream: Stream, columns: Iterable[Column], before: Mapping[str, float], cores: str | None = None
    ) -> None:
        self._stream = stream
        self._columns = tuple(columns)
        self._before = dict(before)
        self._cores = cores
        self._rows = 0
        self._sums = {column.name: _Sum() for column in self._columns}
        self.cpu_histogram: dict[int, float] = {}

    def refresh(self) -> None:
        """Fold in the rows that have come."""
        if len(self._stream) == self._rows:
            return
        fields = arrays(self._stream.columns, self._rows)
        self._rows = len(self._stream)
        weights = pc.fill_null(pc.min_element_wise(grown(fields[TIME], self._before.get(TIME)), _LONGEST_S), 0.0)
        for name, values in derive(self._columns, fields, self._before).items():
            self._sums[name].add(values, weights)
        if self._cores is not None:
            self._count_time(fields[self._cores], weights)
        for name, values in fields.items():
            last = pc.fill_null_forward(values)[-1].as_py()
            if last is not None:
                self._before[name] = last

    def all(self) -> dict[str, Statistic]:
        """By the columns' plain names."""
        return {column.name: self._sums[column.name].statistic(column) for column in self._columns}

    def _count_time(self, cores: pa.Array, weights: pa.Array) -> None:
        """As `stepsize.model.cpu_bucket` has it, all rows at once."""
        at_least = 2.0 ** (CPU_BUCKET_MIN / CPU_BUCKETS_PER_OCTAVE)
        logarithm = pc.log2(pc.max_element_wise(cores, at_least, skip_nulls=False))
        buckets = pc.ceil(pc.multiply(logarithm, float(CPU_BUCKETS_PER_OCTAVE)))
        buckets = pc.min_element_wise(buckets, float(CPU_BUCKET_MAX), skip_nulls=False)
        rows = pa.table({"bucket": buckets, "seconds": weights})
        spent = rows.group_by("bucket", use_threads=False).aggregate([("seconds", "sum")])
        for bucket, seconds in zip(spent["bucket"].to_pylist(), spent["seconds_sum"].to_pylist(), strict=True):
            if bucket is not None and seconds > 0:
                self.cpu_histogram[int(bucket)] = self.cpu_histogram.get(int(bucket), 0.0) + seconds
