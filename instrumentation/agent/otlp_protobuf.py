"""Points as an OTLP request in protobuf.

What comes in: the points of resources. What goes out: the bytes of an `ExportMetricsServiceRequest`. Never sends
anything. Standard library only.

Written byte by byte, since that is most of what an agent does: OpenTelemetry's own encoder costs 10 µs a point and the
SDK's objects that it reads as much memory as the rest of the agent; here a point is one `struct.pack` (decision 0008).
The tests hold it against the published classes (``opentelemetry-proto``). Field numbers are those of
``opentelemetry/proto/{common,resource,metrics}/v1/*.proto``; the wire format is protobuf's "Encoding" page: a field is
its number times eight plus its wire type, then a varint (0), eight bytes (1), or a length and as many bytes (2).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from stepsize import __version__
from stepsize.instrumentation.agent.points import copied_attributes
from stepsize.model import METRICS, SCOPE_NAME, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeGuard

    from stepsize.instrumentation.agent.points import ResourcePoints
    from stepsize.model import AttributeValue

_START = struct.Struct("<BQ")
_AS_DOUBLE = struct.Struct("<BQBd")
_AS_INT = struct.Struct("<BQBq")
_START_TAG, _TIME_TAG, _DOUBLE_TAG, _INT_TAG = 0x11, 0x19, 0x21, 0x31  # fields 2, 3, 4 and 6 of a NumberDataPoint
_VALUE_BYTES = _AS_DOUBLE.size
_CUMULATIVE_MONOTONIC = b"\x10\x02\x18\x01"  # fields 2 and 3 of a Sum


def encode(resources: Iterable[ResourcePoints], *, point_attributes: bool) -> bytes:
    """The request; ``point_attributes`` copies flow, run and step onto each point."""
    scope = _block(1, _text(1, SCOPE_NAME) + _text(2, __version__))
    found = []
    for resource in resources:
        metrics = _metrics(resource, copied_attributes(resource.resource) if point_attributes else {})
        if metrics:
            described = _block(1, _attributes(1, resource.resource))
            found.append(_block(1, described + _block(2, scope + metrics)))
    return b"".join(found)


def _metrics(resource: ResourcePoints, copied: Mapping[str, AttributeValue]) -> bytes:
    by_metric: dict[str, list[bytes]] = {}
    for (name, attributes), points in resource.series.items():
        start = _START.pack(_START_TAG, resource.start_unix_nano) if METRICS[name].kind is Kind.SUM else b""
        told = _attributes(7, {**copied, **dict(attributes)})
        by_metric.setdefault(name, []).append(_points(points, start, told))
    return b"".join(_metric(name, b"".join(points)) for name, points in by_metric.items())


def _metric(name: str, points: bytes) -> bytes:
    row = METRICS[name]
    data = _block(5, points) if row.kind is Kind.GAUGE else _block(7, points + _CUMULATIVE_MONOTONIC)
    return _block(2, _text(1, name) + _text(2, row.description) + _text(3, row.unit) + data)


def _points(points: Sequence[tuple[int, int | float]], start: bytes, attributes: bytes) -> bytes:
    """A series: all its points have one length, and differ in their time and value alone."""
    before = b"\x0a" + _varint(len(start) + _VALUE_BYTES + len(attributes)) + start
    parts: list[bytes] = []
    for time_unix_nano, value in points:
        if isinstance(value, float):
            parts += (before, _AS_DOUBLE.pack(_TIME_TAG, time_unix_nano, _DOUBLE_TAG, value), attributes)
        elif _is_int64(value):
            parts += (before, _AS_INT.pack(_TIME_TAG, time_unix_nano, _INT_TAG, value), attributes)
        else:
            parts += (before, _AS_DOUBLE.pack(_TIME_TAG, time_unix_nano, _DOUBLE_TAG, float(value)), attributes)
    return b"".join(parts)


def _attributes(number: int, attributes: Mapping[str, AttributeValue]) -> bytes:
    return b"".join(_block(number, _text(1, key) + _block(2, _value(value))) for key, value in attributes.items())


def _value(value: AttributeValue) -> bytes:
    if isinstance(value, bool):  # before int, which it is too
        return b"\x10\x01" if value else b"\x10\x00"
    if _is_int64(value):
        return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return b"\x21" + struct.pack("<d", value)
    # A number beyond 64 bits is sent as text, as `otlp_json` does and for its reasons.
    return _text(1, str(value))


def _text(number: int, text: str) -> bytes:
    return _block(number, text.encode("utf-8", "replace"))


def _block(number: int, content: bytes) -> bytes:
    """A field that has a length."""
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that there are more."""
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _is_int64(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and -(1 << 63) <= value < 1 << 63
