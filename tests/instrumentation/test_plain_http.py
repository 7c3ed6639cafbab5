"""Sending by the standard library alone: the same as OpenTelemetry's exporter does, told by the same variables."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import ssl
import subprocess
import threading
import zlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.errors import ConfigError
from stepsize.instrumentation.agent.delivery import Answer, Delivery, Encoding, Request
from stepsize.instrumentation.agent.destination import Endpoint
from stepsize.instrumentation.agent.plain_http import HttpEndpoint, exporter
from stepsize.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stepsize.instrumentation.agent.delivery import Destination

REQUEST = Request(b'{"resourceMetrics":[]}', 0, Encoding.JSON)
EXPORTER = "OTEL_EXPORTER_OTLP_"


@dataclass
class Server:
    """What it is told to answer, and what it was sent."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answering: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def _served(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    served = Server()
    served.answering.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            served.seen.append((self.path, {name.lower(): text for name, text in self.headers.items()}, body))
            served.answering.wait()
            self.send_response(served.status)
            for name, text in {**served.headers, "Content-Length": str(len(served.body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(served.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    served.url = f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with _served() as served:
        yield served


def _plain(monkeypatch: pytest.MonkeyPatch, **variables: str) -> HttpEndpoint:
    environment = {EXPORTER + name: text for name, text in variables.items()}
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    return HttpEndpoint(exporter(Settings.load(environment), environment))


def _opentelemetrys(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Endpoint:
    for name, text in variables.items():
        monkeypatch.setenv(EXPORTER + name, text)
    return Endpoint(Settings.load())


BOTH = pytest.mark.parametrize("make", [_plain, _opentelemetrys])


def _sent(destination: Destination) -> Answer:
    with contextlib.closing(destination):
        return destination.send(REQUEST)


@BOTH
@pytest.mark.parametrize(
    ("variables", "path", "headers", "decode"),
    [
        ({}, "/v1/metrics", {"content-type": "application/json"}, bytes),
        ({"METRICS_ENDPOINT": "{url}/mine"}, "/mine", {}, bytes),
        ({"HEADERS": "X-Tenant=blue%20one, b = c"}, "/v1/metrics", {"x-tenant": "blue one", "b": "c"}, bytes),
        ({"HEADERS": "a=b", "METRICS_HEADERS": "a=c"}, "/v1/metrics", {"a": "c"}, bytes),
        ({"COMPRESSION": "gzip"}, "/v1/metrics", {"content-encoding": "gzip"}, gzip.decompress),
        ({"COMPRESSION": "deflate"}, "/v1/metrics", {"content-encoding": "deflate"}, zlib.decompress),
    ],
)
def test_the_variables_mean_the_same(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    make: Callable[..., Destination],
    variables: dict[str, str],
    path: str,
    headers: dict[str, str],
    decode: Callable[[bytes], bytes],
) -> None:
    """Path, headers, compression: what arrives is what OpenTelemetry's exporter sends."""
    told = {name: text.format(url=server.url) for name, text in variables.items()}
    answer = _sent(make(monkeypatch, ENDPOINT=server.url, **told))
    ((arrived_at, arrived, body),) = server.seen
    assert answer == Answer(Delivery.TAKEN)
    assert arrived_at == path
    assert arrived.items() >= headers.items()
    assert decode(body) == REQUEST.body


@BOTH
@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Delivery.TAKEN),
        (302, {"Location": "http://127.0.0.1:9/"}, Delivery.BARRED),
        (400, {}, Delivery.REFUSED),
        (401, {}, Delivery.BARRED),
        (413, {}, Delivery.TOO_LARGE),
        (429, {"Retry-After": "7"}, Delivery.LATER),
        (500, {}, Delivery.FAULT),
        (503, {"Retry-After": "7"}, Delivery.LATER),
    ],
)
def test_answers_mean_the_same(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    make: Callable[..., Destination],
    status: int,
    headers: dict[str, str],
    expected: Delivery,
) -> None:
    """Statuses and `Retry-After`; a redirect is not followed, which would turn a request into another."""
    server.status, server.headers = status, headers
    answer = _sent(make(monkeypatch, ENDPOINT=server.url))
    assert answer.delivery is expected
    assert answer.retry_after_s == (7 if "Retry-After" in headers else None)
    assert len(server.seen) == 1


@BOTH
def test_a_partial_success_says_what_was_rejected(
    monkeypatch: pytest.MonkeyPatch, server: Server, make: Callable[..., Destination]
) -> None:
    """In JSON, as whoever is sent JSON answers."""
    server.headers = {"Content-Type": "application/json"}
    server.body = json.dumps({"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "too old"}}).encode()
    assert _sent(make(monkeypatch, ENDPOINT=server.url)) == Answer(Delivery.TAKEN, "too old", rejected_points=3)


@BOTH
@pytest.mark.parametrize("partial", [None, [], "x", {"rejectedDataPoints": None, "errorMessage": None}])
def test_a_partial_success_that_says_nothing_is_none(
    monkeypatch: pytest.MonkeyPatch, server: Server, make: Callable[..., Destination], partial: Any
) -> None:
    """Whatever it is: taken is taken."""
    server.headers = {"Content-Type": "application/json"}
    server.body = json.dumps({"partialSuccess": partial}).encode()
    assert _sent(make(monkeypatch, ENDPOINT=server.url)) == Answer(Delivery.TAKEN)


@BOTH
def test_a_long_message_is_shortened_to_a_line(
    monkeypatch: pytest.MonkeyPatch, server: Server, make: Callable[..., Destination]
) -> None:
    """It goes to a log."""
    server.headers = {"Content-Type": "application/json"}
    server.body = json.dumps({"partialSuccess": {"rejectedDataPoints": 1, "errorMessage": "too\nold " * 99}}).encode()
    reason = _sent(make(monkeypatch, ENDPOINT=server.url)).reason
    assert reason.startswith("too old too old")
    assert len(reason) == 200


@BOTH
def test_nobody_there_and_somebody_silent_are_tried_again(
    monkeypatch: pytest.MonkeyPatch, server: Server, make: Callable[..., Destination]
) -> None:
    """A port that nobody listens on, and a server that does not answer within the timeout."""
    assert _sent(make(monkeypatch, ENDPOINT="http://127.0.0.1:9")).delivery is Delivery.LATER
    server.answering.clear()
    assert _sent(make(monkeypatch, ENDPOINT=server.url, TIMEOUT="0.2")).delivery is Delivery.LATER


@BOTH
def test_credentials_of_the_url_are_sent_as_such(
    monkeypatch: pytest.MonkeyPatch, server: Server, make: Callable[..., Destination]
) -> None:
    """As a header, percent-decoded, and not to a name server."""
    _sent(make(monkeypatch, ENDPOINT=server.url.replace("//", "//me:p%40ss@")))
    assert server.seen[0][1]["authorization"] == "Basic bWU6cEBzcw=="


@BOTH
def test_proxies_are_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, server: Server, make: Callable[..., Destination]
) -> None:
    """`http_proxy` is asked for the whole URL."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    _sent(make(monkeypatch, ENDPOINT="http://collector.example:4318"))
    assert server.seen[0][0] == "http://collector.example:4318/v1/metrics"


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({"ENDPOINT": "http://c", "PROTOCOL": "grpc"}, "opentelemetry-exporter-otlp"),
        ({"ENDPOINT": "collector:4318"}, "http://"),
        ({"ENDPOINT": "file:///etc/passwd"}, "http://"),
        ({"ENDPOINT": "http://[::1"}, "http://"),
        ({"ENDPOINT": "https://c", "CERTIFICATE": "/nowhere.pem"}, "certificates"),
    ],
)
def test_what_cannot_be_sent_to_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str
) -> None:
    """No endpoint, another protocol, no URL, files that are not there; and no secret is in the line."""
    with pytest.raises(ConfigError, match=says) as raised:
        _plain(monkeypatch, **variables)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with openssl")
@BOTH
def test_certificates_are_checked_and_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[..., Destination]
) -> None:
    """A server is believed by the certificate that was given, and asks for the client's; without, nothing is sent."""
    pem, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", key, "-out", pem]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, *files, "-days", "2"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    context.load_verify_locations(pem)
    context.verify_mode = ssl.CERT_REQUIRED
    with _served(context) as server:
        known = {"ENDPOINT": server.url, "CERTIFICATE": pem}
        assert _sent(make(monkeypatch, **known, CLIENT_CERTIFICATE=pem, CLIENT_KEY=key)) == Answer(Delivery.TAKEN)
        monkeypatch.delenv(f"{EXPORTER}CERTIFICATE")
        stranger = {"ENDPOINT": server.url, "CLIENT_CERTIFICATE": pem, "CLIENT_KEY": key}
        assert _sent(make(monkeypatch, **stranger)).delivery is Delivery.LATER
        assert len(server.seen) == 1
