"""The catalogue's Parquet files: one per kind of row, written whole or not at all.

What comes in: the tables. What goes out: files of the same bytes for the same rows and the same pyarrow. Never reads.
"""

from __future__ import annotations

import os
import types
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from stepsize.analyzer.catalog.rows import PriceRow, RegionRow, ServerRow, Tables

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_ARROW = {str: pa.string(), int: pa.int32(), float: pa.float64()}


def write(tables: Tables, directory: Path) -> dict[str, int]:
    """Writes the three files into ``directory`` and returns the bytes of each."""
    contents: tuple[tuple[str, type, Sequence[Any]], ...] = (
        ("servers", ServerRow, tables.servers),
        ("server_prices", PriceRow, tables.prices),
        ("regions", RegionRow, tables.regions),
    )
    directory.mkdir(parents=True, exist_ok=True)
    return {name: _write(_table(row, rows), directory / f"{name}.parquet") for name, row, rows in contents}


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
