"""Requests as OTLP's JSON.

What comes in: a parsed request. What goes out: one line of JSON: protobuf's mapping but for what the OTLP specification
changes ("JSON Protobuf Encoding"): trace and span ids are hex, enums integers. Pure.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf import json_format

_ID_FIELDS = ("traceId", "spanId")


def json_text(message: Any) -> bytes:
    """The request as one line, without the line's end."""
    values = json_format.MessageToDict(message, use_integers_for_enums=True)
    _encode_ids(values)
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")


def _encode_ids(values: Any) -> None:
    """Turn the base64 that protobuf's mapping has for the ids of exemplars into hex, in place."""
    pending = [values]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            for exemplar in node.get("exemplars") or ():
                for name in _ID_FIELDS:
                    if name in exemplar:
                        exemplar[name] = base64.b64decode(exemplar[name]).hex()
            # Attribute values may hold anything: their keys are no fields.
            pending += [value for name, value in node.items() if name not in ("attributes", "exemplars")]
