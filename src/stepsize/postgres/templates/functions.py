"""Functions of DuckDB's for what SQL cannot say: values by a template.

What comes in: a connection. What goes out: functions in it, which macros of the catalogue call by their types.
Each value of a column that differs is worked out once a batch.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from stepsize.postgres.templates import date_reading, dates, numbers
from stepsize.postgres.templates.dates import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Make them."""
    for name, function, kind, result in (
        ("_to_char_timestamp", _times(_time_shown), "TIMESTAMP", "VARCHAR"),
        ("_to_char_timestamptz", _times(_instant_shown), "TIMESTAMP", "VARCHAR"),
        ("_to_char_interval", _each(_span_shown), "INTERVAL", "VARCHAR"),
        ("_to_char_number", _each(_number_shown), "VARCHAR", "VARCHAR"),
        ("_to_instant", _each(_instant_read), "VARCHAR", "VARCHAR"),
        ("_to_number", _each(_number_read), "VARCHAR", "VARCHAR"),
    ):
        options = {"type": "arrow", "null_handling": "special"}
        connection.create_function(name, function, [kind, "VARCHAR"], result, **options)  # type: ignore[call-overload]  # as its text, which every version takes


def _each(one: Callable[[Any, str], str | None]) -> Callable[[Any, Any], pa.Array]:
    """A function of columns that gives ``one`` of each pair, and NULL where either is."""

    def all_of(values: Any, templates: Any) -> pa.Array:
        known: dict[tuple[Any, str], str | None] = {}
        found = []
        for key in zip(_python(values), templates.to_pylist(), strict=True):
            if key not in known:
                known[key] = None if None in key else one(*key)
            found.append(known[key])
        return pa.array(found, pa.string())

    return all_of


_BY_ARROW = {
    "YYYY": "%Y",
    "MM": "%m",
    "DD": "%d",
    "DDD": "%j",
    "HH24": "%H",
    "HH12": "%I",
    "HH": "%I",
    "MI": "%M",
    "SS": "%S",
    "IYYY": "%G",
    "IW": "%V",
    "Mon": "%b",
    "Dy": "%a",
    "AM": "%p",
    "PM": "%p",
}
"""Keys that Arrow writes as Postgres does, of times in the years from 1000 to 9999."""
_FIRST_US, _LAST_US = -30_610_224_000_000_000, 253_402_300_799_999_999


@lru_cache(maxsize=256)
def _format(template: str) -> str | None:
    """A template as Arrow has it; None where it cannot say that."""
    parts = []
    for one in dates.pieces(template):
        if one.key and (one.key not in _BY_ARROW or not one.is_filled or one.ordinal):
            return None
        parts.append(_BY_ARROW[one.key] if one.key else one.text.replace("%", "%%"))
    return "".join(parts)


def _times(one: Callable[[Any, str], str | None]) -> Callable[[Any, Any], pa.Array]:
    """As :func:`_each`, of times: by Arrow, all at once, where it can."""
    slowly = _each(one)

    def all_of(values: Any, templates: Any) -> pa.Array:
        said = pc.unique(templates).to_pylist()
        form = _format(said[0]) if len(said) == 1 and said[0] is not None else None
        bounds = pc.min_max(values.cast(pa.int64())).as_py()
        if form is None or bounds["min"] is None or bounds["min"] < _FIRST_US or bounds["max"] > _LAST_US:
            return slowly(values, templates)
        seconds = pc.floor_temporal(values, unit="second").cast(pa.timestamp("s"))
        return pc.strftime(seconds, format=form, locale="C")

    return all_of


def _python(values: Any) -> list[Any]:
    """Of times as counts of microseconds, which may be beyond what Python's have."""
    return list(values.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(values.type) else values.to_pylist())


def _time(microseconds: int) -> dt.datetime | None:
    """None where Python's calendar does not reach, and for infinity."""
    try:
        return dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=microseconds)  # noqa: DTZ001 - as above
    except OverflowError:
        return None


def _time_shown(microseconds: int, template: str) -> str | None:
    moment = _time(microseconds)
    return None if moment is None else dates.shown(moment, template)


def _instant_shown(microseconds: int, template: str) -> str | None:
    moment = _time(microseconds)
    return None if moment is None else dates.shown(moment.replace(tzinfo=dt.timezone.utc), template)


def _span_shown(value: Any, template: str) -> str:
    return dates.shown_span(Span(value.months, value.days, value.nanoseconds // 1000), template)


def _number_shown(said: str, template: str) -> str:
    return numbers.shown(Decimal(said), template)


def _instant_read(text: str, template: str) -> str:
    return date_reading.read(text, template).isoformat(sep=" ")


def _number_read(text: str, template: str) -> str:
    return f"{numbers.read(text, template):f}"
