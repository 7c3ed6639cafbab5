"""How connections of gRPC end: what was answered is heard, and who asks for nothing does not stay."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import time
from queue import Queue
from typing import TYPE_CHECKING

import grpc

from tests.collector.http2.client import ACK, PING, PREFACE, frame, setting
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, wait_for
from tests.collector.server.certificates import Authority, needs_openssl
from tests.collector.server.raw_grpc import PATH, connected, is_served, prefixed
from tests.collector.server.shown import metrics_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.running import Place, RunningCollector
    from tests.collector.server.raw_grpc import RawGrpc

OK, UNAUTHENTICATED = "0", "16"
STREAMS = range(1, 1001, 2)
UNKNOWN = 99
"""A type of frames that nobody has to know."""


def config(grpc_more: str = "") -> str:
    return f"""
extensions: {{bearertokenauth: {{token: s3cret}}}}
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"{grpc_more}}}}}}}}}
exporters: {{parquet: {{}}}}
service: {{extensions: [bearertokenauth], pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}}}
"""


def points() -> bytes:
    return RequestBuilder(identity()).gauge("loss", [(time.time_ns(), 1.5)]).content()


def is_listening(collector: RunningCollector) -> bool:
    host, _, port = collector.grpc.rpartition(":")
    try:
        socket.create_connection((host, int(port)), DEADLINE_S).close()
    except OSError:
        return False
    return True


def heard_to_the_end(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    heard = b""
    while part := connection.recv(1 << 16):
        heard += part
    return heard


@contextlib.contextmanager
def unread_answers(place: Place, collector: RunningCollector, tls: ssl.SSLContext | None = None) -> Iterator[RawGrpc]:
    """A client to which :data:`STREAMS` were answered, which has not read it, nor has its system."""
    message = prefixed(points())
    taken = 'otelcol_receiver_accepted_metric_points{receiver="otlp",transport="grpc"}'
    with connected(collector.grpc, 2048, tls) as client:
        for stream in STREAMS:
            client.begin(stream)
            client.content(stream, message)
        wait_for(lambda: metrics_of(place).get(taken) == len(STREAMS), "all are answered")
        yield client


def go_on_sending(client: RawGrpc) -> None:
    with contextlib.suppress(ConnectionError):  # the answers say what of them is lost
        for _ in range(20):
            client.send(frame(UNKNOWN, 0, 0, bytes(16_000)))


def statuses(client: RawGrpc) -> set[str | None]:
    """Of all answers, once the connection is closed."""
    found = {client.answer(stream).fields.get("grpc-status") for stream in STREAMS}
    while not client.is_closed:
        client.hear()
    return found


def test_answers_that_are_not_read_yet_when_a_collector_ends(place: Place) -> None:
    """A client that has not read its answers when the collector ends, and goes on sending, reads all of them."""
    collector = place.collect(config())
    with unread_answers(place, collector) as client:
        collector.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not is_listening(collector), "it drains")
        client.send(frame(PING, ACK, 0, b"draining"))  # what its ping asks for, which is not read yet either
        go_on_sending(client)
        assert statuses(client) == {OK}
        assert client.went_away == [0x7FFFFFFF, STREAMS[-1]]
    assert collector.process.wait(DEADLINE_S) == 0


def test_why_a_connection_ends_is_heard(place: Place) -> None:
    """A client that is sent away for what it does, and goes on with it, reads its answers and why."""
    collector = place.collect(config())
    with unread_answers(place, collector) as client:
        client.send(frame(PING, 0, 0, bytes(8)) * 4)
        go_on_sending(client)
        assert statuses(client) == {OK}
        assert client.reasons == ["too_many_pings"]


@needs_openssl
def test_ends_over_tls(place: Place, tmp_path: Path) -> None:
    """Where half of a connection cannot be closed the last answers, and why it ends, are heard all the same."""
    authority = Authority.make(tmp_path)
    pair = authority.sign("server")
    collector = place.collect(config(f", tls: {{cert_file: {pair.certificate}, key_file: {pair.key}}}"))
    tls = ssl.create_default_context(cafile=str(authority.certificate))
    tls.set_alpn_protocols(["h2"])
    with unread_answers(place, collector, tls) as client:
        client.send(frame(PING, 0, 0, bytes(8)) * 4)
        go_on_sending(client)
        assert statuses(client) == {OK}
        assert client.reasons == ["too_many_pings"]


def test_clients_that_do_not_close(place: Place) -> None:
    """A client that has its answers and neither closes nor stops sending is left after a short time."""
    collector = place.collect(config())
    with connected(collector.grpc) as client:
        client.begin(1)
        client.content(1, prefixed(points()))
        assert client.answer(1).fields["grpc-status"] == OK
        began_s = time.monotonic()
        collector.process.send_signal(signal.SIGTERM)
        client.send_until_reset(frame(UNKNOWN, 0, 0, bytes(16_000)))
        assert time.monotonic() - began_s < DEADLINE_S
    assert collector.process.wait(DEADLINE_S) == 0


def test_connections_that_never_say_their_settings(place: Place) -> None:
    """A client that says half of a greeting, or nothing, is left after the time for a first call at the latest."""
    collector = place.collect(config(", first_call_timeout: 200ms"))
    host, _, port = collector.grpc.rpartition(":")
    for greeting in (b"", PREFACE[:10], PREFACE, PREFACE + setting()[:5]):
        with socket.create_connection((host, int(port)), DEADLINE_S) as silent:
            silent.sendall(greeting)
            heard_to_the_end(silent)
    wait_for(lambda: is_served(collector.grpc, points()), "others are served")


def test_connections_that_are_never_let_in(place: Place) -> None:
    """Who makes no call, or none that is let through, is asked to go; who has made one may be silent for longer."""
    collector = place.collect(config(", first_call_timeout: 1s, auth: {authenticator: bearertokenauth}"))
    with contextlib.ExitStack() as held:
        known = held.enter_context(connected(collector.grpc))
        known.begin(1, authorization="Bearer s3cret")
        known.content(1, prefixed(points()))
        assert known.answer(1).fields["grpc-status"] == OK
        silent, stranger = (held.enter_context(connected(collector.grpc)) for _ in range(2))
        stranger.begin(1, authorization="Bearer wrong")
        assert stranger.answer(1).fields["grpc-status"] == UNAUTHENTICATED
        for client in (silent, stranger):
            while not client.is_closed:
                client.hear()
            assert client.went_away[0] == 0x7FFFFFFF
            assert set(client.reasons) == {""}
        known.begin(3, authorization="Bearer s3cret")
        known.content(3, prefixed(points()))
        assert known.answer(3).fields["grpc-status"] == OK
        assert known.went_away == []


def test_real_clients_that_connect_long_before_they_call(place: Place) -> None:
    """A client that connects first and calls much later does not notice that it was asked to go meanwhile."""
    collector = place.collect(config(", first_call_timeout: 500ms"))
    states: Queue[grpc.ChannelConnectivity] = Queue()
    with grpc.insecure_channel(collector.grpc) as channel:
        channel.subscribe(states.put, try_to_connect=True)
        while states.get(timeout=DEADLINE_S) is not grpc.ChannelConnectivity.READY:
            pass
        assert states.get(timeout=DEADLINE_S) is grpc.ChannelConnectivity.IDLE
        assert channel.unary_unary(PATH)(points(), timeout=DEADLINE_S) == b""
