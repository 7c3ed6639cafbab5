"""What a client said, read back from its own bytes.

What comes in: everything that one client wrote to one connection. What goes out: the metrics requests in it, each as
the message that OpenTelemetry's published schema reads. Knows HTTP/1.1 and as much of HTTP/2 as gRPC's messages need;
shares no code with the server that is tested, so that a mistake there is not made here too.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_UNPACKED = {"gzip": gzip.decompress, "zlib": zlib.decompress, "deflate": zlib.decompress, "identity": bytes}
_DATA, _END_STREAM, _PADDED = 0, 0x1, 0x8


@dataclass(frozen=True)
class Sent:
    """One request as its client sent it.

    Attributes:
        message: the request.
        protocol: ``grpc``, ``http/protobuf`` or ``http/json``.
        compression: as the client named it; ``identity`` for none.
        chunked: whether its body came in chunks without a length.
    """

    message: Any
    protocol: str
    compression: str
    chunked: bool = False


def requests_in(stream: bytes) -> Iterator[Sent]:
    """Every complete metrics request of a connection; what was cut off is none."""
    return _grpc(stream[len(_PREFACE) :]) if stream.startswith(_PREFACE) else _http(stream)


def _grpc(frames: bytes) -> Iterator[Sent]:
    """Messages of the streams that ended (RFC 9113, 4.1 and 6.1; gRPC over HTTP/2, "Length-Prefixed-Message")."""
    streams: dict[int, bytes] = {}
    while len(frames) >= 9:
        length, kind, flags = int.from_bytes(frames[:3], "big"), frames[3], frames[4]
        stream = int.from_bytes(frames[5:9], "big") & 0x7FFF_FFFF
        payload, frames = frames[9 : 9 + length], frames[9 + length :]
        if kind != _DATA or len(payload) < length:
            continue
        if flags & _PADDED:
            payload = payload[1 : length - payload[0]]
        streams[stream] = streams.get(stream, b"") + payload
        if flags & _END_STREAM:
            yield _grpc_message(streams.pop(stream))


def _grpc_message(framed: bytes) -> Sent:
    compressed, length, content = framed[0], int.from_bytes(framed[1:5], "big"), framed[5:]
    assert len(content) == length
    if compressed:
        content = gzip.decompress(content)
    message = ExportMetricsServiceRequest.FromString(content)
    return Sent(message, "grpc", "gzip" if compressed else "identity")


def _http(stream: bytes) -> Iterator[Sent]:
    while b"\r\n\r\n" in stream:
        head, _, stream = stream.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): text.strip() for name, _, text in (line.partition(":") for line in lines[1:])}
        chunked = "chunked" in headers.get("transfer-encoding", "")
        if chunked:
            body, stream = _unchunked(stream)
        else:
            length = int(headers.get("content-length", 0))
            body, stream = stream[:length] if len(stream) >= length else None, stream[length:]
        if body is not None:
            yield _http_message(body, headers, chunked)


def _unchunked(stream: bytes) -> tuple[bytes | None, bytes]:
    """The body, None where it was cut off, and what follows it (RFC 9112, 7.1)."""
    body = b""
    while b"\r\n" in stream:
        size_text, _, stream = stream.partition(b"\r\n")
        size = int(size_text.partition(b";")[0], 16)
        if len(stream) < size + 2:
            break
        body, stream = body + stream[:size], stream[size + 2 :]
        if size == 0:
            return body, stream
    return None, b""


def _http_message(body: bytes, headers: dict[str, str], chunked: bool) -> Sent:
    compression = headers.get("content-encoding", "identity")
    content = _UNPACKED[compression](body)
    kind = headers["content-type"].partition(";")[0]
    if kind == "application/json":
        return Sent(json_message(content), "http/json", compression, chunked)
    assert kind == "application/x-protobuf", headers
    return Sent(ExportMetricsServiceRequest.FromString(content), "http/protobuf", compression, chunked)


def json_message(content: bytes | str) -> Any:
    """The message that OTLP's JSON means: protobuf's mapping, but for the ids of exemplars, which are hex."""
    values = json.loads(content, parse_int=lambda text: -0.0 if text == "-0" else int(text))
    for exemplar in _exemplars(values):
        for name in ("traceId", "spanId"):
            if name in exemplar:
                exemplar[name] = base64.b64encode(bytes.fromhex(exemplar[name])).decode()
    return json_format.ParseDict(values, ExportMetricsServiceRequest(), ignore_unknown_fields=True)


def messages_in(file: Path) -> list[Any]:
    """The requests in a file of JSON lines; none that is still being written."""
    return [json_message(text) for text in file.read_text("utf-8").splitlines(keepends=True) if text.endswith("\n")]


def _exemplars(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in request.get("resourceMetrics", ()):
        for scope in resource.get("scopeMetrics", ()):
            for metric in scope.get("metrics", ()):
                for kind in ("gauge", "sum", "histogram", "exponentialHistogram"):
                    for point in (metric.get(kind) or {}).get("dataPoints", ()):
                        yield from point.get("exemplars", ())
