"""The order in which rows lie in merged files, and rows that are exactly equal.

What comes in: rows of a table of the lake. What goes out: the rows sorted, or numbers that stand for what they hold.
Never does I/O.

Rows are ordered by task, series and time: that is where most of the compression comes from, and what lets a reader
skip. All series of a task are sampled at the same moments; side by side, they share what their times take. NULL comes
last. Arrow sorts no dictionaries and compares text slowly, so each row gets a number, its *rank*: the place of its
series among those that are there. Ranks are made column by column from the dictionaries, so that text is compared once
for each distinct value and not once for each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TIME = "time_unix_nano"
RECEIVED = "received_at_unix_nano"
_POINTS_BY = ("flow", "run", "step", "task", "host", "metric", "attributes", TIME)
_TASKS_BY = ("flow", "step", "run", "task", "attempt")


def order_of(table: str) -> tuple[str, ...]:
    """The columns by which rows of a table are ordered, the most important one first."""
    return _TASKS_BY if table == "tasks" else _POINTS_BY


def in_order(rows: pa.Table, table: str) -> pa.Table:
    """The rows of ``table`` in their order."""
    whole = rows.unify_dictionaries().combine_chunks()
    by = order_of(table)
    if table == "tasks":
        return whole.take(pc.sort_indices(ranks(whole, by)))
    keys = pa.table([ranks(whole, by[:-1]), whole[TIME]], names=["series", TIME])
    return whole.take(pc.sort_indices(keys, sort_keys=[("series", "ascending"), (TIME, "ascending")]))


def ranks(rows: pa.Table, columns: Sequence[str]) -> pa.Array:
    """A number for each row (int64): rows compare by it as by ``columns``, from the first to the last, NULL last."""
    return _combined(rows.num_rows, (_ranked(_encoded(_one(rows[name]))) for name in columns))


def identities(rows: pa.Table, columns: Sequence[str]) -> pa.Array:
    """A number for each row (int64): equal where, and only where, the rows are equal in every bit of ``columns``."""
    return _combined(rows.num_rows, (_encoded(_one(rows[name])) for name in columns))


def trimmed(rows: pa.Table) -> pa.Table:
    """The rows with dictionaries that hold what the rows hold and nothing else.

    Parquet files carry dictionaries whole: what a filter or a slice left behind would take room, and would outlive its
    own erasure.
    """
    whole = rows.unify_dictionaries().combine_chunks()
    columns = [_trimmed(_one(column)) if pa.types.is_dictionary(column.type) else column for column in whole.columns]
    return pa.table(columns, schema=rows.schema)


def _trimmed(column: pa.DictionaryArray) -> pa.DictionaryArray:
    used = column.indices.dictionary_encode()
    return pa.DictionaryArray.from_arrays(used.indices.cast(pa.int32()), column.dictionary.take(used.dictionary))


def _one(column: pa.ChunkedArray) -> pa.Array:
    """All chunks as one array."""
    if column.num_chunks == 1:
        return column.chunk(0)
    made = column.unify_dictionaries().combine_chunks()
    return made.chunk(0) if isinstance(made, pa.ChunkedArray) else made


def _encoded(column: pa.Array) -> pa.DictionaryArray:
    """A column as a dictionary, NULL a value of it as any other; floats by their bits, lists by their text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        if column.indices.null_count == 0:
            return column
        # NULL as the value after the last: a dictionary's own NULL would not be told from a missing index.
        indices = column.indices.fill_null(len(column.dictionary))
        values = pa.concat_arrays([column.dictionary, pa.nulls(1, column.dictionary.type)])
        return pa.DictionaryArray.from_arrays(indices, values)
    if pa.types.is_floating(kind):
        column = column.view(pa.int64())
    elif pa.types.is_nested(kind):
        column = pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.string())
    return column.dictionary_encode(null_encoding="encode")


def _ranked(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same column with its dictionary in order."""
    order = pc.sort_indices(column.dictionary)
    places = pc.sort_indices(order)
    return pa.DictionaryArray.from_arrays(
        places.take(column.indices).cast(pa.int32()), column.dictionary.take(order), safe=False
    )


def _combined(rows: int, columns: Iterable[pa.DictionaryArray]) -> pa.Array:
    """One number for each row of several columns, ordered as the columns' indices are."""
    number = pa.repeat(pa.scalar(0, pa.int64()), rows)
    for column in columns:
        size = len(column.dictionary)
        if size <= 1:
            continue
        indices = column.indices.cast(pa.int64())
        # Below 2^31 distinct numbers times 2^31 distinct values: it fits. Dense numbers keep it so.
        both = pc.add(pc.multiply(number, pa.scalar(size, pa.int64())), indices).dictionary_encode()
        number = _ranked(both).indices.cast(pa.int64())
    return number
