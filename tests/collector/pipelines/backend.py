"""A backend that takes OTLP/HTTP and OTLP/gRPC on loopback, answers as it is told, and keeps what it took."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


class Backend:
    """What it took, and what it answers next."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.taken: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        """What the next requests are answered over HTTP; 200 when there is no more."""
        self.codes: list[Any] = []
        """As above, over gRPC: None or a code."""
        self.always: tuple[int, dict[str, str], bytes] | None = None
        self.attempts = 0

    def values(self) -> list[float]:
        with self.lock:
            return [value for request in self.taken for value in values_of(request)]

    def take(self, request: bytes, headers: dict[str, str]) -> None:
        with self.lock:
            self.taken.append(request)
            self.headers.append(headers)

    @contextlib.contextmanager
    def http(self, port: int = 0) -> Any:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if len(body) < int(self.headers["content-length"]):  # who sent it is gone
                    self.close_connection = True
                    return
                with backend.lock:
                    backend.attempts += 1
                    status, headers, content = (
                        backend.answers.pop(0) if backend.answers else backend.always or (200, {}, b"")
                    )
                if status == 200:
                    backend.take(_unpacked(body, self.headers), {k.lower(): v for k, v in self.headers.items()})
                self.send_response(status)
                for name, value in {"content-length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that goes away is a part of some tests

        server = Server(("127.0.0.1", port), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    @contextlib.contextmanager
    def grpc(self) -> Any:
        def export(request: bytes, context: Any) -> bytes:
            with self.lock:
                self.attempts += 1
                code = self.codes.pop(0) if self.codes else None
            if code is not None:
                context.abort(code, "as told")
            self.take(request, dict(context.invocation_metadata()))
            return ExportMetricsServiceResponse().SerializeToString()

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                return grpc.unary_unary_rpc_method_handler(export) if details.method == _EXPORT else None

        server = grpc.server(ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((Handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


def values_of(request: bytes) -> list[float]:
    """The values of a request's numbers, in order."""
    message = ExportMetricsServiceRequest.FromString(request)
    return [
        point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in getattr(metric, metric.WhichOneof("data")).data_points
    ]


def _unpacked(body: bytes, headers: Any) -> bytes:
    encoding = headers.get("content-encoding", "")
    content = gzip.decompress(body) if encoding == "gzip" else zlib.decompress(body) if encoding == "deflate" else body
    if headers["content-type"] != "application/json":
        return content
    return json_format.ParseDict(json.loads(content), ExportMetricsServiceRequest()).SerializeToString()
