"""The cells of a column as the wire has them in either format, all of a batch at once.

What comes in: an Arrow array, as the SQL of :func:`source_of` makes it. What goes out: an array of bytes, NULL where
the cell is. Source of the formats: PostgreSQL, src/backend/utils/adt/*.c (the functions `*_send`, `*_out`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stepsize.postgres.types import BINARY

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.postgres.types import Column

_EPOCH_DAYS = 10_957
_EPOCH_US = _EPOCH_DAYS * 86_400_000_000
"""From 1970 to 2000, where Postgres begins to count."""
_INTERVAL = np.dtype([("microseconds", ">i8"), ("days", ">i4"), ("months", ">i4")])
_ARROW_INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
_ARRAY = np.dtype([(name, ">i4") for name in ("dimensions", "has_null", "oid", "length", "lower")])
_SAFE = r"^[A-Za-z0-9_.:+\-/]+$"
"""An element that needs no quotes."""

# -- what DuckDB is asked for ----------------------------------------------------------------------------------------

_FLOAT = (
    "CASE WHEN isfinite({0}) THEN CAST({0} AS VARCHAR) WHEN isnan({0}) THEN 'NaN' "
    "WHEN {0} > 0 THEN 'Infinity' WHEN {0} < 0 THEN '-Infinity' END"
)
_INTERVAL_TEXT = (
    r"regexp_replace(regexp_replace(replace(CAST({0} AS VARCHAR), 'month', 'mon'), "
    r"'-1 (year|mon|day)\b', '-1 \1s', 'g'), '(-\d+ [a-z]+ )(\d)', '\1+\2', 'g')"
)
"""``-1 days``, and a plus where a part follows one that is negative."""
_TEXTS = {
    "boolean": "CASE {0} WHEN true THEN 't' WHEN false THEN 'f' END",
    "bytea": "'\\x' || lower(hex({0}))",
    "real": _FLOAT,
    "double precision": _FLOAT,
    "timestamp without time zone": "CAST(CAST({0} AS TIMESTAMP) AS VARCHAR)",
    "time without time zone": "CAST(CAST({0} AS TIME) AS VARCHAR)",
    "interval": _INTERVAL_TEXT,
}
"""Type → SQL for its text, where a cast alone is not what Postgres says; in a list, where it differs."""
_BINARY_CASTS = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "oid": "UINTEGER",
    "date": "DATE",
    "time without time zone": "TIME",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP",
    "text": "VARCHAR",
    "numeric": "VARCHAR",
}


def source_of(column: Column, name: str, form: int) -> str:
    """SQL for what :func:`cells` needs of a column of a query, called ``name`` there."""
    if column.type.name == "json" and not column.is_array:
        return f"CAST({name if column.duckdb == 'JSON' else f'to_json({name})'} AS VARCHAR)"
    one = _binary_source if form == BINARY else _text_source
    if not column.is_array:
        return one(column, name)
    return f"list_transform(CAST({name} AS {column.element}[]), lambda item: {one(column, 'item')})"


def _text_source(column: Column, name: str) -> str:
    if column.duckdb == "VARCHAR":
        return name
    return _TEXTS.get(column.type.name, "CAST({0} AS VARCHAR)").format(name)


def _binary_source(column: Column, name: str) -> str:
    if column.type.name == "uuid":
        return f"unhex(replace(CAST({name} AS VARCHAR), '-', ''))"
    kind = _BINARY_CASTS.get(column.type.name)
    return f"CAST({name} AS {kind})" if kind else name


# -- what the wire is given ------------------------------------------------------------------------------------------


def cells(array: pa.Array, column: Column, form: int) -> pa.Array:
    """The cells of a column."""
    if column.is_array:
        return _binary_lists(array, column) if form == BINARY else _text_lists(array)
    return _binary(array, column) if form == BINARY else array.cast(pa.large_binary())


def _binary(array: pa.Array, column: Column) -> pa.Array:
    if column.type.name == "numeric":
        return _numerics(array)
    encode = _ENCODERS.get(column.type.name)
    if encode is None:
        return array.cast(pa.large_binary())
    filled = pc.fill_null(array, _zero(array.type)) if array.null_count else array
    return fixed(encode(filled), array.is_valid() if array.null_count else None)


def _zero(kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_interval(kind):
        return pa.scalar((0, 0, 0), kind)
    return pa.scalar(0, pa.int64()).cast(kind) if not pa.types.is_date32(kind) else pa.scalar(0, pa.int32()).cast(kind)


def fixed(values: Any, valid: pa.Array | None = None) -> pa.Array:
    """Values of equal size as an array of their bytes, NULL where they are not ``valid``."""
    rows, width = len(values), values.dtype.itemsize
    offsets = np.arange(0, width * (rows + 1), width, dtype=np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(values))]
    made = pa.Array.from_buffers(pa.large_binary(), rows, buffers)
    return made if valid is None else pc.if_else(valid, made, pa.scalar(None, pa.large_binary()))


def _swapped(kind: str) -> Callable[[pa.Array], Any]:
    return lambda array: array.to_numpy(zero_copy_only=False).astype(kind)


def _dates(array: pa.Array) -> Any:
    days = array.cast(pa.int32()).to_numpy().astype(np.int64)
    return _shifted(days, _EPOCH_DAYS, 2**31 - 1).astype(">i4")


def _instants(array: pa.Array) -> Any:
    return _shifted(array.cast(pa.int64()).to_numpy(), _EPOCH_US, 2**63 - 1).astype(">i8")


def _shifted(values: Any, by: int, infinity: int) -> Any:
    """Counted from 2000; both infinities of DuckDB's are those of Postgres."""
    found = np.where(values >= infinity, infinity, values - by)
    return np.where(values <= -infinity, -infinity - 1, found)


def _intervals(array: pa.Array) -> Any:
    raw = np.frombuffer(array.buffers()[1], dtype=_ARROW_INTERVAL)[array.offset : array.offset + len(array)]
    found = np.empty(len(raw), dtype=_INTERVAL)
    found["microseconds"], found["days"], found["months"] = raw["nanoseconds"] // 1000, raw["days"], raw["months"]
    return found


_ENCODERS: dict[str, Callable[[pa.Array], Any]] = {
    "boolean": lambda array: array.to_numpy(zero_copy_only=False).astype("u1"),
    "smallint": _swapped(">i2"),
    "integer": _swapped(">i4"),
    "bigint": _swapped(">i8"),
    "oid": _swapped(">u4"),
    "real": _swapped(">f4"),
    "double precision": _swapped(">f8"),
    "date": _dates,
    "time without time zone": lambda array: array.cast(pa.int64()).to_numpy().astype(">i8"),
    "timestamp without time zone": _instants,
    "timestamp with time zone": _instants,
    "interval": _intervals,
}


def _numerics(array: pa.Array) -> pa.Array:
    """Of text; each number that occurs is encoded once."""
    coded = array.dictionary_encode()
    encoded = pa.array([_numeric(one) for one in coded.dictionary.to_pylist()], pa.large_binary())
    return encoded.take(coded.indices)


def _numeric(said: str) -> bytes:
    """A number in base 10,000: count of digits, weight of the first, sign, decimals, digits."""
    sign, digits, exponent = Decimal(said).as_tuple()
    decimals = max(0, -int(exponent))
    whole = "".join(map(str, digits)) + "0" * max(0, int(exponent))
    integer, fraction = whole[: len(whole) - decimals], whole[len(whole) - decimals :].rjust(decimals, "0")
    integer = integer.rjust(-(-len(integer) // 4) * 4, "0")
    fraction = fraction.ljust(-(-decimals // 4) * 4, "0")
    groups = [int((integer + fraction)[place : place + 4]) for place in range(0, len(integer) + len(fraction), 4)]
    weight = len(integer) // 4 - 1
    while groups and groups[0] == 0:
        groups, weight = groups[1:], weight - 1
    while groups and groups[-1] == 0:
        groups.pop()
    head = np.array([len(groups), weight if groups else 0, 0x4000 if sign else 0, decimals])
    return bytes(np.concatenate([head, np.array(groups, dtype=np.int64)]).astype(">u2").tobytes())


# -- arrays ----------------------------------------------------------------------------------------------------------


def _text_lists(array: pa.Array) -> pa.Array:
    """``{1,NULL,"a b"}``."""
    items = array.flatten().cast(pa.large_string())
    quoted = pc.binary_join_element_wise(_large('"'), _escaped(items), _large('"'), _large(""))
    is_safe = pc.and_(pc.match_substring_regex(items, _SAFE), pc.not_equal(pc.utf8_upper(items), _large("NULL")))
    shown = pc.fill_null(pc.if_else(is_safe, items, quoted), _large("NULL"))
    lists = pa.LargeListArray.from_arrays(_offsets(array), shown)
    joined = pc.binary_join(lists, _large(","))
    braced = pc.binary_join_element_wise(_large("{"), joined, _large("}"), _large(""))
    return _where(array, braced.cast(pa.large_binary()))


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def _escaped(items: pa.Array) -> pa.Array:
    return pc.replace_substring(pc.replace_substring(items, "\\", "\\\\"), '"', '\\"')


def _binary_lists(array: pa.Array, column: Column) -> pa.Array:
    """Header, then each element with its length before it."""
    items = array.flatten()
    encoded = _binary(items, column)
    lengths = pc.fill_null(pc.binary_length(encoded), -1).to_numpy().astype(">i4")
    parts = (fixed(lengths), pc.fill_null(encoded, b""), pa.scalar(b"", pa.large_binary()))
    flat = pc.binary_join_element_wise(*parts)
    offsets = _offsets(array).to_numpy()
    header = np.zeros(len(array), dtype=_ARRAY)
    sizes = np.diff(offsets)
    nulls = np.concatenate([[0], np.cumsum(lengths == -1)])
    header["has_null"] = nulls[offsets[1:]] > nulls[offsets[:-1]]
    header["dimensions"], header["length"], header["lower"] = 1, sizes, 1
    header["oid"] = column.type.oid
    places = np.frombuffer(flat.buffers()[1], dtype=np.int64)[flat.offset :] if len(flat) else np.zeros(1, np.int64)
    content = flat.buffers()[2] if len(flat) else pa.py_buffer(b"")
    bodies = pa.Array.from_buffers(
        pa.large_binary(), len(array), [None, pa.py_buffer(np.ascontiguousarray(places[offsets])), content]
    )
    whole = pc.binary_join_element_wise(fixed(header), bodies, pa.scalar(b"", pa.large_binary()))
    empty = np.zeros(1, dtype=_ARRAY)
    empty["oid"] = column.type.oid
    whole = pc.if_else(pa.array(sizes == 0), pa.scalar(empty.tobytes()[:12], pa.large_binary()), whole)
    return _where(array, whole)


def _offsets(array: pa.Array) -> pa.Array:
    """Where each list begins among the elements of those that are not NULL."""
    sizes = pc.fill_null(pc.list_value_length(array), 0).to_numpy().astype(np.int64)
    return pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int64())


def _where(array: pa.Array, made: pa.Array) -> pa.Array:
    return pc.if_else(array.is_valid(), made, pa.scalar(None, pa.large_binary())) if array.null_count else made
