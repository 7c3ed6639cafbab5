"""Arrow tables to Parquet files and back, with the settings that were measured for 1 Hz task data.

What comes in: rows of a table of :data:`stepsize.store.schema.SCHEMAS`. What goes out: a file that appears whole and
durable, or the rows. Never names a file in a manifest. Encodings are those that every reader of Parquet 2 knows
(`docs/decisions/0019` has what they measure).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stepsize.discovery import sync_directory
from stepsize.store.layout import make_directory
from stepsize.store.order import order_of
from stepsize.store.schema import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

# pyarrow ends a page at 20,000 rows or 1 MiB by default, which cuts zstd off from what repeats: on 1 Hz task data
# larger pages take 3 bytes a point in place of 5.
_PAGE_BYTES = 8 << 20
_PAGE_ROWS = 1 << 20
ROW_GROUP_ROWS = 1 << 20
QUICK, SMALL = 3, 9
"""Levels of zstd: of what is written again soon, and of what stays (a tenth smaller, for a third more of the time)."""
_DELTAS: tuple[str, ...] = ("time_unix_nano", "start_time_unix_nano", "received_at_unix_nano", "value_int")
"""Columns that change by little from row to row: differences may be smaller, see `smallest_deltas`."""
_PLAIN = (*_DELTAS, "value_double")
"""Columns of which a dictionary is larger than they are. As they are, zstd finds a time again in the next series."""


class ParquetWriter:
    """Writes one file, row group by row group; as a context, the file is there, whole and durable, at its end.

    Args:
        path: where it appears.
        name: the table its rows belong to.
        ordered: whether the rows come in the table's order, which the file then says.
        level: of zstd.
        deltas: columns that are stored as differences from row to row, see `smallest_deltas`.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        ordered: bool = False,
        level: int = QUICK,
        deltas: Collection[str] = (),
    ) -> None:
        self._path = path
        self._schema = SCHEMAS[name]
        self._temporary = path.with_name(f".{path.name}.tmp")
        make_directory(path.parent)
        self._file = self._temporary.open("wb")
        try:
            options = _options(name, ordered=ordered, level=level, deltas=deltas)
            self._writer = pq.ParquetWriter(self._file, self._schema, **options)
        except BaseException:
            self._discard()
            raise
        self.rows = 0
        self.size_bytes = 0

    def write(self, rows: pa.Table) -> None:
        """Append rows, as one row group where there are at most `ROW_GROUP_ROWS`."""
        self._writer.write_table(rows.cast(self._schema), row_group_size=ROW_GROUP_ROWS)
        self.rows += rows.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self.size_bytes = self._file.tell()
            self._file.close()
            self._temporary.replace(self._path)
        except BaseException:
            self._discard()
            raise
        sync_directory(self._path.parent)

    def _discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def write_parquet(path: Path, table: pa.Table, name: str, *, ordered: bool = False) -> int:
    """Write the rows of table ``name`` to ``path``, which appears whole; durable when it returns. Returns its bytes."""
    with ParquetWriter(path, name, ordered=ordered) as writer:
        writer.write(table)
    return writer.size_bytes


def read_parquet(paths: Sequence[Path], name: str) -> pa.Table:
    """The rows of table ``name`` in ``paths``, in their order."""
    schema = SCHEMAS[name]
    tables = [widened(pq.ParquetFile(path).read(), schema) for path in paths]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def read_batches(file: pq.ParquetFile, name: str, rows: int) -> Iterator[pa.Table]:
    """The rows of an open file of table ``name``, in tables of at most ``rows``, of which few are in memory at once."""
    schema = SCHEMAS[name]
    for batch in file.iter_batches(batch_size=rows, use_threads=False):
        yield widened(pa.Table.from_batches([batch]), schema)


def is_ordered(file: pq.ParquetFile, name: str) -> bool:
    """Whether a file says that its rows are in the order of table ``name``."""
    metadata = file.metadata
    if metadata.num_row_groups == 0:
        return True
    paths = [metadata.schema.column(number).path for number in range(len(metadata.schema))]
    said = [(paths[one.column_index], one.descending, one.nulls_first) for one in metadata.row_group(0).sorting_columns]
    return said == [(column, False, False) for column in order_of(name)]


def widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with every column of the schema: files written before a column was added have none of it."""
    for field in schema:
        if field.name not in table.schema.names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names).cast(schema)


def smallest_deltas(rows: pa.Table, name: str) -> tuple[str, ...]:
    """Which columns of these rows are smaller as differences than as they are, by trying both.

    Times on a grid all but vanish as differences. Times that are late by a little, differently each second, are the
    same in all series of a host: as they are, zstd finds them again; differences are packed into bits, where it cannot.
    Only what stays is worth trying: of what is written again soon, nothing is stored as differences.
    """
    found = []
    for column in _DELTAS:
        if column in rows.schema.names and rows[column].null_count < rows.num_rows:
            one = rows.select([column])
            if _size(one, name, (column,)) < _size(one, name, ()):
                found.append(column)
    return tuple(found)


def _size(rows: pa.Table, name: str, deltas: Collection[str]) -> int:
    buffer = pa.BufferOutputStream()
    pq.write_table(rows, buffer, **_options(name, ordered=False, level=SMALL, deltas=deltas))
    return int(buffer.tell())


def _options(name: str, *, ordered: bool, level: int, deltas: Collection[str]) -> dict[str, Any]:
    schema = SCHEMAS[name]
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": level,
        "data_page_size": _PAGE_BYTES,
        "use_dictionary": [field.name for field in schema if field.name not in _PLAIN],
        "column_encoding": {column: "DELTA_BINARY_PACKED" for column in deltas if column in schema.names},
        "store_schema": True,
    }
    if ordered:
        by = [(column, "ascending") for column in order_of(name)]
        options["sorting_columns"] = pq.SortingColumn.from_ordering(schema, by)
    if "max_rows_per_page" in pq.ParquetWriter.__init__.__code__.co_varnames:
        options["max_rows_per_page"] = _PAGE_ROWS
    return options
