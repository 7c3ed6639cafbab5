"""gRPC as clients of every kind speak it: whole, in pieces, wrongly, slowly, and while the collector ends."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
import psutil

from stepsize.collector.server.grpc_messages import failure
from tests.collector.http2.client import DATA, HEADERS, frame
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, wait_for
from tests.collector.server.raw_grpc import PATH, connected, prefixed
from tests.collector.server.shown import metrics_of

if TYPE_CHECKING:
    from tests.collector.running import Place
    from tests.collector.server.raw_grpc import RawGrpc

MIB = 1 << 20
CALL_BYTES = 1024
"""What an open call takes, its message apart."""
OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED = "0", "3", "4", "8", "12"


def config(grpc_more: str = "", limits: str = "", more: str = "") -> str:
    return f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"{grpc_more}}}}}, limits: {{{limits}}}}}}}
exporters: {{parquet: {{}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}{more}}}
"""


def points(count: int = 1, task: str = "1") -> bytes:
    return RequestBuilder(identity(task)).gauge("loss", [(time.time_ns() + i, 1.5) for i in range(count)]).content()


def status(client: RawGrpc, stream: int, content: bytes, **more: Any) -> str:
    """The status of a call."""
    client.begin(stream, **more)
    client.content(stream, content)
    return client.answer(stream).fields["grpc-status"]


def test_calls_that_share_a_connection(place: Place) -> None:
    """Large and small calls at once over one connection of a real client are each answered, and all is stored."""
    collector = place.collect(config())
    sizes = [1, 30_000, 7, 3000, 1, 20_000, 500, 1] * 4
    with grpc.insecure_channel(collector.grpc) as channel, ThreadPoolExecutor(len(sizes)) as pool:
        export = channel.unary_unary(PATH)
        calls = [pool.submit(export, points(size, str(task)), DEADLINE_S) for task, size in enumerate(sizes)]
        assert [call.result() for call in calls] == [b""] * len(sizes)
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(sum(sizes),)]


def test_messages_in_any_pieces(place: Place) -> None:
    """A message may come byte by byte, between those of other calls, with padding and trailers; it is one message."""
    collector = place.collect(config())
    with connected(collector.grpc) as client:
        first, second = prefixed(points(3)), prefixed(points(2))
        client.begin(1, grpc_timeout="10S")
        client.begin(3)
        for byte in first[:-1]:
            client.content(1, bytes([byte]), ends=False)
        client.content(3, second)
        assert client.answer(3).fields["grpc-status"] == OK
        client.content(1, first[-1:])
        assert client.answer(1).fields["grpc-status"] == OK
        assert client.answers[1].content == prefixed(b"")
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(5,)]


def test_calls_that_are_none(place: Place) -> None:
    """What is no call with one whole message is refused for good, in words, and the connection serves on."""
    collector = place.collect(config())
    message = points()
    with connected(collector.grpc) as client:
        client.begin(1, ends=True)
        assert client.answer(1).fields["grpc-status"] == INVALID_ARGUMENT
        assert client.answers[1].fields["grpc-message"] == "the call has no message"
        assert status(client, 3, prefixed(message)[:-1]) == INVALID_ARGUMENT
        assert status(client, 5, prefixed(message) * 2) == INVALID_ARGUMENT
        assert status(client, 7, prefixed(b"\xff" * 20)) == INVALID_ARGUMENT
        assert status(client, 9, prefixed(message), grpc_timeout="soon") == INVALID_ARGUMENT
        assert status(client, 11, prefixed(message, is_packed=True)) == INVALID_ARGUMENT
        assert status(client, 13, prefixed(message, is_packed=True), grpc_encoding="br") == UNIMPLEMENTED
        assert "zstd" in client.answers[13].fields["grpc-accept-encoding"]
        assert status(client, 15, prefixed(message), path="/other.Service/Method") == UNIMPLEMENTED
        client.begin(17, ends=True, content_type="application/json")
        client.begin(19, ends=True, method="GET")
        assert [client.answer(stream).fields[":status"] for stream in (17, 19)] == ["415", "405"]
        assert status(client, 21, prefixed(message)) == OK
    with connected(collector.grpc) as client:
        client.send(b"\xff" * 100)
        assert client.answer(1).fields == {}
        assert client.went_away
    found = metrics_of(place)
    assert found["stepsize_in_flight_bytes"] == 0
    assert found['stepsize_receiver_refused_requests{bound="frames",receiver="otlp",transport="grpc"}'] == 1


def test_what_is_too_large_is_refused_before_it_comes(place: Place) -> None:
    """A message's length comes first: one that is too large is refused and counted before it is sent."""
    collector = place.collect(config(", max_recv_msg_size_mib: 1"))
    with connected(collector.grpc) as client:
        client.begin(1)
        client.content(1, prefixed(bytes(2 * MIB))[:5], ends=False)
        answer = client.answer(1)
        assert answer.fields["grpc-status"] == RESOURCE_EXHAUSTED
        assert status(client, 3, prefixed(points())) == OK
    found = metrics_of(place)
    assert found['stepsize_receiver_refused_requests{bound="size",receiver="otlp",transport="grpc"}'] == 1


def test_clients_that_leave(place: Place) -> None:
    """What a client has sent of a call that it takes back, or with which it goes away, takes no room any more."""
    collector = place.collect(config())
    with connected(collector.grpc) as client:
        for stream in (1, 3):
            client.begin(stream)
            client.content(stream, prefixed(bytes(50_000))[:30_000], ends=False)
        both = 2 * (30_000 + CALL_BYTES)
        wait_for(lambda: metrics_of(place)["stepsize_in_flight_bytes"] == both, "both take room")
        client.cancel(1)
        wait_for(lambda: metrics_of(place)["stepsize_in_flight_bytes"] == both / 2, "one takes room")
        assert metrics_of(place)['stepsize_receiver_connections{receiver="otlp",transport="grpc"}'] == 1
    wait_for(lambda: metrics_of(place)["stepsize_in_flight_bytes"] == 0, "none takes room")
    assert metrics_of(place)['stepsize_receiver_connections{receiver="otlp",transport="grpc"}'] == 0


def test_answers_that_nobody_reads(place: Place) -> None:
    """A client that asks for nonsense in a few bytes, again and again, and never reads: no answer repeats what it said,
    and the collector keeps few of them."""
    collector = place.collect(config())
    process = psutil.Process(collector.process.pid)
    with connected(collector.grpc) as client:
        client.begin(1, ends=True, path="/" + "\xe4" * 990)
        assert "\xe4" not in unquote(client.answer(1).fields["grpc-message"])
        before = process.memory_info().rss
        path = "/" + "a" * 900
        client.begin(3, ends=True, path=path)
        sent = client.begin_many(range(5, 60_005, 2), path=path)
        assert collector.process.poll() is None
        with connected(collector.grpc) as other:
            assert status(other, 1, prefixed(points())) == OK
        assert process.memory_info().rss - before < 16 * MIB
    assert sent > 20_000


def test_deadlines_of_clients(place: Place) -> None:
    """A message that has not come when its client waits no longer is given up."""
    collector = place.collect(config(", read_timeout: 200ms"))
    with connected(collector.grpc) as client:
        client.begin(1, grpc_timeout="1m")
        client.content(1, prefixed(points())[:7], ends=False)
        assert client.answer(1).fields["grpc-status"] == DEADLINE_EXCEEDED
        assert status(client, 3, prefixed(points())) == OK


def test_frames_and_headers_that_do_not_end(place: Place) -> None:
    """A client that begins a frame, or a header block, and does not go on is left after the time for a request."""
    collector = place.collect(config(", read_timeout: 200ms"))
    for half in (frame(HEADERS, 0, 1, b"\x82"), frame(DATA, 0, 1, bytes(100))[:50]):
        with connected(collector.grpc) as client:
            client.send(half)
            assert client.answer(1).fields == {}
            assert client.is_closed
    with connected(collector.grpc) as client:
        assert status(client, 1, prefixed(points())) == OK


def test_connections_that_are_silent_or_old(place: Place) -> None:
    """A client that does not answer a ping is left; one that is connected for long is asked to come again."""
    keepalive = "keepalive: {server_parameters: {time: 100ms, timeout: 200ms}}"
    collector = place.collect(config(f", {keepalive}"))
    with connected(collector.grpc) as client:  # it answers no ping
        assert status(client, 1, prefixed(points())) == OK
        assert client.answer(3).fields == {}
        assert client.is_closed
    place.close()
    collector = place.collect(config(", keepalive: {server_parameters: {max_connection_age: 200ms}}"))
    with connected(collector.grpc) as client:
        client.begin(1)
        while not client.went_away:
            client.hear()
        client.content(1, prefixed(points()))
        assert client.answer(1).fields["grpc-status"] == OK
        while not client.is_closed:
            client.hear()
        assert client.went_away == [0x7FFFFFFF, 1]


def test_calls_under_way_when_the_collector_ends(place: Place) -> None:
    """A call whose message is on its way when the collector is told to end is answered, and stored; then it ends."""
    collector = place.collect(config())
    with connected(collector.grpc) as client:
        content = prefixed(points(3))
        client.begin(1)
        client.content(1, content[:20], ends=False)
        wait_for(lambda: metrics_of(place)["stepsize_in_flight_bytes"] == 20 + CALL_BYTES, "it is on its way")
        collector.process.send_signal(signal.SIGTERM)
        while not client.went_away:
            client.hear()
        client.content(1, content[20:])
        assert client.answer(1).fields["grpc-status"] == OK
    assert collector.process.wait(DEADLINE_S) == 0
    assert place.rows("SELECT count(*) FROM points") == [(3,)]


def test_nothing_but_json_is_logged(place: Place) -> None:
    """While gRPC is served and the configuration is read again, which starts processes, every line is JSON."""
    before = config(more=", telemetry: {logs: {encoding: json}}")
    collector = place.collect(before)
    with grpc.insecure_channel(collector.grpc) as channel:
        export = channel.unary_unary(PATH)
        export(points(), timeout=DEADLINE_S)
        after = before.replace("{parquet: {}}", "{parquet: {}, debug: {}}").replace("[parquet]", "[parquet, debug]")
        (place.home / "config.yaml").write_text(after)
        collector.process.send_signal(signal.SIGHUP)
        assert collector.process.stderr
        lines = [collector.process.stderr.readline()]
        export(points(), timeout=DEADLINE_S)
    assert collector.terminate() == 0
    lines += collector.process.stderr.read().splitlines()
    assert "read again" in json.loads(lines[0])["msg"]
    for line in lines:
        assert json.loads(line)["level"]


def test_words_of_a_status() -> None:
    """Words of any kind and length fit into trailers, as gRPC writes them."""
    block = failure(3, "ä%\n" * 10_000, 5)
    assert len(block) < 8000
    assert b"%C3%A4%25%0A" in block
