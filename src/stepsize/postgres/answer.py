"""The answer to one statement as text, for who asks without a client of Postgres.

What comes in: an engine, a statement. What goes out: its rows as text, in one of several formats, a batch at a time.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.postgres import cells, lexer, types
from stepsize.postgres.catalog import Context
from stepsize.postgres.commands import recognised
from stepsize.postgres.errors import SqlError
from stepsize.postgres.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepsize.postgres.engine import Engine, Prepared
    from stepsize.postgres.types import Column

FORMATS = ("table", "json", "csv", "markdown")
_NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})


def answer(engine: Engine, text: str, form: str) -> Iterator[str]:
    """The rows of a statement in one of :data:`FORMATS`, in pieces that together end in a newline.

    Raises:
        SqlError: it is none that reads, fails, or takes longer than the engine's limit.
    """
    found = lexer.statements(text)
    if len(found) != 1:
        raise SqlError("42601", f"one statement is expected, these are {len(found)}")
    if recognised(found[0]) is not None and not found[0][0].says("show"):
        raise SqlError("0A000", f"{found[0][0].text.upper()} is for the clients of stepsize sql --serve")
    prepared = engine.prepare(found[0], Context(user="stepsize"))
    if prepared.parameters:
        raise SqlError("42P02", "there is no parameter $1")
    if form == "json":
        prepared = replace(prepared, columns=tuple(map(_with_lists, prepared.columns)))
    columns = _apart(prepared.columns)
    rows = _rows(engine, prepared)
    if form == "json":
        yield from _json(rows, columns)
    elif form == "csv":
        yield from _csv(rows, columns)
    elif form == "markdown":
        yield from _markdown(rows, columns)
    else:
        yield from _table(list(rows), columns)


def _with_lists(column: Column) -> Column:
    """An array as the JSON that it is."""
    return types.Column(column.name, column.duckdb, types.BY_NAME["json"]) if column.is_array else column


def _apart(columns: Sequence[Column]) -> list[Column]:
    """Columns without two of a name."""
    seen: dict[str, int] = {}
    found = []
    for one in columns:
        seen[one.name] = count = seen.get(one.name, 0) + 1
        name = one.name if count == 1 else f"{one.name}_{count}"
        found.append(types.Column(name, one.duckdb, one.type, one.is_array))
    return found


def _rows(engine: Engine, prepared: Prepared) -> Iterator[tuple[str | None, ...]]:
    guard = Guard()
    formats = [types.TEXT] * len(prepared.columns)
    guard.begin(engine.limits.statement_s)
    rows = engine.run(prepared, (), formats, guard.attach)
    try:
        while (batch := rows.next()) is not None:
            arrays = map(cells.cells, batch.columns, prepared.columns, formats)
            texts = [[None if one is None else one.decode() for one in array.to_pylist()] for array in arrays]
            yield from zip(*texts, strict=True)
            guard.look()
    finally:
        rows.close()
        guard.end()


def _json(rows: Iterator[tuple[str | None, ...]], columns: Sequence[Column]) -> Iterator[str]:
    """A list of objects, numbers and JSON as what they are."""
    before = "["
    names = [json.dumps(one.name) for one in columns]
    for row in rows:
        said = (_json_value(one, text) for one, text in zip(columns, row, strict=True))
        yield f"{before}\n  {{{', '.join(f'{name}: {value}' for name, value in zip(names, said, strict=True))}}}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _json_value(column: Column, text: str | None) -> str:
    if text is None:
        return "null"
    if column.type.name == "boolean":
        return "true" if text == "t" else "false"
    if column.type.name == "json" or (column.type.name in _NUMBERS and text not in {"NaN", "Infinity", "-Infinity"}):
        return text
    return json.dumps(text)


def _csv(rows: Iterator[tuple[str | None, ...]], columns: Sequence[Column]) -> Iterator[str]:
    def line(values: Sequence[str | None]) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(values)
        return out.getvalue()

    yield line([one.name for one in columns])
    for row in rows:
        yield line(row)


def _markdown(rows: Iterator[tuple[str | None, ...]], columns: Sequence[Column]) -> Iterator[str]:
    def line(values: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(one.replace("|", "\\|").split()) for one in values) + " |\n"

    yield line([one.name for one in columns])
    yield "|" + "|".join(" ---: " if _is_number(one) else " --- " for one in columns) + "|\n"
    for row in rows:
        yield line(["" if one is None else one for one in row])


def _is_number(column: Column) -> bool:
    return column.type.name in _NUMBERS and not column.is_array


def _table(rows: list[tuple[str | None, ...]], columns: Sequence[Column]) -> Iterator[str]:
    """Columns as wide as what is in them."""
    shown = [["" if one is None else " ".join(one.split()) for one in row] for row in rows]
    widths = [max([len(one.name), *(len(row[place]) for row in shown)]) for place, one in enumerate(columns)]
    for line in ([one.name for one in columns], *shown):
        parts = [
            text.rjust(width) if _is_number(one) else text.ljust(width)
            for one, text, width in zip(columns, line, widths, strict=True)
        ]
        yield "  ".join(parts).rstrip() + "\n"
