"""Strangers' bytes: whatever comes, the answer is one of ours, comes soon, and nothing is half kept."""

from __future__ import annotations

import contextlib
import re
import socket
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.otlp.request import count_points
from stepsize.collector.wal.format import HEADER, encode_record
from tests.collector.rollup_log import Log
from tests.durability import targets
from tests.durability.mutations import mutated, near
from tests.durability.requests import requests
from tests.durability.site import Site
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.running import RunningCollector

CORPUS = targets.corpus()
(PROTOBUF,), (JSON,) = CORPUS["protobuf"], CORPUS["json_body"]
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_EXPECTED = {200, 400, 401, 404, 405, 408, 413, 415, 431, 503}


def stored_points(log: Log) -> int:
    """How many points a lake holds, of every kind."""
    tables = ("exact_points", "histograms", "exponential_histograms", "summaries")
    with log.lake.connect() as connection:
        return sum(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for table in tables)


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(requests() | mutated(PROTOBUF), min_size=5, max_size=20))
def test_what_is_accepted_is_stored_whole(tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes]) -> None:
    """Of a request that the receiver takes the sink stores every point, however odd; of the others none."""
    log = Log(tmp_path_factory.mktemp("log"))
    kept = list(dict.fromkeys(content for body in bodies if (content := targets.protobuf(body))))
    assume(kept)
    log.fold(*kept)
    log.sink.tick(time.time_ns() + 10**15)
    assert stored_points(log) == sum(count_points(ExportMetricsServiceRequest.FromString(one)) for one in kept)
    assert not list(log.wal.glob("*.bin"))
    log.tasks()


@settings(max_examples=40)
@given(requests() | mutated(PROTOBUF))
def test_protobuf_bodies(content: bytes) -> None:
    """Protobuf, whole or not: rows for all of its points, or a refusal."""
    targets.stored(content)


@given(near(CORPUS["json_body"]))
def test_json_bodies(content: bytes) -> None:
    """JSON, whole or not: a request or a refusal."""
    targets.json_body(content)


@pytest.mark.parametrize("opening", [b"[", b'{"resourceMetrics":', b'{"resourceMetrics":[{"resource":'])
def test_json_that_is_deep(opening: bytes) -> None:
    """A hundred thousand levels of JSON are refused."""
    assert targets.json_body(opening * 100_000) is None


@given(st.binary(max_size=200))
def test_compressed_bodies(content: bytes) -> None:
    """Bytes that claim to be compressed: content within its bound, or a refusal."""
    targets.compressed(content)


@given(near([HEADER + b"".join(encode_record(b"x" * n, n) for n in (0, 1, 30))]))
def test_logs(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A segment of any bytes: each is part of a record, or reported."""
    targets.log(content, tmp_path_factory.mktemp("wal"))


@given(near(CORPUS["manifest"]))
def test_manifests(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A manifest of any bytes: one that names files of the lake alone, or an error that says what to do."""
    targets.manifest(content, tmp_path_factory.mktemp("lake"))


@settings(max_examples=60)
@given(near(CORPUS["config"]))
def test_configurations(content: bytes) -> None:
    """A configuration of any text: one that is understood, or an error that says where it is wrong."""
    targets.config(content)


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    with short_directory() as runtime:
        home = tmp_path_factory.mktemp("fuzz") / "home"
        home.mkdir()
        site = Site(home, runtime)
        yield site.collect()
        site.close()


def http(path: bytes, kind: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"host: x", b"content-type: " + kind, *headers]
    return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])


STREAMS = [
    http(b"/v1/metrics", b"application/x-protobuf", PROTOBUF),
    http(b"/v1/metrics", b"application/json", JSON) * 2,
    http(b"/v1/traces", b"application/json", b"{}", b"expect: 100-continue"),
    b"POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n"
    b"transfer-encoding: chunked\r\n\r\n" + b"%x\r\n" % len(PROTOBUF) + PROTOBUF + b"\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /v1/metrics HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
]


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(near(STREAMS), st.lists(st.integers(1, 400), max_size=3))
def test_streams(collector: RunningCollector, stream: bytes, cuts: list[int]) -> None:
    """Any bytes on a connection, in any pieces: answers of ours or the end of it, and the next client is served."""
    host, port = collector.http.split(":")
    answer = b""
    with (
        socket.create_connection((host, int(port)), timeout=targets.DEADLINE_S) as connection,
        contextlib.suppress(ConnectionError),
    ):
        rest = stream
        for cut in cuts:
            connection.sendall(rest[:cut])
            rest = rest[cut:]
        connection.sendall(rest)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(1 << 16):  # a server that hangs fails by the connection's timeout
            answer += piece
    assert answer == b"" or answer.startswith(b"HTTP/1.1 "), answer
    assert {int(status) for status in _STATUS.findall(answer)} <= _EXPECTED | {100}, answer
    assert collector.post(PROTOBUF)[0] == 200


def test_nothing_was_said_of_it(collector: RunningCollector) -> None:
    """After strangers' bytes the collector has met no defect of its own."""
    assert collector.post(PROTOBUF)[0] == 200
    assert isinstance(collector.place, Site)
    collector.place.flush()
    assert "Traceback" not in collector.place.said()
    assert "xception" not in collector.place.said()
