"""The catalogue's Parquet files: one per kind of row and licence, each written whole or not at all.

What comes in: the tables. What goes out: files of the same bytes for the same rows and the same pyarrow, the rows of
each licence in a part of their own (:mod:`~stepsize.analyzer.catalog.parts`); or rows of files.
"""

from __future__ import annotations

import os
import shutil
import types
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from stepsize.analyzer.catalog import parts
from stepsize.analyzer.catalog.rows import PriceRow, RegionRow, ScoreRow, ServerRow, Tables
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_Row = TypeVar("_Row", ServerRow, PriceRow, RegionRow, ScoreRow)
_LICENCE = "LICENCE.txt"
_NOTHING = Tables((), (), ())
_ARROW = {str: pa.string(), int: pa.int32(), float: pa.float64()}


def write(tables: Tables, directory: Path) -> dict[str, int]:
    """Writes the files into ``directory``, those of parts below it, and returns the bytes of each by its name there.

    Other licences' parts have no files of tables without a row, and their licence's text where the package has it.
    Tables of parts that ``tables`` does not have are removed.
    """
    sizes: dict[str, int] = {}
    for part, held in parts.split(tables).items():
        place = directory / part
        place.mkdir(parents=True, exist_ok=True)
        for table, row, rows in _contents(held):
            if rows or (not part and table != "server_scores"):
                sizes["/".join(filter(None, (part, table)))] = _write(_table(row, rows), place / f"{table}.parquet")
        text = Path(__file__).parent / part / _LICENCE
        if part and text.exists() and not (place / _LICENCE).exists():
            shutil.copyfile(text, place / _LICENCE)
    for table, _, _ in _contents(tables):
        for path in parts.files(directory, table):
            if path.relative_to(directory).with_suffix("").as_posix() not in sizes:
                path.unlink()
    return sizes


def read(directory: Path) -> Tables:
    """The catalogue in ``directory``, all of its parts; columns that a file from before does not have are null.

    Raises:
        DataError: a file is missing or is no table of the catalogue.
    """
    below = sorted({path.parent for table, _, _ in _contents(_NOTHING) for path in parts.files(directory, table)})
    return parts.merged([_read(directory, required=True), *(_read(part) for part in below if part != directory)])


def _contents(tables: Tables) -> Iterator[tuple[str, type, Sequence[Any]]]:
    yield "servers", ServerRow, tables.servers
    yield "server_prices", PriceRow, tables.prices
    yield "regions", RegionRow, tables.regions
    yield "server_scores", ScoreRow, tables.scores


def _read(directory: Path, *, required: bool = False) -> Tables:
    def rows(row: type[_Row], table: str, required: bool) -> tuple[_Row, ...]:
        path = directory / f"{table}.parquet"
        return _rows(row, path) if required or path.exists() else ()

    return Tables(
        rows(ServerRow, "servers", required),
        rows(PriceRow, "server_prices", required),
        rows(RegionRow, "regions", required),
        rows(ScoreRow, "server_scores", False),
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
