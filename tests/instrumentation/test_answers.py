"""What a collector answers, over real HTTP and gRPC, and what is made of it."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as service_grpc

from stepsize import model
from stepsize.instrumentation.agent import otlp_json, otlp_protobuf
from stepsize.instrumentation.agent.delivery import (
    Answer,
    Delivery,
    Encoding,
    Request,
    of_http,
)
from stepsize.instrumentation.agent.destination import Endpoint
from stepsize.instrumentation.agent.points import ResourcePoints
from stepsize.instrumentation.agent.probes.observation import Observation
from stepsize.instrumentation.agent.split import split
from stepsize.otlp_answers import MAX_RETRY_AFTER_S
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


def _resource(points: int = 3, metrics: int = 1) -> ResourcePoints:
    rows = (model.TASK_MEMORY_USAGE, model.TASK_CPU_USAGE, model.TASK_PROCESS_COUNT)[:metrics]
    resource = ResourcePoints({"stepsize.flow.name": "f"}, start_unix_nano=1)
    for moment in range(points):
        resource.add(moment + 1, [Observation(row, moment + 1) for row in rows])
    return resource


def _request(*resources: ResourcePoints, encoding: Encoding = Encoding.PROTOBUF) -> Request:
    encode = otlp_json.encode if encoding is Encoding.JSON else otlp_protobuf.encode
    return Request(encode(resources, point_attributes=False), sum(each.size() for each in resources), encoding)


@dataclass
class Said:
    """What a server is told to answer, and what it was sent."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: grpc.StatusCode | None = None
    details: str = ""
    trailers: tuple[tuple[str, bytes], ...] = ()
    bodies: list[bytes] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def _http(said: Said) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            said.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            said.seen.append({name.lower(): text for name, text in self.headers.items()})
            self.send_response(said.status)
            for name, text in {**said.headers, "Content-Length": str(len(said.body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(said.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _grpc(said: Said) -> Iterator[str]:
    class Servicer(service_grpc.MetricsServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name for it
            said.bodies.append(request.SerializeToString())
            said.seen.append({key: str(value) for key, value in context.invocation_metadata()})
            if said.code is not None:
                context.set_trailing_metadata(said.trailers)
                context.abort(said.code, said.details)
            return service.ExportMetricsServiceResponse.FromString(said.body)

    server = grpc.server(futures.ThreadPoolExecutor(2))
    service_grpc.add_MetricsServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def _endpoint(monkeypatch: pytest.MonkeyPatch, url: str, protocol: str = "http/protobuf") -> Iterator[Endpoint]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    endpoint = Endpoint(Settings.load())
    try:
        yield endpoint
    finally:
        endpoint.close()


@pytest.mark.parametrize(
    ("status", "delivery"),
    [
        (200, Delivery.TAKEN),
        (202, Delivery.TAKEN),
        (302, Delivery.BARRED),
        (400, Delivery.REFUSED),
        (401, Delivery.BARRED),
        (403, Delivery.BARRED),
        (404, Delivery.BARRED),
        (408, Delivery.LATER),
        (413, Delivery.TOO_LARGE),
        (415, Delivery.REFUSED),
        (422, Delivery.REFUSED),
        (429, Delivery.LATER),
        (500, Delivery.FAULT),
        (502, Delivery.LATER),
        (503, Delivery.LATER),
        (504, Delivery.LATER),
    ],
)
def test_http_statuses_are_told_apart(monkeypatch: pytest.MonkeyPatch, status: int, delivery: Delivery) -> None:
    """Each is asked once: the exporter's own tries, which take a minute, do not come between."""
    said = Said(status)
    with _http(said) as url, _endpoint(monkeypatch, url) as endpoint:
        assert endpoint.send(_request(_resource())).delivery is delivery
    assert len(said.bodies) == 1


def test_retry_after_is_heard_in_seconds_and_as_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """As RFC 9110 has it; what is absurd or unreadable is bounded or left out."""
    said = Said(503)
    with _http(said) as url, _endpoint(monkeypatch, url) as endpoint:

        def heard(text: str) -> float | None:
            said.headers = {"Retry-After": text}
            return endpoint.send(_request(_resource())).retry_after_s

        assert heard("7") == 7
        moment = heard(formatdate(time.time() + 60, usegmt=True))
        assert moment is not None
        assert 40 < moment <= 60
        assert heard("86400") == MAX_RETRY_AFTER_S
        assert heard("soon") is None


@given(st.integers(100, 599), st.none() | st.text(max_size=30) | st.floats().map(str) | st.integers().map(str))
def test_any_http_answer_is_one_of_ours(status: int, retry_after: str | None) -> None:
    """Whatever a server says, there is a meaning, and no pause beyond the bound."""
    answer = of_http(status, retry_after=retry_after, now_unix_s=0.0)
    assert (answer.delivery is Delivery.TAKEN) == (200 <= status < 300)
    assert answer.retry_after_s is None or 0 <= answer.retry_after_s <= MAX_RETRY_AFTER_S


def test_a_partial_success_says_how_many_points_were_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """In protobuf or JSON over HTTP, and over gRPC; an answer that cannot be read is a success."""
    response = service.ExportMetricsServiceResponse()
    response.partial_success.rejected_data_points = 2
    response.partial_success.error_message = "too old"
    content = response.SerializeToString()
    as_json = json.dumps({"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": "too old"}}).encode()
    wanted = Answer(Delivery.TAKEN, "too old", rejected_points=2)
    said = Said(body=content, headers={"Content-Type": "application/x-protobuf"})
    with _http(said) as url, _endpoint(monkeypatch, url) as endpoint:
        assert endpoint.send(_request(_resource())) == wanted
        said.headers, said.body = {"Content-Type": "application/json"}, as_json
        assert endpoint.send(_request(_resource(), encoding=Encoding.JSON)) == wanted
        said.body = b"well done"
        assert endpoint.send(_request(_resource())) == Answer(Delivery.TAKEN)
    with _grpc(Said(body=content)) as url, _endpoint(monkeypatch, url, "grpc") as endpoint:
        assert endpoint.send(_request(_resource())) == wanted


def test_the_bytes_that_were_sealed_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are, compressed as the variable says, with its headers, over HTTP and over gRPC, JSON too."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue")
    request = _request(_resource())
    as_json = _request(_resource(), encoding=Encoding.JSON)
    said = Said()
    with _http(said) as url:
        with _endpoint(monkeypatch, url) as endpoint:
            endpoint.send(request)
            endpoint.send(as_json)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        with _endpoint(monkeypatch, url) as endpoint:
            endpoint.send(request)
            endpoint.send(request)
    assert said.bodies[:2] == [request.body, as_json.body]
    assert [seen["content-type"] for seen in said.seen[:2]] == ["application/x-protobuf", "application/json"]
    assert gzip.decompress(said.bodies[2]) == request.body
    assert said.bodies[2] == said.bodies[3]
    assert {seen["x-tenant"] for seen in said.seen} == {"blue"}
    called = Said()
    with _grpc(called) as url, _endpoint(monkeypatch, url, "grpc") as endpoint:
        assert endpoint.send(request).delivery is Delivery.TAKEN
        assert endpoint.send(as_json).delivery is Delivery.TAKEN
    first, second = (service.ExportMetricsServiceRequest.FromString(body) for body in called.bodies)
    assert first == second == service.ExportMetricsServiceRequest.FromString(request.body)
    assert called.seen[0]["x-tenant"] == "blue"


@pytest.mark.parametrize(
    ("code", "details", "delivery"),
    [
        (grpc.StatusCode.CANCELLED, "", Delivery.LATER),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", Delivery.LATER),
        (grpc.StatusCode.ABORTED, "", Delivery.LATER),
        (grpc.StatusCode.OUT_OF_RANGE, "", Delivery.LATER),
        (grpc.StatusCode.UNAVAILABLE, "", Delivery.LATER),
        (grpc.StatusCode.DATA_LOSS, "", Delivery.LATER),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "over quota", Delivery.REFUSED),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "grpc: received message larger than max (5 vs. 4)",
            Delivery.TOO_LARGE,
        ),
        (grpc.StatusCode.INVALID_ARGUMENT, "", Delivery.REFUSED),
        (grpc.StatusCode.UNAUTHENTICATED, "", Delivery.BARRED),
        (grpc.StatusCode.PERMISSION_DENIED, "", Delivery.BARRED),
        (grpc.StatusCode.UNIMPLEMENTED, "", Delivery.BARRED),
        (grpc.StatusCode.INTERNAL, "", Delivery.FAULT),
    ],
)
def test_grpc_codes_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode, details: str, delivery: Delivery
) -> None:
    """As the OTLP specification has them; each is asked once."""
    said = Said(code=code, details=details)
    with _grpc(said) as url, _endpoint(monkeypatch, url, "grpc") as endpoint:
        answer = endpoint.send(_request(_resource()))
        assert answer.delivery is delivery
        assert code.name in answer.reason
        said.code = None
        assert endpoint.send(_request(_resource())).delivery is Delivery.TAKEN
    assert len(said.bodies) == 2


@pytest.mark.parametrize("where", ["details", "a key of its own"])
def test_a_grpc_server_that_will_recover_says_when(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """`RetryInfo` makes RESOURCE_EXHAUSTED one that passes, in either place where servers put it."""
    info = error_details_pb2.RetryInfo()
    info.retry_delay.seconds = 9
    whole = status_pb2.Status(code=8)
    whole.details.add().Pack(info)
    trailer = ("grpc-status-details-bin", whole.SerializeToString())
    if where != "details":
        trailer = ("google.rpc.retryinfo-bin", info.SerializeToString())
    said = Said(code=grpc.StatusCode.RESOURCE_EXHAUSTED, details="busy", trailers=(trailer,))
    with _grpc(said) as url, _endpoint(monkeypatch, url, "grpc") as endpoint:
        answer = endpoint.send(_request(_resource()))
        assert (answer.delivery, answer.retry_after_s) == (Delivery.LATER, 9)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_nobody_there_is_known_at_once(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    """A refused connection is an answer for later, without the exporter's own pauses, and so is the next."""
    with _http(Said()) as url:
        pass
    with _endpoint(monkeypatch, url, protocol) as endpoint:
        started = time.monotonic()
        answers = [endpoint.send(_request(_resource())) for _ in range(2)]
        assert time.monotonic() - started < 5
    assert [answer.delivery for answer in answers] == [Delivery.LATER] * 2


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=4), st.sampled_from(Encoding))
def test_the_halves_of_a_request_hold_its_points(shape: list[tuple[int, int]], encoding: Encoding) -> None:
    """Each point is in one half, in order, and nothing without a point is in either; one point has no halves."""
    whole = _request(*[_resource(*each) for each in shape], encoding=encoding)
    halves = split(whole)
    if whole.points == 1:
        assert halves is None
        return
    assert halves is not None
    assert [half.points for half in halves] == [whole.points // 2, whole.points - whole.points // 2]
    points = [_points(half) for half in halves]
    assert [len(each) for each in points] == [half.points for half in halves]
    assert points[0] + points[1] == _points(whole)


def _points(request: Request) -> list[tuple[str, int]]:
    parsed = service.ExportMetricsServiceRequest()
    if request.encoding is Encoding.JSON:
        json_format.Parse(request.body, parsed)
    else:
        parsed.ParseFromString(request.body)
    found = []
    for resource in parsed.resource_metrics:
        assert resource.scope_metrics
        for metric in resource.scope_metrics[0].metrics:
            assert metric.gauge.data_points
            found += [(metric.name, point.time_unix_nano) for point in metric.gauge.data_points]
    return found
