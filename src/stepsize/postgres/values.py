"""Values of parameters, from either format of the wire to what DuckDB is given.

What comes in: bytes, and the type that they are of. What goes out: a Python value that DuckDB casts to that type, or a
:class:`SqlError`. Pure. Source of the formats: PostgreSQL, src/backend/utils/adt/*.c (the functions `*_recv`, `*_in`).
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from stepsize.postgres import types
from stepsize.postgres.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.postgres.types import Column, PgType

_EPOCH = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - of either kind of timestamp
_TRUE = frozenset({"t", "true", "y", "yes", "on", "1"})
_FALSE = frozenset({"f", "false", "n", "no", "off", "0"})


def value(content: bytes | None, form: int, column: Column) -> Any:
    """The value of a parameter; None for NULL.

    Raises:
        SqlError: the bytes are none of the type.
    """
    if content is None:
        return None
    if form not in {types.TEXT, types.BINARY}:
        raise SqlError("22023", f"unsupported format code: {form}")
    if form == types.TEXT and b"\0" in content:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    try:
        if form == types.TEXT:
            return _array_of_text(content.decode(), column.type) if column.is_array else _text(content, column.type)
        return _array(content, column.type) if column.is_array else _binary(content, column.type)
    except UnicodeDecodeError:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8"') from None
    except (struct.error, ValueError, ArithmeticError, IndexError):
        kind = "text" if form == types.TEXT else "binary"
        raise SqlError("22P03", f"incorrect {kind} data for a parameter of type {column.type.name}") from None


def _text(content: bytes, kind: PgType) -> Any:
    said = content.decode()
    if kind.name == "boolean":
        word = said.strip().lower()
        if word not in _TRUE | _FALSE:
            raise SqlError("22P02", f'invalid input syntax for type boolean: "{said}"')
        return word in _TRUE
    if kind.name == "bytea":
        return bytes.fromhex(said[2:]) if said.startswith("\\x") else content
    return said


def _array_of_text(said: str, kind: PgType) -> list[Any]:
    return [None if item is None else _text(item.encode(), kind) for item in items_of(said)]


def items_of(said: str) -> list[str | None]:
    """Of an array as a text has it, ``{a,"b, c",NULL}``, of one dimension.

    Raises:
        SqlError: it is none.
    """
    inside = said.strip()
    if not inside.startswith("{") or not inside.endswith("}"):
        raise SqlError("22P02", f'malformed array literal: "{said}"')
    found: list[str | None] = []
    place, end = 1, len(inside) - 1
    while place < end:
        item, is_quoted, place = _item(inside, place, end)
        found.append(None if item.upper() == "NULL" and not is_quoted else item)
    return found


def _item(inside: str, place: int, end: int) -> tuple[str, bool, int]:
    """An item, whether it was quoted, and where the next one begins."""
    parts: list[str] = []
    is_quoted = is_open = False
    while place < end and (is_open or inside[place] != ","):
        letter = inside[place]
        if letter == '"':
            is_quoted, is_open = True, not is_open
        elif letter == "\\" and place + 1 < end:
            place += 1
            parts.append(inside[place])
        elif letter.isspace() and not is_open and (is_quoted or not parts):
            pass  # before an item, or around its quotes
        elif letter in "{}" and not is_open:
            raise SqlError("0A000", "arrays of more than one dimension are not supported as parameters")
        else:
            parts.append(letter)
        place += 1
    item = "".join(parts)
    return (item if is_quoted else item.strip()), is_quoted, place + 1


def _array(content: bytes, kind: PgType) -> list[Any]:
    dimensions, _, _ = struct.unpack_from("!iiI", content)
    if dimensions == 0:
        return []
    if dimensions != 1:
        raise SqlError("0A000", "arrays of more than one dimension are not supported as parameters")
    (count,) = struct.unpack_from("!i", content, 12)
    found: list[Any] = []
    place = 20
    for _ in range(count):
        (size,) = struct.unpack_from("!i", content, place)
        place += 4
        if size == -1:
            found.append(None)
            continue
        if size < 0 or place + size > len(content):
            raise ValueError
        found.append(_binary(content[place : place + size], kind))
        place += size
    return found


def _binary(content: bytes, kind: PgType) -> Any:
    return _BINARY.get(kind.name, bytes.decode)(content)


def _number(form: str) -> Callable[[bytes], Any]:
    def read(content: bytes) -> Any:
        (found,) = struct.unpack(f"!{form}", content)
        return found

    return read


def _instant(content: bytes) -> Any:
    (microseconds,) = struct.unpack("!q", content)
    if microseconds in {2**63 - 1, -(2**63)}:
        return "infinity" if microseconds > 0 else "-infinity"
    return (_EPOCH + dt.timedelta(microseconds=microseconds)).isoformat(sep=" ")


def _in_utc(said: str) -> str:
    return said if said.endswith("infinity") else f"{said}+00"


def _date(content: bytes) -> Any:
    (days,) = struct.unpack("!i", content)
    if days in {2**31 - 1, -(2**31)}:
        return "infinity" if days > 0 else "-infinity"
    return (_EPOCH + dt.timedelta(days=days)).date().isoformat()


def _time(content: bytes) -> Any:
    (microseconds,) = struct.unpack("!q", content)
    return (_EPOCH + dt.timedelta(microseconds=microseconds)).time().isoformat()


def _interval(content: bytes) -> Any:
    microseconds, days, months = struct.unpack("!qii", content)
    return f"{months} months {days} days {microseconds} microseconds"


def _numeric(content: bytes) -> Any:
    count, weight, sign, scale = struct.unpack_from("!HhHH", content)
    if sign == 0xC000:
        return "NaN"
    if sign not in {0, 0x4000}:
        raise ValueError
    digits = struct.unpack_from(f"!{count}H", content, 8)
    total = sum(Decimal(digit).scaleb(4 * (weight - place)) for place, digit in enumerate(digits))
    return f"{-total if sign else total:.{scale}f}"


def _json(content: bytes) -> Any:
    return content.removeprefix(b"\x01").decode()


_BINARY: dict[str, Callable[[bytes], Any]] = {
    "boolean": lambda content: content != b"\0",
    "bytea": bytes,
    "bigint": _number("q"),
    "smallint": _number("h"),
    "integer": _number("i"),
    "oid": _number("I"),
    "real": _number("f"),
    "double precision": _number("d"),
    "date": _date,
    "time without time zone": _time,
    "timestamp without time zone": _instant,
    "timestamp with time zone": lambda content: _in_utc(_instant(content)),
    "interval": _interval,
    "numeric": _numeric,
    "uuid": lambda content: str(uuid.UUID(bytes=content)),
    "jsonb": _json,
}
