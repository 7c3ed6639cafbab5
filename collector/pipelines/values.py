"""Attribute values (OTLP's ``AnyValue``) as Python's values and as text, and back.

What comes in: messages. What goes out: plain values; messages that are set in place. Never does I/O.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any


def find(attributes: Any, key: str) -> Any:
    """The value of an attribute in a repeated ``KeyValue``; None where there is none."""
    for pair in attributes:
        if pair.key == key:
            return pair.value
    return None


def plain(value: Any) -> Any:
    """An ``AnyValue`` as text, number, boolean, bytes, list, dict or None."""
    which = value.WhichOneof("value")
    if which == "array_value":
        return [plain(inner) for inner in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, which) if which else None


def set_plain(target: Any, value: Any) -> None:
    """Make an ``AnyValue`` hold a plain value."""
    target.Clear()
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, (bytes, bytearray)):
        target.bytes_value = bytes(value)
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for inner in value:
            set_plain(target.array_value.values.add(), inner)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, inner in value.items():
            set_plain(target.kvlist_value.values.add(key=key).value, inner)


def as_text(value: Any) -> str:
    """A plain value as pdata's ``Value.AsString`` writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (list, dict)):
        return json.dumps(_for_json(value), separators=(",", ":"), ensure_ascii=False)
    return str(value)


def _float_text(value: float) -> str:
    """As Go's encoding/json writes a float64: no point where it is whole, exponents without a leading zero."""
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    if value == int(value) and abs(value) < 1e21:
        return f"{value:.0f}"
    mantissa, e, exponent = repr(value).partition("e")
    if not e:
        return mantissa
    if abs(value) >= 1e-6 and abs(value) < 1e21:
        return f"{value:.20f}".rstrip("0")
    return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}"


def _for_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_for_json(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _for_json(inner) for key, inner in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return _float_text(value)
    return value
