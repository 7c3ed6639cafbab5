"""What a collector says of itself: metrics for Prometheus and over OTLP, health, lines, its last seconds."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import signal
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.components.health_check_extension import HealthCheckConfig
from stepsize.collector.config.language import build
from stepsize.collector.config.telemetry import TelemetryConfig
from stepsize.collector.telemetry.prometheus import exposition
from stepsize.collector.telemetry.registry import GAUGE, SUM, Registry
from stepsize.errors import ConfigError
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, wait_for
from tests.collector.server.shown import metrics_of, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.running import Place, RunningCollector


def config(telemetry: str = "", limiter: str = "", lag: str = "300s") -> str:
    return f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors: {{memory_limiter: {{limit_mib: 4000{limiter}}}}}
exporters: {{parquet: {{}}}}
extensions: {{health_check: {{endpoint: "127.0.0.1:0", max_sink_lag: {lag}}}}}
service:
  extensions: [health_check]
  pipelines: {{metrics: {{receivers: [otlp], processors: [memory_limiter], exporters: [parquet]}}}}
  telemetry: {{{telemetry}}}
"""


PROMETHEUS = "metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: 0}}}}]}"


def content(count: int = 1) -> bytes:
    return RequestBuilder(identity()).gauge("loss", [(time.time_ns() + i, 1.5) for i in range(count)]).content()


def get(collector: RunningCollector, what: str, path: str) -> tuple[int, str]:
    """GET from one of the collector's other addresses."""
    address = re.search(rf"{what} on ([\d.:]+)", collector.line)
    assert address, collector.line
    connection = http.client.HTTPConnection(address[1], timeout=DEADLINE_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_metrics_for_prometheus(place: Place) -> None:
    """Points, requests, syncs, commits, memory are counted under the Collector's names, or ours where it has none."""
    collector = place.collect(config(PROMETHEUS))
    assert collector.post(content(3))[0] == 200
    assert collector.post(b"\xff")[0] == 400
    assert collector.post(content(), kind="text/plain")[0] == 415
    assert collector.post(b"", path="/v1/traces")[0] == 404
    collector.flush()
    status, text = get(collector, "metrics", "/metrics")
    assert status == 200
    found = parsed(text)
    http_of = 'receiver="otlp",transport="http"'
    assert found[f"otelcol_receiver_accepted_metric_points{{{http_of}}}"] == 3
    assert found[f'otelcol_receiver_requests{{outcome="success",{http_of}}}'] == 1
    assert found[f'otelcol_receiver_requests{{outcome="refused",{http_of}}}'] == 3
    assert found[f'stepsize_receiver_refused_requests{{bound="invalid",{http_of}}}'] == 1
    assert found[f'stepsize_receiver_refused_requests{{bound="encoding",{http_of}}}'] == 1
    assert found[f'stepsize_receiver_refused_requests{{bound="signal",{http_of}}}'] == 1
    assert found['stepsize_wal_requests{log="main"}'] == 1
    assert found['stepsize_wal_syncs{log="main"}'] == 1
    assert found["stepsize_sink_commits"] >= 1
    assert found["stepsize_sink_up"] == 1
    assert found["otelcol_process_memory_rss"] > 10 << 20
    assert found["stepsize_sink_memory_rss"] > 10 << 20
    assert found["otelcol_process_uptime"] > 0
    assert "# TYPE otelcol_receiver_accepted_metric_points counter" in text
    assert get(collector, "metrics", "/")[0] == 404
    assert metrics_of(place).keys() >= found.keys()


def test_exposition_escapes_labels() -> None:
    """What stands in labels and descriptions cannot end a line or a label; a reading that fails is absent."""
    registry = Registry()
    registry.counter("a", "1", "first\nsecond \\", who='eve"} 1\nb 2').add(2)
    registry.observe("b", GAUGE, "1", "b", lambda: None)

    def fail() -> float:
        raise ProcessLookupError

    registry.observe("c", SUM, "1", "c", fail)
    lines = exposition(registry.collect()).splitlines()
    assert lines == [
        r"# HELP a first\nsecond \\",
        "# TYPE a counter",
        r'a{who="eve\"} 1\nb 2"} 2',
    ]


@contextlib.contextmanager
def backend() -> Iterator[tuple[str, Queue[tuple[Any, ExportMetricsServiceRequest]]]]:
    """An OTLP/HTTP server that keeps what it is sent."""
    taken: Queue[tuple[Any, ExportMetricsServiceRequest]] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
            taken.put((self.headers, ExportMetricsServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        server.server_close()


def test_metrics_over_otlp(place: Place) -> None:
    """Metrics are sent where the configuration says, with its headers, and once more at the end."""
    with backend() as (url, taken):
        otlp = f"{{endpoint: '{url}', headers: [{{name: x-key, value: s3cret}}]}}"
        collector = place.collect(
            config(f"metrics: {{readers: [{{periodic: {{interval: 100, exporter: {{otlp: {otlp}}}}}}}]}}")
        )
        headers, request = taken.get(timeout=DEADLINE_S)
        assert headers["x-key"] == "s3cret"
        assert collector.post(content(7))[0] == 200
        assert collector.terminate() == 0
        while not taken.empty():
            headers, request = taken.get()
    attributes = {pair.key: pair.value.string_value for pair in request.resource_metrics[0].resource.attributes}
    assert attributes["service.name"] == "stepsize-collector"
    metrics = {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}
    accepted = metrics["otelcol_receiver_accepted_metric_points"].sum
    assert (accepted.is_monotonic, accepted.aggregation_temporality) == (True, 2)
    values = {
        tuple(pair.value.string_value for pair in point.attributes): point.as_int for point in accepted.data_points
    }
    assert values["otlp", "http"] == 7
    assert metrics["otelcol_process_memory_rss"].gauge.data_points[0].as_int > 0


def test_health_and_readiness(place: Place) -> None:
    """It is alive and ready while it can keep what it is sent; while the sink does not run it is alive, not ready."""
    collector = place.collect(config(lag="500ms"))
    assert get(collector, "health check", "/") == (200, '{"status":"Server available"}')
    wait_for(lambda: get(collector, "health check", "/ready") == (200, '{"status": "ready"}'), "a first commit")
    sink = collector.sink()
    sink.send_signal(signal.SIGSTOP)
    assert collector.post(content())[0] == 200
    status, text = wait_for(lambda: not_ready(collector), "a sink that is behind")
    assert re.search(r"points of \d+ s ago are not stored yet", json.loads(text)["problems"]["lag"])
    assert metrics_of(place)["stepsize_sink_lag"] > 0.5
    assert get(collector, "health check", "/")[0] == 200
    sink.send_signal(signal.SIGCONT)
    wait_for(lambda: get(collector, "health check", "/ready")[0] == 200, "a sink that is not behind")
    sink.kill()
    status, text = wait_for(lambda: not_ready(collector), "no sink")
    assert status == 503
    assert "the sink does not run" in json.loads(text)["problems"]["sink"]
    wait_for(lambda: get(collector, "health check", "/ready")[0] == 200, "another sink")
    wait_for(lambda: metrics_of(place)["stepsize_sink_restarts"] == 1, "a restart that is counted")


def not_ready(collector: RunningCollector) -> tuple[int, str] | None:
    status, text = get(collector, "health check", "/ready")
    return (status, text) if status != 200 else None


def test_requests_that_run_are_answered_at_the_end(place: Place) -> None:
    """On SIGTERM a request whose body is still arriving is read and acknowledged, new connections find nobody."""
    collector = place.collect(config())
    host, port = collector.http.split(":")
    body = content()
    with socket.create_connection((host, int(port)), DEADLINE_S) as client:
        head = (
            f"POST /v1/metrics HTTP/1.1\r\ncontent-type: application/x-protobuf\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        client.sendall(head.encode() + body[:-1])
        wait_for(lambda: metrics_of(place)["stepsize_in_flight_bytes"] > 0, "the start of the body")
        collector.process.send_signal(signal.SIGTERM)

        def is_closed() -> bool:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port)), DEADLINE_S):
                return False
            return True

        wait_for(is_closed, "a closed port")
        client.sendall(body[-1:])
        answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    assert collector.process.wait(DEADLINE_S) == 0
    assert place.rows("SELECT count(*) FROM points") == [(1,)]


def test_a_hanging_client_does_not_hold_up_the_end(place: Place) -> None:
    """On SIGTERM a request that never ends is given up within the bound."""
    collector = place.collect(config())
    host, port = collector.http.split(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as client:
        client.sendall(b"POST /v1/metrics HTTP/1.1\r\ncontent-length: 10\r\n\r\nx")
        wait_for(lambda: metrics_of(place)["stepsize_in_flight_bytes"] > 0, "the start of the body")
        assert collector.terminate() == 0  # before the 30 s that the request has to arrive


def test_lines_as_json(place: Place) -> None:
    """With `encoding: json` each line is an object; what listens to everybody without TLS and tokens is warned of."""
    file = place.home / "config.yaml"
    file.write_text(config("logs: {encoding: json}").replace("127.0.0.1:0", "0.0.0.0:0", 1))
    process = place.spawn("--config", str(file), "--data", str(place.settings.data))
    assert process.stderr
    warning, ready = (json.loads(process.stderr.readline()) for _ in range(2))
    assert warning["level"] == "warn"
    assert warning["msg"].startswith("receivers.otlp.protocols.grpc listens on 0.0.0.0 without tls and auth")
    assert ready["level"] == "info"
    assert "lake in" in ready["msg"]
    assert abs(ready["ts"] - time.time()) < 60


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"metrics": {"readers": [{}]}}, "give one of pull and periodic"),
        ({"metrics": {"readers": [{"pull": {}}]}}, "exporter is needed"),
        ({"metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"port": 70000}}}}]}}, "port goes up to 65535"),
        (
            {"metrics": {"readers": [{"pull": {"exporter": {"prometheus": {"without_units": False}}}}]}},
            "only true is supported",
        ),
        ({"metrics": {"readers": [{"periodic": {"exporter": {"otlp": {"endpoint": "x:1"}}}}]}}, "expected http://"),
        ({"metrics": {"address": ":8888"}}, "unknown key 'address'; known: level, readers"),
        ({"logs": {"encoding": "xml"}}, "expected console or json"),
        ({"traces": {}}, "unknown key 'traces'"),
    ],
)
def test_wrong_telemetry(section: dict[str, Any], said: str) -> None:
    """What is not understood is refused by name."""
    with pytest.raises(ConfigError) as refused:
        build(TelemetryConfig, section, "service.telemetry")
    assert said in str(refused.value)


def test_wrong_health_checks() -> None:
    """Two paths that are one, or no paths, are refused."""
    for section in ({"path": "x"}, {"path": "/ready"}):
        with pytest.raises(ConfigError, match="path"):
            build(HealthCheckConfig, section, "extensions.health_check")
