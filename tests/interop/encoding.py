"""A request in protobuf as no library of ours would write it, and as every reader must understand it.

What comes in: a message. What goes out: bytes that mean the same ("Message Structure" and "Last One Wins" of protobuf's
encoding): fields in falling order, repeated numbers one by one, lengths longer than they need be, proto3's defaults
written out, fields of later schemas in between, a message inside another in two parts.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FORMATS = {
    FieldDescriptor.TYPE_DOUBLE: "<d",
    FieldDescriptor.TYPE_FIXED64: "<Q",
    FieldDescriptor.TYPE_SFIXED64: "<q",
}
_LATER = ((19_999, 3, _VARINT), (20_001, b"from a later schema", _BYTES), (20_002, b"\1\2\3\4", _FIXED32))


@dataclass(frozen=True)
class Style:
    """How to write: each on its own is allowed."""

    falling: bool = False
    unpacked: bool = False
    padded: bool = False
    defaults: bool = False
    later: bool = False
    split: bool = False


def encode(message: Any, style: Style) -> bytes:
    """The message in that style."""
    fields = list(_fields(message, style))
    if style.later:
        fields[len(fields) // 2 : len(fields) // 2] = [
            _field(number, kind, value, style) for number, value, kind in _LATER
        ]
    if style.falling:
        fields.reverse()  # repeated fields keep their own order: `_fields` gives each as one
    return b"".join(fields)


def _halves(message: Any, style: Style) -> tuple[bytes, bytes]:
    fields = list(_fields(message, style))
    middle = len(fields) // 2
    return b"".join(fields[:middle]), b"".join(fields[middle:])


def _fields(message: Any, style: Style) -> Iterator[bytes]:
    for descriptor in message.DESCRIPTOR.fields:
        value = getattr(message, descriptor.name)
        if descriptor.is_repeated:
            yield _repeated(descriptor, value, style)
        elif descriptor.has_presence:
            if message.HasField(descriptor.name):
                yield _one(descriptor, value, style)
        elif value or style.defaults or _is_minus_zero(value):
            yield _one(descriptor, value, style)


def _is_minus_zero(value: Any) -> bool:
    """The one value that is false and yet no default."""
    return isinstance(value, float) and math.copysign(1.0, value) < 0


def _repeated(descriptor: Any, values: Any, style: Style) -> bytes:
    kind, _ = _scalar(descriptor, 0) if descriptor.message_type is None else (_BYTES, b"")
    if kind == _BYTES or style.unpacked:
        return b"".join(_one(descriptor, value, style) for value in values)
    content = b"".join(_raw(kind, _scalar(descriptor, value)[1], style) for value in values)
    return _field(descriptor.number, _BYTES, content, style) if content else b""


def _one(descriptor: Any, value: Any, style: Style) -> bytes:
    if descriptor.message_type is not None:
        if style.split and not descriptor.is_repeated:
            return b"".join(_field(descriptor.number, _BYTES, part, style) for part in _halves(value, style))
        return _field(descriptor.number, _BYTES, encode(value, style), style)
    kind, raw = _scalar(descriptor, value)
    return _field(descriptor.number, kind, raw, style)


def _scalar(descriptor: Any, value: Any) -> tuple[int, Any]:
    """Wire type, and what is written in it."""
    kind = descriptor.type
    if kind in _FORMATS:
        return _FIXED64, struct.pack(_FORMATS[kind], value)
    if kind == FieldDescriptor.TYPE_STRING:
        return _BYTES, value.encode() if value else b""
    if kind == FieldDescriptor.TYPE_BYTES:
        return _BYTES, value or b""
    if kind == FieldDescriptor.TYPE_SINT32:
        return _VARINT, (value << 1 ^ value >> 31) & 0xFFFF_FFFF
    return _VARINT, int(value) & 0xFFFF_FFFF_FFFF_FFFF  # bool, enum, int32, int64, uint32, uint64


def _field(number: int, kind: int, value: Any, style: Style) -> bytes:
    return _varint(number << 3 | kind, style) + _raw(kind, value, style)


def _raw(kind: int, value: Any, style: Style) -> bytes:
    if kind == _VARINT:
        return _varint(value, style)
    return _varint(len(value), style) + value if kind == _BYTES else value


def _varint(value: int, style: Style) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    if style.padded and len(written) < 4:
        written[-1] |= 128
        written.append(0)
    return bytes(written)
