"""Rows of the wire from Arrow, a batch at a time and column by column.

What comes in: record batches whose columns are the text of each cell. What goes out: `DataRow` messages of all rows as
one piece of memory. Never looks at a single cell in Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_HEADER = np.dtype([("kind", "S1"), ("length", ">i4"), ("columns", ">i2")])
_NULL = -1


def data_rows(columns: list[pa.Array], rows: int) -> memoryview:
    """The messages of ``rows`` rows, given each column as the bytes of its cells."""
    size = np.full(rows, _HEADER.itemsize - 1, dtype=np.int64)
    parts: list[pa.Array] = []
    for cells in columns:
        lengths = _lengths(cells)
        size += np.maximum(lengths, 0) + 4
        parts += [_fixed(lengths.astype(">i4"), rows), _filled(cells)]
    header = np.empty(rows, dtype=_HEADER)
    header["kind"], header["length"], header["columns"] = b"D", size, len(columns)
    joined = pc.binary_join_element_wise(_fixed(header, rows), *parts, pa.scalar(b"", pa.large_binary()))
    return _content(joined)


def cells_of(array: pa.Array) -> pa.Array:
    """A column of text as bytes."""
    return array.cast(pa.large_binary())


def _lengths(cells: pa.Array) -> Any:
    lengths = pc.binary_length(cells)
    return pc.fill_null(lengths, _NULL).to_numpy(zero_copy_only=False)


def _filled(cells: pa.Array) -> pa.Array:
    return pc.fill_null(cells, b"") if cells.null_count else cells


def _fixed(values: Any, rows: int) -> pa.Array:
    """Bytes of equal length as an array of theirs."""
    width = values.dtype.itemsize
    offsets = np.arange(0, width * (rows + 1), width, dtype=np.int64)
    return pa.Array.from_buffers(pa.large_binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(values)])


def _content(joined: pa.Array) -> memoryview:
    """All bytes of an array, one after the other."""
    if not len(joined):
        return memoryview(b"")
    offsets = np.frombuffer(joined.buffers()[1], dtype=np.int64)
    begin, end = offsets[joined.offset], offsets[joined.offset + len(joined)]
    return memoryview(joined.buffers()[2])[begin:end]
