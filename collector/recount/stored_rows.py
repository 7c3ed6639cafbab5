"""Rows as engines make them, and as `tasks` stores them.

What comes in: batches of the rows of a plan. What goes out: tables in the stored schema. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.store.schema import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMES = {"started_at": "started_ns", "ended_at": "ended_ns"}
_HISTOGRAM = "cpu_histogram"
_BUCKETS = pa.list_(pa.struct([("bucket", pa.int16()), ("seconds", pa.float64())]))


def _made(field: pa.Field) -> pa.Field:
    if field.name in _TIMES:
        return pa.field(_TIMES[field.name], pa.int64())
    return pa.field(field.name, _BUCKETS if field.name == _HISTOGRAM else field.type)


MADE = pa.schema([_made(field) for field in TASKS if field.name != "state"])
"""The columns of a plan's rows, by name: engines give them in an order of their own."""


def stored(rows: pa.RecordBatch) -> pa.Table:
    """The rows as they are stored; without ``state``, so that no point opens them again."""
    columns = [_column(rows, field) for field in TASKS]
    return pa.table(columns, schema=TASKS)


def by_month(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each month in which attempts began, with its partition."""
    months = pc.strftime(pc.coalesce(rows["started_at"], pa.scalar(0, TASKS.field("started_at").type)), "%Y-%m")
    for month in pc.unique(months).to_pylist():
        yield f"month={month}", rows.filter(pc.equal(months, month))


def _column(rows: pa.RecordBatch, field: pa.Field) -> pa.Array:
    if field.name == "state":
        return pa.nulls(rows.num_rows, field.type)
    given = rows.column(_TIMES.get(field.name, field.name))
    if field.name == _HISTOGRAM:
        return _histograms(given)
    return (pc.divide(given, 1000) if field.name in _TIMES else given).cast(field.type)


def _histograms(given: pa.Array) -> pa.Array:
    """Lists of buckets as maps, by bucket."""
    maps = [
        None if one is None else sorted((part["bucket"], part["seconds"]) for part in one) for one in given.to_pylist()
    ]
    return pa.array(maps, TASKS.field(_HISTOGRAM).type)
