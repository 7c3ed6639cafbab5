"""What calls of gRPC take while they are open, whatever their clients say of them, is little and counted."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import psutil
from google.rpc import status_pb2

from stepsize.collector.http2.headers import encoded
from tests.collector.http2.client import END_HEADERS, HEADERS, WINDOW_UPDATE, frame, number, setting
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import wait_for
from tests.collector.server.raw_grpc import PATH, connected, prefixed
from tests.collector.server.shown import metrics_of
from tests.collector.server.test_grpc import CALL_BYTES, MIB, OK, config

if TYPE_CHECKING:
    from tests.collector.running import Place

UNAVAILABLE = "14"
INITIAL_WINDOW_SIZE = 4
AT_ONCE = 1000
"""Calls, of the 1,024 that one connection may have."""


def points() -> bytes:
    return RequestBuilder(identity()).gauge("loss", [(time.time_ns(), 1.5)]).content()


def in_flight_bytes(place: Place) -> float:
    return metrics_of(place)["stepsize_in_flight_bytes"]


def test_metadata_of_open_calls(place: Place) -> None:
    """Calls that wait for their messages take little, however much metadata each has, and what they take is counted."""
    collector = place.collect(config())
    process = psutil.Process(collector.process.pid)
    call = [(":method", "POST"), (":scheme", "http"), (":path", PATH), ("content-type", "application/grpc")]
    names = [(f"{first}{second}", "") for first in "abcdefghijklmnopqr" for second in "abcdefghijklmnopqrstuvw"]
    streams = range(3, 603, 2)
    with connected(collector.grpc) as client:
        client.begin(1)
        client.content(1, prefixed(points()))
        assert client.answer(1).fields["grpc-status"] == OK
        before = process.memory_info().rss
        for stream in streams:
            client.send(frame(HEADERS, END_HEADERS, stream, encoded([*call, *names, ("x", str(stream))])))
        wait_for(lambda: in_flight_bytes(place) == len(streams) * CALL_BYTES, "all are open")
        assert process.memory_info().rss - before < 4 * MIB
        client.content(3, prefixed(points()))
        assert client.answer(3).fields["grpc-status"] == OK
    wait_for(lambda: in_flight_bytes(place) == 0, "all is given back")


def test_more_open_calls_than_there_is_room_for(place: Place) -> None:
    """Calls for which there is no room are refused for now, before their messages come; later there is room again."""
    collector = place.collect(config(limits="max_in_flight_mib: 1"))
    most = MIB // CALL_BYTES
    with connected(collector.grpc) as first, connected(collector.grpc) as second:
        for stream in range(1, 2 * AT_ONCE, 2):
            first.begin(stream)
        wait_for(lambda: in_flight_bytes(place) == AT_ONCE * CALL_BYTES, "all are open")
        for stream in range(1, 2 * (most - AT_ONCE), 2):
            second.begin(stream)
        late = 2 * most + 1
        second.begin(late)
        fields = second.answer(late).fields
        assert fields["grpc-status"] == UNAVAILABLE
        assert status_details(fields).details, "it says after how long to come again"
        first.cancel(1)
        wait_for(lambda: in_flight_bytes(place) == MIB - CALL_BYTES, "room for one")
        first.cancel(3)
        wait_for(lambda: in_flight_bytes(place) == MIB - 2 * CALL_BYTES, "room for one and its message")
        second.begin(late + 2)
        second.content(late + 2, prefixed(points()))
        assert second.answer(late + 2).fields["grpc-status"] == OK


def status_details(fields: dict[str, str]) -> status_pb2.Status:
    text = fields["grpc-status-details-bin"]
    return status_pb2.Status.FromString(base64.b64decode(text + "=" * (-len(text) % 4)))


def test_answers_that_may_not_be_sent(place: Place) -> None:
    """A call that is answered, but whose client lets no answer come, takes its room until it does."""
    collector = place.collect(config())
    with connected(collector.grpc) as client:
        client.send(setting((INITIAL_WINDOW_SIZE, 0)))
        for stream in (1, 3, 5):
            client.begin(stream)
            client.content(stream, prefixed(points()))
        wait_for(lambda: in_flight_bytes(place) == 3 * CALL_BYTES, "their messages are taken, their answers wait")
        client.send(frame(WINDOW_UPDATE, 0, 3, number(100)))
        assert client.answer(3).fields["grpc-status"] == OK
        wait_for(lambda: in_flight_bytes(place) == 2 * CALL_BYTES, "two are left")
        client.cancel(1)
        wait_for(lambda: in_flight_bytes(place) == CALL_BYTES, "one is left")
        client.send(setting((INITIAL_WINDOW_SIZE, 100)))
        assert client.answer(5).fields["grpc-status"] == OK
        wait_for(lambda: in_flight_bytes(place) == 0, "all is given back")
