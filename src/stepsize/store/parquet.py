"""Arrow tables to Parquet files and back, with the settings that were measured for 1 Hz task data.

What comes in: a table of one of :data:`stepsize.store.schema.SCHEMAS`. What goes out: a file that appears whole and
durable, or the table. Never names a file in a manifest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stepsize.discovery import sync_directory
from stepsize.store.layout import make_directory
from stepsize.store.schema import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# pyarrow ends a page at 20,000 rows or 1 MiB by default, which cuts zstd off from what repeats: on 1 Hz task data
# larger pages take 3 bytes a point in place of 5.
_PAGE_BYTES = 8 << 20
_PAGE_ROWS = 1 << 20
_ROW_GROUP_ROWS = 1 << 20
_ZSTD_LEVEL = 3
_UNREPEATED = ("time_unix_nano", "start_time_unix_nano", "received_at_unix_nano", "value_double", "value_int")
"""Columns whose values hardly repeat: a dictionary of them is larger than they are. Deltas of times are small."""


def write_parquet(path: Path, table: pa.Table, name: str) -> int:
    """Write the rows of table ``name`` to ``path``, which appears whole; durable when it returns. Returns its bytes."""
    schema = SCHEMAS[name]
    temporary = path.with_name(f".{path.name}.tmp")
    make_directory(path.parent)
    times = [column for column in _UNREPEATED if column.endswith("_nano") and column in schema.names]
    options: dict[str, Any] = {
        "compression": "zstd",
        "compression_level": _ZSTD_LEVEL,
        "data_page_size": _PAGE_BYTES,
        "row_group_size": _ROW_GROUP_ROWS,
        "use_dictionary": [field.name for field in schema if field.name not in _UNREPEATED],
        "column_encoding": dict.fromkeys(times, "DELTA_BINARY_PACKED"),
        "store_schema": True,
    }
    if "max_rows_per_page" in pq.ParquetWriter.__init__.__code__.co_varnames:
        options["max_rows_per_page"] = _PAGE_ROWS
    try:
        with temporary.open("wb") as file:
            pq.write_table(table.cast(schema), file, **options)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
    return size_bytes


def read_parquet(paths: Sequence[Path], name: str) -> pa.Table:
    """The rows of table ``name`` in ``paths``, in their order."""
    schema = SCHEMAS[name]
    tables = [_widened(pq.ParquetFile(path).read(), schema) for path in paths]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with every column of the schema: files written before a column was added have none of it."""
    for field in schema:
        if field.name not in table.schema.names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names).cast(schema)
