"""What a collector does with what is too much: each bound has its answer, its metric, and leaves the rest served."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import time
import zlib
from queue import Queue
from typing import TYPE_CHECKING, Any

import grpc
import psutil
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, DRAINED_S, post_to_socket, wait_for
from tests.collector.server.shown import metrics_of

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
MIB = 1 << 20


def config(limits: str = "", grpc_more: str = "", http_more: str = "") -> str:
    return f"""
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:0"{grpc_more}}}
      http: {{endpoint: "127.0.0.1:0"{http_more}}}
    limits: {{{limits}}}
exporters: {{parquet: {{}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}}}
"""


def points(count: int = 1, **attributes: Any) -> bytes:
    samples = [(time.time_ns() + i, 1.5) for i in range(count)]
    return RequestBuilder(identity()).gauge("loss", samples, **attributes).content()


def call(collector: RunningCollector, content: bytes, **more: Any) -> Any:
    options = [("grpc.max_send_message_length", 1 << 30)]
    with grpc.insecure_channel(collector.grpc, options=options) as channel:
        return channel.unary_unary(EXPORT)(content, timeout=DEADLINE_S, **more)


def refused(collector: RunningCollector, content: bytes, **more: Any) -> tuple[grpc.StatusCode, status_pb2.Status]:
    with pytest.raises(grpc.RpcError) as failed:
        call(collector, content, **more)
    details = dict(failed.value.trailing_metadata()).get("grpc-status-details-bin", b"")
    return failed.value.code(), status_pb2.Status.FromString(details)


def test_sizes_of_messages(place: Place) -> None:
    """What is too large, as sent or unpacked, is refused for good over both protocols, and bombs take no memory."""
    collector = place.collect(
        config(grpc_more=", max_recv_msg_size_mib: 1", http_more=f", max_request_body_size: {MIB}")
    )
    call(collector, points())
    resident = psutil.Process(collector.process.pid).memory_info().rss
    zeros = b"\n" + b"\0" * (100 * MIB)
    for encoding, packed in (("gzip", gzip.compress(zeros, 1)[:MIB]), ("deflate", zlib.compress(zeros, 1)[:MIB])):
        status, body, _ = collector.post(packed, content_encoding=encoding)
        assert status == 413
        assert "unpacks to more than 1048576 bytes" in status_pb2.Status.FromString(body).message
    assert collector.post(b"\0" * (MIB + 1))[0] == 413
    assert collector.post(iter([b"\0" * MIB, b"\0"]))[0] == 413
    assert collector.post(b"".join(gzip.compress(b"") for _ in range(2000)), content_encoding="gzip")[0] == 400
    # Without RetryInfo: sending it again is of no use.
    assert refused(collector, zeros, compression=grpc.Compression.Gzip)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused(collector, b"\0" * (MIB + 1))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert psutil.Process(collector.process.pid).memory_info().rss < resident + 40 * MIB
    assert collector.post(gzip.compress(points()), content_encoding="gzip")[0] == 200
    found = metrics_of(place)
    assert found['stepsize_receiver_refused_requests{bound="size",receiver="otlp",transport="http"}'] == 4
    assert found['stepsize_receiver_refused_requests{bound="invalid",receiver="otlp",transport="http"}'] == 1


def test_points_of_a_request(place: Place) -> None:
    """A request of too many points is too large: its client may halve it."""
    collector = place.collect(config("max_points: 100"))
    assert collector.post(points(100))[0] == 200
    status, body, headers = collector.post(points(101))
    assert (status, "retry-after" in headers) == (413, False)
    assert "101 points; send at most 100" in status_pb2.Status.FromString(body).message
    code, details = refused(collector, points(101))
    assert (code, len(details.details)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 0)
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(100,)]


def test_what_senders_bring(place: Place) -> None:
    """Points beyond the bounds on attributes and series are refused in part, in both encodings; the rest is stored."""
    collector = place.collect(config("max_series: 5, max_attributes: 10, max_attribute_bytes: 1000"))
    request = RequestBuilder(identity())
    for number in range(8):
        request.gauge("loss", [(time.time_ns(), 1.0)], user=number)
    status, body, _ = collector.post(request.content())
    partial = ExportMetricsServiceResponse.FromString(body).partial_success
    assert (status, partial.rejected_data_points) == (200, 3)
    assert "a resource has more than 5 series" in partial.error_message
    answer = ExportMetricsServiceResponse.FromString(call(collector, points(2, huge="x" * 2000))).partial_success
    assert answer.rejected_data_points == 2
    value = {"key": "huge", "value": {"stringValue": "x" * 2000}}
    point = {"timeUnixNano": str(time.time_ns()), "asDouble": 1, "attributes": [value]}
    metrics = [{"name": "loss", "gauge": {"dataPoints": [point]}}]
    body = json.dumps({"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"metrics": metrics}]}]}).encode()
    status, body, _ = collector.post(body, kind="application/json")
    assert (status, json.loads(body)["partialSuccess"]["rejectedDataPoints"]) == (200, "1")
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(5,)]
    found = metrics_of(place)
    assert found['stepsize_receiver_rejected_metric_points{bound="series",receiver="otlp",transport="http"}'] == 3
    assert (
        found['stepsize_receiver_rejected_metric_points{bound="attribute_size",receiver="otlp",transport="grpc"}'] == 2
    )
    assert found['otelcol_receiver_refused_metric_points{receiver="otlp",transport="http"}'] == 4
    assert found['otelcol_receiver_accepted_metric_points{receiver="otlp",transport="http"}'] == 5


def test_requests_in_flight(place: Place) -> None:
    """Requests that arrive while others fill the room are refused for now, over both protocols, and fit in later."""
    collector = place.collect(config("max_in_flight_mib: 1"))
    host, port = collector.http.split(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as slow:
        slow.sendall(f"POST /v1/metrics HTTP/1.1\r\ncontent-length: {MIB}\r\n\r\n".encode() + b"\0" * (MIB - 10))
        wait_for(lambda: metrics_of(place)["stepsize_in_flight_bytes"] == MIB - 10, "no room")
        status, body, headers = collector.post(points())
        assert status == 503
        assert int(headers["retry-after"]) >= 1
        assert "holds as many requests as it may" in status_pb2.Status.FromString(body).message
        code, details = refused(collector, points())
        assert code is grpc.StatusCode.UNAVAILABLE
        retry = error_details_pb2.RetryInfo()
        assert details.details[0].Unpack(retry)
        assert retry.retry_delay.seconds >= 1
    wait_for(lambda: collector.post(points())[0] == 200, "room")
    call(collector, points())
    assert metrics_of(place)["stepsize_in_flight_bytes"] == 0


def test_slow_senders(place: Place) -> None:
    """Requests that do not arrive in time end with an answer, over both protocols."""
    collector = place.collect(config(grpc_more=", read_timeout: 300ms", http_more=", read_timeout: 300ms"))
    host, port = collector.http.split(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as slow:
        slow.sendall(b"POST /v1/metrics HTTP/1.1\r\ncontent-length: 10\r\n\r\nx")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")

    def nothing() -> Any:
        yield from iter(lambda: stop.recv(1), b"")  # no message until the test is over

    stop, release = socket.socketpair()
    with grpc.insecure_channel(collector.grpc) as channel, contextlib.closing(stop), contextlib.closing(release):
        with pytest.raises(grpc.RpcError) as failed:
            channel.stream_unary(EXPORT)(nothing(), timeout=DEADLINE_S)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert failed.value.details() == "the request did not arrive in time"
        release.close()
    call(collector, points())


def test_floods_of_connections(place: Place) -> None:
    """Connections beyond the bound are turned away, over both protocols; when others end there is room again."""
    collector = place.collect(config(grpc_more=", max_connections: 3", http_more=", max_connections: 3"))
    for address in (collector.http, collector.grpc):
        host, port = address.split(":")
        with contextlib.ExitStack() as held:
            for _ in range(3):
                held.enter_context(socket.create_connection((host, int(port)), DEADLINE_S))

            def is_turned_away(address: tuple[str, int] = (host, int(port))) -> bool:
                with socket.create_connection(address, DEADLINE_S) as late, contextlib.suppress(ConnectionError):
                    late.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        answer = late.recv(100)
                        return answer == b"" or answer.startswith(b"HTTP/1.1 503")
                return False

            wait_for(is_turned_away, "a refusal")
    wait_for(lambda: collector.post(points())[0] == 200, "room")
    wait_for(lambda: is_served(collector), "room")


def is_served(collector: RunningCollector) -> bool:
    try:
        call(collector, points())
    except grpc.RpcError:
        return False
    return True


def test_grpc_connections_and_metadata(place: Place) -> None:
    """Idle gRPC connections end when the configuration says so, their clients come back; metadata has a bound."""
    keepalive = ", keepalive: {server_parameters: {max_connection_idle: 200ms, time: 1h}}"
    collector = place.collect(config(grpc_more=keepalive))
    states: Queue[grpc.ChannelConnectivity] = Queue()
    with grpc.insecure_channel(collector.grpc) as channel:
        channel.subscribe(states.put)
        export = channel.unary_unary(EXPORT)
        export(points(), timeout=DEADLINE_S)
        while states.get(timeout=DEADLINE_S) is not grpc.ChannelConnectivity.READY:
            pass
        assert states.get(timeout=DEADLINE_S) is grpc.ChannelConnectivity.IDLE
        export(points(), timeout=DEADLINE_S)
        with pytest.raises(grpc.RpcError) as failed:
            export(points(), timeout=DEADLINE_S, metadata=(("x", "y" * 20_000),))
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as failed:
            export(points(), timeout=DEADLINE_S, metadata=(("x", "y" * 100_000),))
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        export(points(), timeout=DEADLINE_S)


def test_encodings_that_are_not_taken(place: Place) -> None:
    """What a body may be packed with is configured; the rest is answered 415 with what is taken."""
    collector = place.collect(config(http_more=', compression_algorithms: ["gzip"], response_headers: {x-from: here}'))
    assert collector.post(gzip.compress(points()), content_encoding="gzip")[0] == 200
    for encoding in ("deflate", "zstd", "gzip, gzip", "br", "identity"):
        status, body, headers = collector.post(points(), content_encoding=encoding)
        assert (status, headers["x-from"]) == (415, "here")
        assert "use one of gzip" in status_pb2.Status.FromString(body).message


def test_a_collector_whose_first_line_cannot_be_written(place: Place) -> None:
    """Standard error is a pipe that is full from the start: it serves, drains and ends as any other."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * size)
    os.set_blocking(writer, True)
    file = place.home / "config.yaml"
    file.write_text(config())
    process = place.spawn("--config", str(file), "--data", str(place.settings.data), stderr=writer)
    os.close(writer)
    try:
        assert post_to_socket(place.settings, "/v1/metrics", points())[0] == 200
        process.terminate()
        assert process.wait(DRAINED_S) == 0
    finally:
        os.close(reader)


def test_nobody_reads_the_log(place: Place) -> None:
    """A collector whose lines nobody reads takes requests all the same, and ends when it is told to."""
    shown = config().replace("{parquet: {}}", "{parquet: {}, debug: {verbosity: detailed}}")
    collector = place.collect(shown.replace("exporters: [parquet]", "exporters: [parquet, debug]"))
    sent = 0
    for _ in range(4):  # a pipe holds 64 KiB, a MiB may wait, and each point is some 200 bytes of log
        assert collector.post(points(2500))[0] == 200
        sent += 2500
    collector.flush()
    assert place.rows("SELECT count(*) FROM points") == [(sent,)]
    call(collector, points())
    assert collector.terminate() == 0
