"""Rows as COPY has them: lines of text or CSV, or Postgres's own binary form, a message a row.

What comes in: record batches of cells, as :mod:`stepsize.postgres.cells` is given them. What goes out: the messages of
a COPY to the client, a batch at a time. Never looks at a single cell in Python, and holds one batch at a time.
Source of the forms: PostgreSQL's documentation, COPY; of the messages: 55.2.6.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stepsize.postgres import cells, messages, types
from stepsize.postgres.copy_statement import BINARY, CSV
from stepsize.postgres.errors import SqlError
from stepsize.postgres.portal import Portal
from stepsize.postgres.rows import content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stepsize.postgres.copy_statement import Options
    from stepsize.postgres.running import Rows
    from stepsize.postgres.types import Column

_MESSAGE = np.dtype([("kind", "S1"), ("length", ">i4")])
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_EMPTY = pa.scalar(b"", pa.large_binary())
_PLAIN_TYPES = frozenset(
    (
        *("boolean", "smallint", "integer", "bigint", "oid", "numeric", "real", "double precision", "uuid", "date"),
        *("timestamp without time zone", "timestamp with time zone", "time without time zone", "interval"),
    )
)
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-.: ")
"""All that is in the texts of these types."""
_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


class CopyPortal(Portal):
    """A statement whose rows are copied; it is described as one that returns nothing.

    Args:
        columns: of the rows.
        options: how they are written.
        run: begins the statement, with cells in :func:`format_of`.

    Raises:
        SqlError: a column is to be quoted that is not there.
    """

    def __init__(self, columns: Sequence[Column], options: Options, run: Callable[[], Rows]) -> None:
        super().__init__((), (), run, "COPY")
        self._copied = tuple(columns)
        self._options = options
        for name in sorted(options.forced or ()):
            if name not in {one.name for one in columns}:
                raise SqlError("42703", f'column "{name}" does not exist')

    def fetch(self, most: int, fetched_as: str = "", *, is_shown: bool = True) -> Iterator[bytes | memoryview]:  # noqa: ARG002 - of any portal
        """The messages of all rows, however many are asked for: a COPY is one whole."""
        form = format_of(self._options)
        count = 0
        if not self.is_done:
            rows = self._begun()
            yield messages.copy_out(form, len(self._copied))
            begin = _SIGNATURE if form == types.BINARY else b""  # in the first message, as Postgres sends it
            if self._options.has_header:
                yield _header(self._copied, self._options)
            while (batch := rows.next()) is not None:
                count += batch.num_rows
                arrays = [cells.cells(*one, form) for one in zip(batch.columns, self._copied, strict=True)]
                if batch.num_rows:
                    yield _messages(arrays, batch.num_rows, self._copied, self._options, begin)
                    begin = b""
            if form == types.BINARY:
                yield messages.copy_data(begin + _END)
            yield messages.COPY_DONE
            self.close()
        yield messages.complete(f"COPY {count}")


def format_of(options: Options) -> int:
    """The format of the cells that are copied."""
    return types.BINARY if options.form == BINARY else types.TEXT


def _header(columns: Sequence[Column], options: Options) -> bytes:
    """The line of names; quoted only where they must be."""
    names = [pa.array([one.name.encode()], pa.large_binary()) for one in columns]
    if options.form == CSV:
        shown = [_quoted(one, options, is_alone=len(names) == 1) for one in names]
    else:
        shown = [_escaped(one, options.delimiter) for one in names]
    line = options.delimiter.encode().join(one[0].as_py() for one in shown)
    return messages.copy_data(line + b"\n")


def _messages(
    arrays: Sequence[pa.Array], rows: int, columns: Sequence[Column], options: Options, begin: bytes
) -> memoryview:
    """A message for each row; the first of them begins with ``begin``."""
    is_binary = options.form == BINARY
    parts = _binary_parts(arrays, rows, begin) if is_binary else _text_parts(arrays, columns, options)
    size = np.full(rows, _MESSAGE.itemsize - 1, dtype=np.int64)
    for one in parts:
        size += len(one.as_py()) if isinstance(one, pa.Scalar) else pc.binary_length(one).to_numpy()
    head = np.empty(rows, dtype=_MESSAGE)
    head["kind"], head["length"] = b"d", size
    return content(pc.binary_join_element_wise(cells.fixed(head), *parts, _EMPTY))


def _binary_parts(arrays: Sequence[pa.Array], rows: int, begin: bytes) -> list[Any]:
    counts = pa.scalar(len(arrays).to_bytes(2, "big"), pa.large_binary())
    parts: list[Any] = [counts]
    if begin:
        parts.insert(0, pa.array([begin, *[b""] * (rows - 1)], pa.large_binary()))
    for one in arrays:
        lengths = pc.fill_null(pc.binary_length(one), -1).to_numpy(zero_copy_only=False)
        parts += [cells.fixed(lengths.astype(">i4")), _filled(one, b"")]
    return parts


def _text_parts(arrays: Sequence[pa.Array], columns: Sequence[Column], options: Options) -> list[Any]:
    between = pa.scalar(options.delimiter.encode(), pa.large_binary())
    parts: list[Any] = []
    for one, column in zip(arrays, columns, strict=True):
        shown = _shown(one, column, options, is_alone=len(columns) == 1)
        parts += [_filled(shown, options.null.encode()), between]
    return [*parts[:-1], pa.scalar(b"\n", pa.large_binary())]


def _filled(array: pa.Array, null: bytes) -> pa.Array:
    return pc.fill_null(array, pa.scalar(null, pa.large_binary())) if array.null_count else array


def _shown(array: pa.Array, column: Column, options: Options, *, is_alone: bool) -> pa.Array:
    """The values of a column as they stand in a line, NULLs left as they are."""
    is_forced = options.form == CSV and (options.forced is None or column.name in options.forced)
    special = options.delimiter + (options.quote + options.null if options.form == CSV else "")
    if column.type.name in _PLAIN_TYPES and not column.is_array and not is_forced and not set(special) & _PLAIN:
        return array
    if options.form == CSV:
        return _quoted(array, options, is_alone=is_alone, is_forced=is_forced)
    return _escaped(array, options.delimiter)


def _escaped(array: pa.Array, delimiter: str) -> pa.Array:
    """With a backslash before what would end a value, or a line, or be taken for a backslash's."""
    marks = {"\\": "\\\\", **_ESCAPES, delimiter: _ESCAPES.get(delimiter, f"\\{delimiter}")}
    pattern = "[" + "".join(map(re.escape, marks)) + "]"
    if not pc.any(pc.match_substring_regex(array, pattern)).as_py():
        return array
    for mark, shown in marks.items():  # the backslash first
        array = pc.replace_substring(array, mark, shown)
    return array


def _quoted(array: pa.Array, options: Options, *, is_alone: bool = False, is_forced: bool = False) -> pa.Array:
    """In quotes, where a value would not be read as what it is without them."""
    quote, escape = options.quote, options.escape
    special = "[" + "".join(map(re.escape, (options.delimiter, quote, "\r", "\n"))) + "]"
    needs = pc.or_(pc.match_substring_regex(array, special), pc.equal(array, _bytes(options.null)))
    if is_alone:
        needs = pc.or_(needs, pc.equal(array, _bytes("\\.")))  # alone in a line, it would end the data
    if is_forced:
        needs = array.is_valid()
    if not pc.any(needs).as_py():
        return array
    inside = pc.replace_substring(array, escape, escape * 2) if escape != quote else array
    inside = pc.replace_substring(inside, quote, escape + quote)
    return pc.if_else(needs, pc.binary_join_element_wise(_bytes(quote), inside, _bytes(quote), _EMPTY), array)


def _bytes(text: str) -> pa.Scalar:
    return pa.scalar(text.encode(), pa.large_binary())
