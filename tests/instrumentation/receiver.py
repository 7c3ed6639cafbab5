"""A real OTLP server for tests: HTTP on a port or a Unix socket, or gRPC. Keeps every point that it takes."""

from __future__ import annotations

import contextlib
import gzip
import socket
import socketserver
import threading
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as service_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TIMEOUT_S = 60.0
"""A machine may be busy: whoever waits in vain waits this long, nobody else does."""


@dataclass(frozen=True)
class Point:
    metric: str
    time_unix_nano: int
    start_unix_nano: int
    value: float
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class Receiver:
    """Points that were taken, and how to answer the next request."""

    status: int = 200
    points: list[Point] = field(default_factory=list)
    requests: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    answering: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""

    def __post_init__(self) -> None:
        self.answering.set()

    def take(self, request: service.ExportMetricsServiceRequest) -> int:
        self.answering.wait()
        with self.changed:
            self.requests += 1
            status = self.status
            if status == 200:
                self.points += list(_points(request))
            self.changed.notify_all()
        return status

    def wait(self, condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
        """The condition's value once it is true."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout_s), [p.metric for p in self.points]
            return condition()

    def of(self, metric: str, task: str | None = None, **attributes: Any) -> list[Point]:
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        return [
            p
            for p in list(self.points)
            if p.metric == metric
            and (task is None or p.resource.get("stepsize.task.id") == task)
            and wanted.items() <= p.attributes.items()
        ]

    def end(self, task: str) -> Point:
        """The end of a task, waited for."""
        return self.wait(lambda: self.of("stepsize.task.end", task))[0]

    def last(self, metric: str, task: str, **attributes: Any) -> float:
        """The last value of a series of a task."""
        return max(self.of(metric, task, **attributes), key=lambda p: p.time_unix_nano).value

    def cpu_s(self, task: str) -> float:
        return sum(self.last("stepsize.task.cpu.time", task, cpu_mode=mode) for mode in ("user", "system"))


def _points(request: service.ExportMetricsServiceRequest) -> Iterator[Point]:
    for resource_metrics in request.resource_metrics:
        resource = _attributes(resource_metrics.resource.attributes)
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                for point in getattr(metric, metric.WhichOneof("data")).data_points:
                    yield Point(
                        metric.name,
                        point.time_unix_nano,
                        point.start_time_unix_nano,
                        getattr(point, point.WhichOneof("value")),
                        _attributes(point.attributes),
                        resource,
                    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


class _UnixServer(socketserver.ThreadingMixIn, HTTPServer):
    address_family = socket.AF_UNIX
    daemon_threads = True

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)


class _TcpServer(socketserver.ThreadingMixIn, HTTPServer):
    daemon_threads = True


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.headers = {**{name.lower(): text for name, text in self.headers.items()}, "path": self.path}
            if self.headers["Content-Type"] == "application/json":
                request = json_format.Parse(body, service.ExportMetricsServiceRequest())
            else:
                request = service.ExportMetricsServiceRequest.FromString(body)
            status = receiver.take(request)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

        def address_string(self) -> str:
            return "client"

    return Handler


@contextlib.contextmanager
def _serving(receiver: Receiver, server: HTTPServer) -> Iterator[Receiver]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def http_receiver(port: int = 0) -> Iterator[Receiver]:
    receiver = Receiver()
    server = _TcpServer(("127.0.0.1", port), _handler(receiver))
    receiver.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    with _serving(receiver, server):
        yield receiver


@contextlib.contextmanager
def unix_receiver(path: Path) -> Iterator[Receiver]:
    receiver = Receiver()
    with _serving(receiver, _UnixServer(str(path), _handler(receiver))):  # type: ignore[arg-type]  # a path, not a pair
        yield receiver


class _Servicer(service_grpc.MetricsServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name for it
        if self._receiver.take(request) != 200:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return service.ExportMetricsServiceResponse()


@contextlib.contextmanager
def grpc_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_grpc.add_MetricsServiceServicer_to_server(_Servicer(receiver), server)
    receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        receiver.answering.set()
        server.stop(0).wait()
