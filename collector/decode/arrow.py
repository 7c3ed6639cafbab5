"""A batch of points to the Arrow tables that are stored.

What comes in: a :class:`~stepsize.collector.decode.decoder.Batch`. What goes out: for each table of the lake and each
day a table with the stored schema, sorted by series. Never does I/O.

A point lies under the day (UTC) of its time, unless its time differs from its arrival by more than a bound: then the
sender's clock is wrong, and it lies under the day of its arrival. Its time is kept as it was sent.
"""

from __future__ import annotations

import datetime as dt
from array import array
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stepsize.store.schema import SCHEMAS, SERIES_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from stepsize.collector.decode.decoder import Batch
    from stepsize.collector.decode.series import NumberPoints, OtherPoints, Series
    from stepsize.collector.limits import ClockBounds

_EPOCH = dt.date(1970, 1, 1)


def partition(day: int) -> str:
    """Directory of a day that is counted from 1970."""
    return f"day={_EPOCH + dt.timedelta(days=day)}"


def tables(batch: Batch, bounds: ClockBounds) -> dict[str, dict[str, pa.Table]]:
    """Table of the lake → partition → rows; without those that have none."""
    made = {"points": {partition(day): _numbers(rows) for day, rows in _by_day(batch.numbers, bounds).items()}}
    for name, others in batch.others.items():
        made[name] = {partition(day): _others(rows, name) for day, rows in _by_day(others, bounds).items()}
    return {name: partitions for name, partitions in made.items() if partitions}


def _by_day(points: Mapping[Series, Any], bounds: ClockBounds) -> dict[int, list[tuple[Series, Any, Sequence[int]]]]:
    """Day → series, points and which of them, series in the order in which they are stored."""
    days: dict[int, list[tuple[Series, Any, Sequence[int]]]] = {}
    for series in sorted(points, key=_order):
        columns = points[series]
        chosen: dict[int, list[int]] = {}
        for index, (time, received) in enumerate(zip(columns.time, columns.received, strict=True)):
            chosen.setdefault(bounds.day(time, received), []).append(index)
        for day, indexes in chosen.items():
            whole = len(indexes) == len(columns.time)
            days.setdefault(day, []).append((series, columns, range(len(columns.time)) if whole else indexes))
    return days


def _order(series: Series) -> tuple[str, ...]:
    return (
        series.metric.name,
        series.flow or "",
        series.step or "",
        series.run or "",
        series.task or "",
        series.attributes_text,
    )


def _numbers(rows: list[tuple[Series, NumberPoints, Sequence[int]]]) -> pa.Table:
    columns = {name: array("q") for name in ("time", "start", "received", "integer")}
    double, flags, kinds = array("d"), array("I"), bytearray()
    exemplars: list[str | None] = []
    for _, points, indexes in rows:
        for name, column in columns.items():
            _extend(column, getattr(points, name), indexes)
        _extend(double, points.double, indexes)
        _extend(flags, points.flags, indexes)
        _extend(kinds, points.kinds, indexes)
        exemplars += [points.exemplars.get(i) for i in indexes] if points.exemplars else [None] * len(indexes)
    stored = {
        "time_unix_nano": _from_buffer(pa.int64(), columns["time"]),
        "start_time_unix_nano": _from_buffer(pa.int64(), columns["start"]),
        "flags": _from_buffer(pa.uint32(), flags),
        "exemplars": pa.array(exemplars, pa.string()),
        "received_at_unix_nano": _from_buffer(pa.int64(), columns["received"]),
        "value_double": _where(pa.float64(), double, kinds, 1),
        "value_int": _where(pa.int64(), columns["integer"], kinds, 2),
    }
    return _with_series([(series, len(indexes)) for series, _, indexes in rows], stored, "points")


def _others(rows: list[tuple[Series, OtherPoints, Sequence[int]]], name: str) -> pa.Table:
    schema = SCHEMAS[name]
    values: list[dict[str, Any]] = []
    for _, points, indexes in rows:
        values += [
            {**points.rows[i], "time_unix_nano": points.time[i], "received_at_unix_nano": points.received[i]}
            for i in indexes
        ]
    stored = {
        field.name: pa.array([row[field.name] for row in values], field.type)
        for field in schema
        if field.name not in SERIES_COLUMNS
    }
    return _with_series([(series, len(indexes)) for series, _, indexes in rows], stored, name)


def _with_series(runs: list[tuple[Series, int]], stored: Mapping[str, pa.Array], name: str) -> pa.Table:
    """``stored`` columns with those of the series beside them, each series for as many rows as its run."""
    schema = SCHEMAS[name]
    described = [_describe(series) for series, _ in runs]
    small = pa.table(
        [_column([row[column] for row in described], schema.field(column).type) for column in SERIES_COLUMNS],
        names=list(SERIES_COLUMNS),
    )
    index = array("i")
    for number, (_, length) in enumerate(runs):
        index.extend([number] * length)
    wide = small.take(_from_buffer(pa.int32(), index))
    return pa.table(
        [wide[field.name] if field.name in SERIES_COLUMNS else stored[field.name] for field in schema], schema=schema
    )


def _describe(series: Series) -> dict[str, Any]:
    metric, resource = series.metric, series.resource
    host, service = resource.attributes.get("host.name"), resource.attributes.get("service.name")
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "kind": metric.kind,
        "temporality": metric.temporality,
        "monotonic": metric.monotonic,
        "description": metric.description,
        "metadata": metric.metadata,
        "flow": series.flow,
        "run": series.run,
        "step": series.step,
        "task": series.task,
        "attempt": series.attempt,
        "host": None if host is None else str(host),
        "service": None if service is None else str(service),
        "attributes": series.attributes_text,
        "resource": resource.text,
        "scope": series.scope,
    }


def _column(values: list[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(type_):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, type_)


def _extend(target: Any, source: Any, indexes: Sequence[int]) -> None:
    if isinstance(indexes, range):
        target.extend(source)
    else:
        target.extend([source[i] for i in indexes])


def _from_buffer(type_: pa.DataType, values: array[Any]) -> pa.Array:
    return pa.Array.from_buffers(type_, len(values), [None, pa.py_buffer(values)])


def _where(type_: pa.DataType, values: array[Any], kinds: Iterable[int], wanted: int) -> pa.Array:
    """``values`` where ``kinds`` is ``wanted``, NULL elsewhere."""
    mask = pa.array([kind == wanted for kind in kinds], pa.bool_())
    return pa.Array.from_buffers(type_, len(values), [mask.buffers()[1], pa.py_buffer(values)])
