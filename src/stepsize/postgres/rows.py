"""Rows of the wire from Arrow, a batch at a time and column by column.

What comes in: columns of cells, as :mod:`stepsize.postgres.cells` makes them. What goes out: the `DataRow` messages of
all rows as one piece of memory. Never looks at a single cell in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stepsize.postgres.cells import fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADER = np.dtype([("kind", "S1"), ("length", ">i4"), ("columns", ">i2")])
_NULL = -1


def data_rows(columns: Sequence[pa.Array], rows: int) -> memoryview:
    """The messages of ``rows`` rows, given the cells of each column."""
    size = np.full(rows, _HEADER.itemsize - 1, dtype=np.int64)
    parts: list[pa.Array] = []
    for cells in columns:
        lengths = pc.fill_null(pc.binary_length(cells), _NULL).to_numpy(zero_copy_only=False)
        size += np.maximum(lengths, 0) + 4
        parts += [fixed(lengths.astype(">i4")), pc.fill_null(cells, b"") if cells.null_count else cells]
    header = np.empty(rows, dtype=_HEADER)
    header["kind"], header["length"], header["columns"] = b"D", size, len(columns)
    return content(pc.binary_join_element_wise(fixed(header), *parts, pa.scalar(b"", pa.large_binary())))


def content(joined: pa.Array) -> memoryview:
    """All bytes of an array, one after the other."""
    if not len(joined):
        return memoryview(b"")
    offsets = np.frombuffer(joined.buffers()[1], dtype=np.int64)
    begin, end = offsets[joined.offset], offsets[joined.offset + len(joined)]
    return memoryview(joined.buffers()[2])[begin:end]
