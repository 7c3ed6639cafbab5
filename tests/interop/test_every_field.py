"""Every field of OpenTelemetry's schema lies in the lake as it was sent, through every protocol."""

from __future__ import annotations

import base64
import gzip
import json
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.interop.corpus import everything
from tests.interop.rows import assert_equal, stored, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.running import Place, RunningCollector

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
PROFILES_ONLY = {"key_strindex", "string_value_strindex"}
"""Fields that the schema keeps for profiles: "MUST NOT be used" in metrics."""


def otlp_json(message: Any) -> bytes:
    """A request in OTLP's JSON mapping."""
    values = json_format.MessageToDict(message, use_integers_for_enums=True)
    _hex_ids(values)
    return json.dumps(values).encode()


def _hex_ids(values: Any) -> None:
    if isinstance(values, list):
        for inner in values:
            _hex_ids(inner)
    elif isinstance(values, dict):
        for name, inner in values.items():
            if name in ("traceId", "spanId"):
                values[name] = base64.b64decode(inner).hex()
            else:
                _hex_ids(inner)


def send(collector: RunningCollector, message: Any, protocol: str, compress: bool) -> None:
    content = message.SerializeToString() if protocol != "http/json" else otlp_json(message)
    if protocol == "grpc":
        compression = grpc.Compression.Gzip if compress else grpc.Compression.NoCompression
        with grpc.insecure_channel(collector.grpc, compression=compression) as channel:
            channel.unary_unary(EXPORT)(content, timeout=10)
        return
    kind = "application/json" if protocol == "http/json" else "application/x-protobuf"
    body, headers = (gzip.compress(content), {"content_encoding": "gzip"}) if compress else (content, {})
    status, answer, _ = collector.post(body, kind=kind, **headers)
    assert status == 200, answer


@pytest.mark.parametrize("compress", [False, True], ids=["identity", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_every_field_through_every_protocol(
    place: Place, collector: RunningCollector, protocol: str, compress: bool
) -> None:
    """All types of metrics, extremes, exemplars, flags and nested values are stored exactly; nothing else is."""
    message = everything(time.time_ns())
    send(collector, message, protocol, compress)
    collector.flush()
    assert_equal(stored(place.settings.data), wanted([message]))


def test_the_corpus_leaves_no_field_out() -> None:
    """A field that a later schema adds is missed here first."""
    message = everything(time.time_ns())
    assert set(_fields(ExportMetricsServiceRequest.DESCRIPTOR)) - set(_used(message)) == set()


def _fields(descriptor: Any, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    if descriptor.full_name in seen:
        return
    for field in descriptor.fields:
        if field.name in PROFILES_ONLY:
            continue
        yield field.full_name
        if field.message_type:
            yield from _fields(field.message_type, seen | {descriptor.full_name})


def _used(message: Any) -> Iterator[str]:
    for field, value in message.ListFields():
        yield field.full_name
        if field.message_type:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _used(inner)
