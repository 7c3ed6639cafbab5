"""Whatever way of writing protobuf a client has, the same request becomes the same rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.interop.corpus import everything
from tests.interop.encoding import Style, encode
from tests.interop.rows import assert_equal, stored, wanted

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

STYLES = {
    "plain": Style(),
    "falling field numbers": Style(falling=True),
    "unpacked": Style(unpacked=True),
    "padded varints": Style(padded=True),
    "defaults": Style(defaults=True),
    "unknown fields": Style(later=True),
    "in parts": Style(split=True),
    "all of it": Style(falling=True, unpacked=True, padded=True, defaults=True, later=True, split=True),
}


def test_every_style_is_understood(place: Place, collector: RunningCollector) -> None:
    """What protobuf allows to be written differently is read alike, at the door and in the lake."""
    messages = []
    for name, style in STYLES.items():
        messages.append(everything(time.time_ns(), task=name))
        status, answer, _ = collector.post(encode(messages[-1], style))
        assert (status, answer) == (200, b""), name
    collector.flush()
    assert_equal(stored(place.settings.data), wanted(messages))


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_the_styles_are_protobuf(style: Style) -> None:
    """The writer of this test is held to protobuf's own reader."""
    message = everything(time.time_ns())
    read = ExportMetricsServiceRequest.FromString(encode(message, style))
    read.DiscardUnknownFields()
    assert read.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)
