"""Functions of DuckDB's for what SQL cannot say: values by a template.

What comes in: a connection. What goes out: functions in it, which macros of the catalogue call by their types.
Each value of a column that differs is worked out once a batch.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stepsize.postgres.templates import dates, numbers
from stepsize.postgres.templates.dates import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Make them."""
    for name, function, kind, result in (
        ("_to_char_timestamp", _each(_time_shown), "TIMESTAMP", "VARCHAR"),
        ("_to_char_timestamptz", _each(_instant_shown), "TIMESTAMP", "VARCHAR"),
        ("_to_char_interval", _each(_span_shown), "INTERVAL", "VARCHAR"),
        ("_to_char_number", _each(_number_shown), "VARCHAR", "VARCHAR"),
        ("_to_instant", _each(_instant_read), "VARCHAR", "VARCHAR"),
        ("_to_number", _each(_number_read), "VARCHAR", "VARCHAR"),
    ):
        connection.create_function(name, function, [kind, "VARCHAR"], result, type="arrow")  # type: ignore[call-overload]  # as its text, which every version takes


def _each(one: Callable[[Any, str], str | None]) -> Callable[[Any, Any], pa.Array]:
    """A function of columns that gives ``one`` of each pair; NULLs do not come here."""

    def all_of(values: Any, templates: Any) -> pa.Array:
        known: dict[tuple[Any, str], str | None] = {}
        found = []
        for key in zip(_python(values), templates.to_pylist(), strict=True):
            if key not in known:
                known[key] = None if None in key else one(*key)
            found.append(known[key])
        return pa.array(found, pa.string())

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
    return dates.read(text, template).isoformat(sep=" ")


def _number_read(text: str, template: str) -> str:
    return f"{numbers.read(text, template):f}"
