"""Codes for values that repeat: each distinct value is looked at once, however many rows hold it.

What comes in: Arrow columns. What goes out: for each row a code (int32, from 0), and the distinct values by their code.
Never does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_CODE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Codes:
    """Rows by the code of their value.

    Attributes:
        rows: int32, never NULL: the code of each row.
        values: the distinct values by code.
    """

    rows: pa.Array
    values: list[Any]

    def of(self, rows: pa.Array) -> Codes:
        """The same values for other rows, each named by the number of one of these."""
        return Codes(self.rows.take(rows), self.values)


def encoded(column: pa.Array) -> Codes:
    """The distinct values of a column, NULL among them."""
    found = column.dictionary_encode(null_encoding="encode")
    return Codes(found.indices, found.dictionary.to_pylist())


def combined(first: Codes, *others: Codes) -> Codes:
    """The distinct tuples of several columns of the same length."""
    rows = first.rows
    values: list[tuple[Any, ...]] = [(value,) for value in first.values]
    for other in others:
        if len(other.values) == 1:
            values = [(*value, other.values[0]) for value in values]
            continue
        width = len(other.values)
        wide = pc.add(pc.multiply(rows.cast(pa.int64()), width), other.rows.cast(pa.int64()))
        found = wide.dictionary_encode()
        values = [(*values[key // width], other.values[key % width]) for key in found.dictionary.to_pylist()]
        rows = found.indices
    return Codes(rows, values)


def joined(first: pa.Array, *others: pa.Array) -> pa.Array:
    """For each row the code of its tuple of several columns: as :func:`combined`, without the tuples."""
    rows = first.dictionary_encode().indices
    for other in others:
        found = other.dictionary_encode()
        if len(found.dictionary) > 1:
            wide = pc.add(pc.multiply(rows.cast(pa.int64()), len(found.dictionary)), found.indices.cast(pa.int64()))
            rows = wide.dictionary_encode().indices
    return rows


def encoded_lists(lists: pa.ListArray) -> Codes:
    """The distinct lists of a column of lists, as tuples; a list that is NULL is empty."""
    items = encoded(lists.values)
    if not len(items.rows):
        return Codes(zeros(len(lists)), [()])
    # Codes are of one width, so the bytes of a list's codes, which lie beside each other, tell lists apart.
    offsets = pc.multiply(lists.offsets, pa.scalar(_CODE_BYTES, pa.int32()))
    joined = pa.Array.from_buffers(pa.binary(), len(lists), [None, offsets.buffers()[1], items.rows.buffers()[1]])
    found = joined.dictionary_encode()
    values = [tuple(items.values[code] for code in memoryview(key).cast("i")) for key in found.dictionary.to_pylist()]
    return Codes(found.indices, values)


def zeros(length: int) -> pa.Array:
    """So many codes of the first value."""
    return pa.Array.from_buffers(pa.int32(), length, [None, pa.py_buffer(bytes(_CODE_BYTES * length))])
