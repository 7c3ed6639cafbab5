"""Every bound that refuses says so in the collector's own metrics, by its name; what the manual names is there."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

import stepsize
from stepsize.collector import control
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.pipelines.backend import Backend
from tests.collector.running import DEADLINE_S, Place, wait_for
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.running import RunningCollector

ROOT = Path(stepsize.__file__).parents[2]
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
MIB = 1 << 20
RECEIVERS = {
    "otlp": "",
    "otlp/size": "",
    "otlp/points": "max_points: 2",
    "otlp/attributes": "max_attributes: 3",
    "otlp/attribute_size": "max_attribute_bytes: 1000",
    "otlp/resources": "max_resources: 1",
    "otlp/series": "max_series: 1",
    "otlp/credentials": "",
    "otlp/connections": "",
    "otlp/slow": "",
    "otlp/memory": "",
    "otlp/queue": "",
}
"""Receivers, each with the bound that its name says; limits of what senders bring."""
PROTOCOL = {
    "otlp/size": ("max_recv_msg_size_mib: 1", f"max_request_body_size: {MIB}, max_header_bytes: 1000"),
    "otlp/credentials": ("auth: {authenticator: bearertokenauth}",) * 2,
    "otlp/connections": ("max_connections: 1",) * 2,
    "otlp/slow": ("read_timeout: 200ms",) * 2,
}


def config() -> str:
    receivers = "\n".join(
        f"""  {name}:
    protocols:
      grpc: {{endpoint: "127.0.0.1:0", {PROTOCOL.get(name, ("", ""))[0]}}}
      http: {{endpoint: "127.0.0.1:0", {PROTOCOL.get(name, ("", ""))[1]}}}
    limits: {{{limits}}}"""
        for name, limits in RECEIVERS.items()
    )
    plain = ", ".join(name for name in RECEIVERS if name not in ("otlp/memory", "otlp/queue"))
    return f"""
receivers:
{receivers}
processors: {{memory_limiter: {{limit_mib: 1}}}}
exporters:
  parquet:
  otlphttp: {{endpoint: "http://127.0.0.1:9", sending_queue: {{queue_size: {MIB}}}, compression: none}}
extensions: {{bearertokenauth: {{token: s3cret}}}}
service:
  extensions: [bearertokenauth]
  pipelines:
    metrics: {{receivers: [{plain}], exporters: [parquet]}}
    metrics/memory: {{receivers: [otlp/memory], processors: [memory_limiter], exporters: [parquet]}}
    metrics/queue: {{receivers: [otlp/queue], exporters: [otlphttp]}}
"""


@dataclass
class Served:
    """A collector, and the addresses of its receivers."""

    collector: RunningCollector
    place: Place

    def address(self, receiver: str, protocol: str) -> str:
        index = list(RECEIVERS).index(receiver)
        return re.findall(rf"{protocol} on ([\d.:]+)", self.collector.line)[index]  # type: ignore[no-any-return]  # of texts

    def count(self, metric: str, **labels: str) -> float:
        readings = control.metrics(self.place.settings, DEADLINE_S)
        assert readings is not None
        return sum(one.value for one in readings if one.name == metric and labels.items() <= one.labels.items())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One collector with a receiver for each bound."""
    with short_directory() as runtime:
        place = Place(tmp_path_factory.mktemp("refusals"), runtime)
        yield Served(place.collect(config()), place)
        place.close()


def points(count: int = 1, task: str = "1", **attributes: Any) -> bytes:
    request = RequestBuilder(identity(task))
    for number in range(count):
        request.gauge("loss", [(time.time_ns(), 1.0)], number=number, **attributes)
    return request.content()


def post(address: str, body: bytes, path: str = "/v1/metrics", **headers: str) -> int:
    with contextlib.closing(http.client.HTTPConnection(address, timeout=DEADLINE_S)) as connection:
        kind = {"content-type": "application/x-protobuf"}
        connection.request("POST", path, body, kind | {key.replace("_", "-"): text for key, text in headers.items()})
        return connection.getresponse().status


def call(address: str, body: bytes, method: str = METRICS, **more: Any) -> None:
    options = [("grpc.max_send_message_length", 1 << 30)]
    with grpc.insecure_channel(address, options=options) as channel, contextlib.suppress(grpc.RpcError):
        channel.unary_unary(method)(body, timeout=DEADLINE_S, **more)


def hold(address: str) -> None:
    """Two connections at once, the first of which says nothing."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), DEADLINE_S), socket.create_connection((host, int(port))) as late:
        late.settimeout(DEADLINE_S)
        with contextlib.suppress(ConnectionError):
            while late.recv(1000):
                pass


def hesitate(address: str) -> None:
    """A request over HTTP that never ends."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), DEADLINE_S) as slow:
        slow.sendall(b"POST /v1/metrics HTTP/1.1\r\ncontent-length: 10\r\n\r\nx")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")


def hesitate_over_grpc(address: str) -> None:
    """A call whose message never comes."""
    stop, release = socket.socketpair()
    messages = iter(lambda: stop.recv(1), b"")
    with contextlib.closing(stop), contextlib.closing(release), grpc.insecure_channel(address) as channel:
        with contextlib.suppress(grpc.RpcError):
            channel.stream_unary(METRICS)(messages, timeout=DEADLINE_S)
        release.close()


def fill_the_queue(address: str) -> None:
    """More than an exporter to nobody may keep waiting."""
    body = points(huge="x" * 60_000)  # below the bound on an attribute

    def is_full() -> bool:
        return post(address, body) == 503

    wait_for(is_full, "a full queue")


REQUESTS, POINTS = "stepsize_receiver_refused_requests", "stepsize_receiver_rejected_metric_points"
BOUNDS: list[tuple[str, str, str, str, Callable[[str], object]]] = [
    (REQUESTS, "size", "http", "otlp/size", lambda to: post(to, b"\0" * (MIB + 1))),
    (REQUESTS, "size", "grpc", "otlp/size", lambda to: call(to, b"\0" * (MIB + 1))),
    (REQUESTS, "headers", "http", "otlp/size", lambda to: post(to, points(), x="y" * 2000)),
    (REQUESTS, "points", "http", "otlp/points", lambda to: post(to, points(3))),
    (REQUESTS, "points", "grpc", "otlp/points", lambda to: call(to, points(3))),
    (REQUESTS, "invalid", "http", "otlp", lambda to: post(to, b"\xff")),
    (REQUESTS, "invalid", "grpc", "otlp", lambda to: call(to, b"\xff")),
    (REQUESTS, "encoding", "http", "otlp", lambda to: post(to, points(), content_encoding="br")),
    (REQUESTS, "signal", "http", "otlp", lambda to: post(to, b"", "/v1/traces")),
    (REQUESTS, "signal", "grpc", "otlp", lambda to: call(to, b"", TRACES)),
    (REQUESTS, "credentials", "http", "otlp/credentials", lambda to: post(to, points())),
    (REQUESTS, "credentials", "grpc", "otlp/credentials", lambda to: call(to, points())),
    (REQUESTS, "connections", "http", "otlp/connections", hold),
    (REQUESTS, "connections", "grpc", "otlp/connections", hold),
    (REQUESTS, "read_timeout", "http", "otlp/slow", hesitate),
    (REQUESTS, "read_timeout", "grpc", "otlp/slow", hesitate_over_grpc),
    (REQUESTS, "memory", "http", "otlp/memory", lambda to: post(to, points())),
    (REQUESTS, "memory", "grpc", "otlp/memory", lambda to: call(to, points())),
    (REQUESTS, "queue", "http", "otlp/queue", fill_the_queue),
    (POINTS, "attributes", "http", "otlp/attributes", lambda to: post(to, points(a=1, b=2, c=3))),
    (POINTS, "attribute_size", "grpc", "otlp/attribute_size", lambda to: call(to, points(a="x" * 2000))),
    (POINTS, "series", "http", "otlp/series", lambda to: post(to, points(3))),
    (POINTS, "resources", "http", "otlp/resources", lambda to: [post(to, points(task=task)) for task in "123"]),
]


def test_the_manual_names_every_bound() -> None:
    """What may stand in the label is told where the metrics are."""
    section = OPERATIONS.partition("`bound` is what a request broke")[2]
    assert {bound for _, bound, *_ in BOUNDS} | {"in_flight", "disk"} <= set(re.findall(r"`(\w+)`", section))


@pytest.mark.parametrize(("metric", "bound", "transport", "receiver", "provoke"), BOUNDS)
def test_bounds(
    served: Served, metric: str, bound: str, transport: str, receiver: str, provoke: Callable[[str], object]
) -> None:
    """What is refused is counted under the bound that it broke, the receiver and the protocol, and nothing else is."""
    labels = {"receiver": receiver, "transport": transport}
    before = served.count(metric, bound=bound, **labels)
    others = served.count(metric, **labels) - before
    provoke(served.address(receiver, transport.upper() if transport == "http" else "gRPC"))
    wait_for(lambda: served.count(metric, bound=bound, **labels) > before, f"{bound} counted")
    assert served.count(metric, **labels) - served.count(metric, bound=bound, **labels) == others


def test_a_full_disk(place: Place) -> None:
    """A log that may not grow refuses with the bound `disk`, and counts it itself, too."""
    log = "write_ahead_log: {min_free_size: 8000TiB}"
    collector = place.collect(
        f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters: {{parquet: {{{log}}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}}}
"""
    )
    assert collector.post(points())[0] == 503
    served = Served(collector, place)
    assert served.count(REQUESTS, bound="disk") == 1
    assert served.count("stepsize_wal_refused_requests") == 1


def test_the_manual_names_every_metric(place: Place) -> None:
    """Names, kinds and units in docs/operations.md are those that are sent, and none is left out. Those of uploads need
    a lake in an object store and are read there (tests/store/test_collector_on_s3.py), those of SQL an extension."""
    backend = Backend()
    with backend.http() as server:
        reader = f"{{periodic: {{interval: 100, exporter: {{otlp: {{endpoint: 'http://127.0.0.1:{server.server_port}'}}}}}}}}"
        collector = place.collect(
            f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:0"}}}}}}}}
exporters: {{parquet: , otlphttp: {{endpoint: "http://127.0.0.1:9"}}}}
service:
  pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet, otlphttp]}}}}
  telemetry: {{metrics: {{readers: [{reader}]}}}}
"""
        )
        assert collector.post(b"\xff")[0] == 400
        assert collector.post(points(1, huge="x" * 70_000))[0] == 200  # an attribute beyond its bound
        collector.flush()
        sent = wait_for(lambda: _all_of(backend), "everything")
    rows = re.findall(r"^\| `((?:stepsize|otelcol)_\w+)` \| (\w+) \| `([^`]+)` \|", OPERATIONS, re.MULTILINE)
    told = {name: (kind, unit) for name, kind, unit in rows if not name.startswith(ELSEWHERE)}
    assert told == sent
    named = set(re.findall(r"\b((?:stepsize|otelcol)_[a-z_]+[a-z])\b", PAGES))
    assert {name for name in named if name not in sent and not name.startswith(ELSEWHERE)} == set()


ELSEWHERE = ("stepsize_upload_", "stepsize_sql_")
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
PAGES = "".join((ROOT / f"docs/{page}.md").read_text("utf-8") for page in ("operations", "collector", "security"))


def _all_of(backend: Backend) -> dict[str, tuple[str, str]] | None:
    """The last metrics that were sent by name, once what was refused is among them."""
    if not backend.taken:
        return None
    request = ExportMetricsServiceRequest.FromString(backend.taken[-1])
    metrics = request.resource_metrics[0].scope_metrics[0].metrics
    found = {metric.name: (str(metric.WhichOneof("data")), metric.unit) for metric in metrics}
    return found if {REQUESTS, POINTS} <= found.keys() else None
