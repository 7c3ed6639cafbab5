"""Attribute values of OTLP as Python and JSON.

What comes in: ``KeyValue`` messages. What goes out: a dict of Python values, or JSON text that every reader accepts.
Never loses a value: bytes become base64, and what JSON has no number for (NaN, infinities) its name as text.
"""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def any_value(value: Any) -> Any:
    """An ``AnyValue`` as what JSON can hold."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [any_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    if kind == "double_value":
        return json_number(value.double_value)
    return getattr(value, kind)


def attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    """``KeyValue`` messages as a dict; of equal keys the last counts."""
    return {pair.key: any_value(pair.value) for pair in pairs}


def json_number(value: float) -> float | str:
    """A double as JSON can hold it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def json_text(values: Any) -> str:
    """Compact JSON."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
