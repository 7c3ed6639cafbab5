"""A batch of points to the Arrow tables that are stored.

What comes in: a :class:`~stepsize.collector.decode.batch.Batch`. What goes out: for each table of the lake and each
day a table with the stored schema, sorted by series. Never does I/O.

A point lies under the day (UTC) of its time, unless its time differs from its arrival by more than a bound: then the
sender's clock is wrong, and it lies under the day of its arrival. Its time is kept as it was sent.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.collector.decode.batch import IDS
from stepsize.collector.decode.codes import Codes, combined, encoded
from stepsize.collector.decode.vocabulary import OWNER_COLUMNS, Described
from stepsize.store.schema import SCHEMAS, SERIES_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stepsize.collector.decode.batch import Batch
    from stepsize.collector.decode.vocabulary import Metric, Vocabulary
    from stepsize.collector.limits import ClockBounds

_EPOCH = dt.date(1970, 1, 1)
_DAY_NS = 86_400 * 10**9
_METRIC_COLUMNS = ("metric", "unit", "kind", "temporality", "monotonic", "description", "metadata")
_METRIC_FIELDS = {"metric": "name"}
_POINT_COLUMNS = {
    "time": "time_unix_nano",
    "start": "start_time_unix_nano",
    "received": "received_at_unix_nano",
    "flags": "flags",
    "exemplars": "exemplars",
    "double": "value_double",
    "integer": "value_int",
}


def partition(day: int) -> str:
    """Directory of a day that is counted from 1970."""
    return f"day={_EPOCH + dt.timedelta(days=day)}"


def tables(batch: Batch, bounds: ClockBounds) -> dict[str, dict[str, pa.Table]]:
    """Table of the lake → partition → rows; without those that have none."""
    numbers = batch.numbers()
    stored = {"points": numbers.rename_columns([_POINT_COLUMNS.get(name, name) for name in numbers.column_names])}
    for name, points in batch.distributions.items():
        fields = [field for field in SCHEMAS[name] if field.name not in SERIES_COLUMNS]
        columns = {column: _from_array(ids) for column, ids in points.ids.items()}
        columns |= {field.name: pa.array([row[field.name] for row in points.rows], field.type) for field in fields}
        stored[name] = pa.table(columns)
    made = {
        name: {
            partition(day): _with_series(rows, batch.vocabulary, SCHEMAS[name]) for day, rows in _by_day(points, bounds)
        }
        for name, points in stored.items()
    }
    return {name: partitions for name, partitions in made.items() if partitions}


def _from_array(values: Any) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(values)])


def _by_day(points: pa.Table, bounds: ClockBounds) -> Iterator[tuple[int, pa.Table]]:
    if not points.num_rows:
        return
    times, received = points["time_unix_nano"], points["received_at_unix_nano"]
    ahead_s = pc.divide(pc.subtract(times, received).cast(pa.float64(), safe=False), 1e9)
    believed = pc.and_(pc.less_equal(-bounds.past_s, ahead_s), pc.less_equal(ahead_s, bounds.future_s))
    days = pc.divide(pc.if_else(believed, times, received), _DAY_NS)
    found = pc.unique(days).to_pylist()
    for day in sorted(found):
        yield day, points if len(found) == 1 else points.filter(pc.equal(days, day))


class _Columns(NamedTuple):
    """Columns that distinct values give to the rows that have them.

    Attributes:
        ranks: for each row the rank of its value among the distinct ones.
        distinct: how many distinct ones there are.
        table: a row for each of them, in order of rank.
    """

    ranks: pa.Array
    distinct: int
    table: pa.Table


def _with_series(rows: pa.Table, vocabulary: Vocabulary, schema: pa.Schema) -> pa.Table:
    """The rows, sorted by series, with the columns of their series."""
    ids = {name: encoded(rows[name].combine_chunks()) for name in IDS}
    metric = _ranked(ids["metric"], _METRIC_COLUMNS, lambda n: _metric(vocabulary.metrics[n]), schema)
    labels = _ranked(ids["attributes"], ("attributes",), lambda n: Described.by(vocabulary.attributes[n].text), schema)
    scope = _ranked(ids["scope"], ("scope",), lambda n: Described.by(vocabulary.scopes[n]), schema)
    whose = owners(ids["resource"], ids["attributes"], lambda number: vocabulary.attributes[number].may_tag)
    owner = _ranked(whose, OWNER_COLUMNS, lambda pair: vocabulary.owner(*pair), schema)
    order = pc.sort_indices(_keys(metric, owner, labels))
    columns: dict[str, pa.Array] = {}
    for group in (metric, owner, labels, scope):
        wide = group.table.take(group.ranks.take(order))
        columns |= {name: wide[name] for name in group.table.column_names}
    return pa.table(
        [columns[field.name] if field.name in columns else rows[field.name].take(order) for field in schema],
        schema=schema,
    )


def owners(resources: Codes, labels: Codes, may_tell: Callable[[int], bool]) -> Codes:
    """Whose each row is: pairs of numbers of a resource and of attributes, -1 for attributes that cannot tell."""
    telling = [number if may_tell(number) else -1 for number in labels.values]
    if all(number < 0 for number in telling):
        return Codes(resources.rows, [(number, -1) for number in resources.values])
    found = encoded(pa.array(telling, pa.int32()).take(labels.rows))
    return combined(resources, found)


def _metric(metric: Metric) -> Described:
    return Described.by(*(getattr(metric, _METRIC_FIELDS.get(name, name)) for name in _METRIC_COLUMNS))


def _ranked(codes: Codes, names: tuple[str, ...], describe: Callable[[Any], Described], schema: pa.Schema) -> _Columns:
    """The distinct values in the order of what they are described as, which are the columns ``names``."""
    described = [describe(value) for value in codes.values]
    order = sorted(range(len(described)), key=lambda code: described[code].key)
    ranks = [0] * len(order)
    for rank, code in enumerate(order):
        ranks[code] = rank
    rows = [described[code].values for code in order]
    columns = zip(*rows, strict=True)
    table = pa.table(
        {name: _column(values, schema.field(name).type) for name, values in zip(names, columns, strict=True)}
    )
    return _Columns(pa.array(ranks, pa.int32()).take(codes.rows), len(order), table)


def _keys(metric: _Columns, owner: _Columns, labels: _Columns) -> pa.Array:
    """A number for each row, in the order: metric, flow, step, run, task, attributes."""
    keys = metric.ranks.cast(pa.int64())
    for group in (owner, labels):
        keys = pc.add(pc.multiply(keys, group.distinct), group.ranks.cast(pa.int64()))
    return keys


def _column(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(type_):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, type_)
