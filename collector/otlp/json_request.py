"""OTLP's JSON: requests to messages.

What comes in: the body of an OTLP/HTTP JSON request. What goes out: the message, or :class:`DataError`. Never does I/O.

The mapping is protobuf's own (protobuf.dev, "ProtoJSON Format") but for what the OTLP specification changes ("JSON
Protobuf Encoding"): trace and span ids are hex, unknown fields are ignored. 64-bit integers may be numbers or text,
null is absent, enums may be written by name though no sender should. A table of readers is made of the schema once, so
that a point takes a quarter of the time that `json_format` needs; the message is made of plain values in one step.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
import math
import re
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Reader = Callable[[Any, int], Any]
    """Makes a field's value of a JSON value at a depth; raises `ValueError` or `TypeError`."""

_MAX_DEPTH = 100
"""Messages within each other; protobuf's parsers take no more."""
_HEX_FIELDS = ("trace_id", "span_id")
_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_DOUBLE = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_URL_ALPHABET = str.maketrans("-_", "+/")
_INTEGERS = (
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
)


def parse_json(content: bytes) -> Any:
    """The ``ExportMetricsServiceRequest`` that a JSON body means.

    Raises:
        DataError: it is no JSON, or not of that shape; the message says where.
    """
    try:
        values = json.loads(content, parse_int=_number, parse_constant=_refuse_constant)
        return ExportMetricsServiceRequest(**_fields(ExportMetricsServiceRequest.DESCRIPTOR, values, 0))
    except RecursionError:
        raise DataError("the body is nested too deeply") from None
    except (ValueError, TypeError) as error:
        line = " ".join(str(error).split())[:300]
        raise DataError(f"the body is not a valid ExportMetricsServiceRequest in JSON: {line}") from None


def _number(text: str) -> int | float:
    """A number without a point: ``-0`` is a double's, and would lose its sign as an integer."""
    return -0.0 if text == "-0" else int(text)


def _refuse_constant(text: str) -> float:
    raise ValueError(f'{text} is no JSON; write "{text}"')


def _fields(descriptor: Any, values: Any, depth: int) -> dict[str, Any]:
    """What a message is made of, from a JSON object."""
    if not isinstance(values, dict):
        raise TypeError(f"expected an object for {descriptor.name}, found {_kind(values)}")
    if depth >= _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} times")
    readers = _readers(descriptor)
    made: dict[str, Any] = {}
    alternatives: set[str] | None = None
    for key, value in values.items():
        row = readers.get(key)
        if row is None or value is None:
            continue
        name, alternative, read = row
        if alternative:
            alternatives = alternatives if alternatives is not None else set()
            if alternative in alternatives:
                raise ValueError(f"{descriptor.name} has two of {alternative}: {key} is one too many")
            alternatives.add(alternative)
        made[name] = read(value, depth + 1)
    return made


@functools.cache
def _readers(descriptor: Any) -> Mapping[str, tuple[str, str, Reader]]:
    """JSON name → field, the group of which it may be the only one, and its reader."""
    rows = {}
    for field in descriptor.fields:
        group = field.containing_oneof
        # `optional` is a group of one in the schema, which nothing can break.
        alternative = group.name if group is not None and len(group.fields) > 1 else ""
        row = (field.name, alternative, _reader(field))
        rows[field.name] = rows[field.json_name] = row
    return rows


def _reader(field: Any) -> Reader:
    one = _reader_of_one(field)
    if not field.is_repeated:
        return one
    name = field.json_name

    def read(values: Any, depth: int) -> list[Any]:
        if not isinstance(values, list):
            raise TypeError(f"expected a list for {name}, found {_kind(values)}")
        return [one(value, depth) for value in values]

    return read


def _reader_of_one(field: Any) -> Reader:
    kind, name = field.cpp_type, field.json_name
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        inner = field.message_type
        return lambda value, depth: _fields(inner, value, depth)
    if field.type == FieldDescriptor.TYPE_BYTES:
        decode = bytes.fromhex if field.name in _HEX_FIELDS else _from_base64
        return lambda value, _: decode(_of(str, name, value))
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        numbers = {row.name: row.number for row in field.enum_type.values}
        return lambda value, _: _integer(name, numbers.get(value, value) if isinstance(value, str) else value)
    if kind in _INTEGERS or kind == FieldDescriptor.CPPTYPE_DOUBLE:
        convert = _double if kind == FieldDescriptor.CPPTYPE_DOUBLE else _integer
        return lambda value, _: convert(name, value)
    plain = bool if kind == FieldDescriptor.CPPTYPE_BOOL else str
    return lambda value, _: _of(plain, name, value)


def _of(kind: type[Any], name: str, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{name} cannot be {_kind(value)}")
    return value


def _integer(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"{name} has to be a whole number")


def _double(name: str, value: Any) -> float:
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        if not _DOUBLE.fullmatch(value):
            raise ValueError(f"{name} has to be a number")
    elif not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} has to be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise ValueError(f"{name} is out of range")
    return number


def _from_base64(text: str) -> bytes:
    """Either alphabet, with its padding or without (ProtoJSON)."""
    try:
        return base64.b64decode(text.translate(_URL_ALPHABET) + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
