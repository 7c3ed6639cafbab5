"""What calls of gRPC take while they are open, whatever their clients say of them, is little and counted."""

from __future__ import annotations

import base64
import contextlib
import random
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from google.rpc import status_pb2

from stepsize.collector.http2.headers import encoded
from tests.collector.http2.client import END_HEADERS, HEADERS, WINDOW_UPDATE, frame, number, setting
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import wait_for
from tests.collector.server.raw_grpc import PATH, connected, is_served, prefixed
from tests.collector.server.shown import metrics_of
from tests.collector.server.test_grpc import CALL_BYTES, MIB, OK, config

if TYPE_CHECKING:
    from tests.collector.running import Place
    from tests.collector.server.raw_grpc import RawGrpc

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


@pytest.mark.parametrize("auth", ["", ", auth: {authenticator: bearertokenauth}"])
def test_room_is_given_back_whatever_happens(place: Place, auth: str) -> None:
    """Calls that are cut, wrong, too large, taken back, left alone, not let in or not read leave no room taken."""
    file = config(f", max_recv_msg_size_mib: 1, read_timeout: 200ms{auth}", "max_in_flight_mib: 1")
    collector = place.collect(
        f"extensions: {{bearertokenauth: {{token: s3cret}}}}{file}".replace(
            "service: {", "service: {extensions: [bearertokenauth], "
        )
    )
    chance = random.Random(7)
    for _ in range(80):
        with connected(collector.grpc, chance.choice([0, 2048])) as client, contextlib.suppress(OSError):
            client.send(setting((INITIAL_WINDOW_SIZE, chance.choice([0, 3, 65_535]))))
            for stream in range(1, chance.randrange(3, 60), 2):
                say_something(client, stream, chance)
            if chance.random() < 0.5:
                client.hear()
    wait_for(lambda: in_flight_bytes(place) == 0, "all is given back")
    wait_for(lambda: is_served(collector.grpc, points(), authorization="Bearer s3cret"), "others are served")


def say_something(client: RawGrpc, stream: int, chance: random.Random) -> None:
    """A call, whole or not, and what may happen to it and to those before it."""
    more = {"grpc_encoding": chance.choice(["", "gzip", "br"]), "grpc_timeout": chance.choice(["1n", "5m", "1S", "x"])}
    fields = {name: text for name, text in more.items() if chance.random() < 0.2}
    token = chance.choice(["s3cret", "s3cret", "wrong"])
    client.begin(stream, ends=chance.random() < 0.1, authorization=f"Bearer {token}", **fields)
    message = prefixed(points() * chance.choice([1, 1, 300]), is_packed=chance.random() < 0.1)
    size = chance.choice([len(message), len(message), 3, len(message) // 2, len(message) + 1])
    client.content(stream, (message + b"z")[:size], ends=chance.random() < 0.8)
    if chance.random() < 0.2:
        client.cancel(chance.randrange(1, stream + 2, 2))
    if chance.random() < 0.1:
        client.send(frame(WINDOW_UPDATE, 0, chance.choice([0, stream]), number(chance.choice([0, 5, 2**31 - 1]))))


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
