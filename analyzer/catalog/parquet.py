"""The catalogue's Parquet files: one per kind of row, written whole or not at all.

What comes in: the tables. What goes out: files of the same bytes for the same rows and the same pyarrow; or rows
of files.
"""

from __future__ import annotations

import os
import types
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from stepsize.analyzer.catalog.rows import PriceRow, RegionRow, ScoreRow, ServerRow, Tables
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_Row = TypeVar("_Row", ServerRow, PriceRow, RegionRow, ScoreRow)
_ARROW = {str: pa.string(), int: pa.int32(), float: pa.float64()}


def write(tables: Tables, directory: Path) -> dict[str, int]:
    """Writes the files, of scores only where there are any, into ``directory`` and returns the bytes of each."""
    contents: tuple[tuple[str, type, Sequence[Any]], ...] = (
        ("servers", ServerRow, tables.servers),
        ("server_prices", PriceRow, tables.prices),
        ("regions", RegionRow, tables.regions),
        *((("server_scores", ScoreRow, tables.scores),) if tables.scores else ()),
    )
    directory.mkdir(parents=True, exist_ok=True)
    return {name: _write(_table(row, rows), directory / f"{name}.parquet") for name, row, rows in contents}


def read(directory: Path) -> Tables:
    """The catalogue in ``directory``; columns that a file from before does not have are null.

    Raises:
        DataError: a file is missing or is no table of the catalogue.
    """
    scores = directory / "server_scores.parquet"
    return Tables(
        _rows(ServerRow, directory / "servers.parquet"),
        _rows(PriceRow, directory / "server_prices.parquet"),
        _rows(RegionRow, directory / "regions.parquet"),
        _rows(ScoreRow, scores) if scores.exists() else (),
    )


def _rows(row: type[_Row], path: Path) -> tuple[_Row, ...]:
    try:
        table = pq.read_table(path)
        missing: dict[str, Any] = {field.name: None for field in fields(row) if field.name not in table.schema.names}
        return tuple(row(**record, **missing) for record in table.to_pylist())
    except (OSError, pa.ArrowException, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} is no table of the catalogue ({reason}): run `make catalog`") from None


def _table(row: type, rows: Sequence[Any]) -> pa.Table:
    hints = get_type_hints(row)
    schema = pa.schema([pa.field(field.name, *_type(hints[field.name])) for field in fields(row)])
    columns = [pa.array([getattr(r, field.name) for r in rows], schema.field(field.name).type) for field in fields(row)]
    return pa.table(columns, schema=schema)


def _type(hint: Any) -> tuple[pa.DataType, bool]:
    """Arrow type of an annotation, and whether it may be null."""
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (part for part in get_args(hint) if part is not type(None))
        return _type(inner)[0], True
    if get_origin(hint) is Literal:
        return pa.string(), False
    return _ARROW[hint], False


def _write(table: pa.Table, path: Path) -> int:
    partial = path.with_suffix(".partial")
    pq.write_table(table, partial, compression="zstd", compression_level=19, max_rows_per_page=1 << 20)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    return path.stat().st_size
