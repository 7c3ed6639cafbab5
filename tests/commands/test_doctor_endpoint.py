"""What `stepsize doctor` says of an endpoint that does not take metrics, each fault being there for real."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from stepsize.commands.checks.endpoint import check_endpoint
from stepsize.commands.checks.finding import Finding, Level
from stepsize.settings import Settings
from tests.collector.running import Place
from tests.collector.server.certificates import Authority, needs_openssl
from tests.places import short_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_openssl
OTLP = "OTEL_EXPORTER_OTLP_"
PLAIN_HTTP = {"ENDPOINT": "http://127.0.0.1:{http}"}
TLS_HTTP = {"ENDPOINT": "https://127.0.0.1:{https}"}
TLS_GRPC = {"ENDPOINT": "https://127.0.0.1:{grpcs}", "PROTOCOL": "grpc"}
BELIEVED = {"CERTIFICATE": "{authority}"}
TOKEN = {"HEADERS": "authorization=Bearer%20s3cret"}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A collector that listens in every way, and what a case may name of it."""
    home = tmp_path_factory.mktemp("doctor")
    authority = Authority.make(home)
    pair = authority.sign("server")
    tls = f"tls: {{cert_file: {pair.certificate}, key_file: {pair.key}"
    auth = "auth: {authenticator: bearertokenauth}"
    config = f"""
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}, http: {{endpoint: "127.0.0.1:0"}}}}}}
  otlp/tls:
    protocols: {{grpc: {{endpoint: "127.0.0.1:0", {tls}}}}}, http: {{endpoint: "127.0.0.1:0", {tls}}}, {auth}}}}}
  otlp/mutual: {{protocols: {{http: {{endpoint: "127.0.0.1:0", {tls}, client_ca_file: {authority.certificate}}}}}}}}}
exporters: {{parquet: {{}}}}
extensions: {{bearertokenauth: {{token: s3cret}}}}
service:
  extensions: [bearertokenauth]
  pipelines: {{metrics: {{receivers: [otlp, otlp/tls, otlp/mutual], exporters: [parquet]}}}}
"""
    with short_directory() as runtime:
        place = Place(home, runtime)
        line = place.collect(config).line
        ports = re.findall(r"on 127\.0\.0\.1:(\d+)", line)
        names = dict(zip(("grpc", "http", "grpcs", "https", "mutual"), ports, strict=True))
        data = str(place.settings.data)
        yield {**names, "authority": str(authority.certificate), "data": data, "runtime": str(runtime)}
        place.close()


def found(monkeypatch: pytest.MonkeyPatch, there: dict[str, str], variables: dict[str, str]) -> list[Finding]:
    """What is found where these variables alone are set; a name without a prefix is one of OTEL_EXPORTER_OTLP_."""
    for name in [name for name in os.environ if name.startswith(OTLP) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, text in variables.items():
        full = name if name.lower().endswith("_proxy") else OTLP + name
        monkeypatch.setenv(full, text.format(**there))
    return check_endpoint(Settings.load(os.environ, data=there.get("data"), runtime=there.get("runtime")), os.environ)


@pytest.mark.parametrize(
    ("variables", "said", "remedy"),
    [
        ({**PLAIN_HTTP, "PROTOCOL": "grpc"}, "HTTP listens there", "4317"),
        ({"ENDPOINT": "http://127.0.0.1:{grpc}"}, "gRPC listens there", "4318"),
        ({**TLS_HTTP, **BELIEVED, "ENDPOINT": "https://127.0.0.1:{grpcs}"}, "gRPC listens there", "4318"),
        ({"ENDPOINT": "http://127.0.0.1:{https}"}, "it speaks TLS, and is spoken to without", "write https:// in"),
        ({**TLS_GRPC, "ENDPOINT": "http://127.0.0.1:{grpcs}"}, "it speaks TLS, and is spoken", "write https:// in"),
        ({"ENDPOINT": "https://127.0.0.1:{http}"}, "it speaks no TLS", "write http:// in OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({**TLS_GRPC, "ENDPOINT": "https://127.0.0.1:{grpc}"}, "it speaks no TLS", "write http:// in"),
        ({**TLS_HTTP, **TOKEN}, "its certificate is not believed", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        (TLS_GRPC, "its certificate is not believed", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        ({**TLS_HTTP, "CERTIFICATE": "/no/such.pem"}, "/no/such.pem: No such file", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        ({**TLS_HTTP, **BELIEVED}, "HTTP 401 the credentials in authorization are missing", "=Bearer%20TOKEN"),
        ({**TLS_HTTP, **BELIEVED, "HEADERS": "authorization=Bearer%20old"}, "HTTP 401", "correct the token"),
        (
            {**TLS_HTTP, **BELIEVED, "ENDPOINT": "https://127.0.0.1:{mutual}"},
            "certificate of the client",
            "_CLIENT_KEY",
        ),
        ({"ENDPOINT": "http://127.0.0.1:9"}, "nobody listens there: the connection is refused", "in a container"),
        ({"ENDPOINT": "http://127.0.0.1:9", "PROTOCOL": "grpc"}, "nobody listens there", "4317 over gRPC"),
        ({"ENDPOINT": "http://collector.invalid:4318"}, "the name collector.invalid is not known", "DNS"),
        ({"ENDPOINT": "127.0.0.1:4318"}, "127.0.0.1:4318 is no address", "write it as http://127.0.0.1:4318"),
        ({"METRICS_ENDPOINT": "http://127.0.0.1:{http}"}, "HTTP 404", "end it in /v1/metrics"),
        ({"ENDPOINT": "http://127.0.0.1:{http}/v1/metrics"}, "HTTP 404", "is added to OTEL_EXPORTER_OTLP_ENDPOINT"),
        (
            {**PLAIN_HTTP, "HTTP_PROXY": "http://ada:s3cret@127.0.0.1:9"},
            "through the proxy http://127.0.0.1:9",
            "NO_PROXY",
        ),
        ({**PLAIN_HTTP, "PROTOCOL": "grpc", "COMPRESSION": "snappy"}, "the exporter cannot start", "correct OTEL"),
    ],
)
def test_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
    there: dict[str, str],
    variables: dict[str, str],
    said: str,
    remedy: str,
) -> None:
    """One line says what is wrong, without a secret, an object or bytes; another what to do about it."""
    (fault,) = found(monkeypatch, there, variables)
    assert fault.level is Level.FAULT
    assert said in fault.said
    assert remedy in fault.remedy
    for line in (fault.said, fault.remedy):
        assert line.isprintable()
        assert "s3cret" not in line
        assert "object at 0x" not in line
        assert "Error(" not in line


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_header_that_cannot_be_sent(monkeypatch: pytest.MonkeyPatch, there: dict[str, str], protocol: str) -> None:
    """The libraries refuse a line's end in it by showing all of it; the doctor does not."""
    port = there["grpc" if protocol == "grpc" else "http"]
    variables = {"ENDPOINT": f"http://127.0.0.1:{port}", "PROTOCOL": protocol, "HEADERS": "authorization=a%0As3cret"}
    (fault,) = found(monkeypatch, there, variables)
    assert fault.level is Level.FAULT
    assert "s3cret" not in fault.said
    assert fault.said.isprintable()


@pytest.mark.parametrize(
    "variables",
    [
        PLAIN_HTTP,
        {**PLAIN_HTTP, "PROTOCOL": "http/json"},
        {"ENDPOINT": "127.0.0.1:{grpc}", "PROTOCOL": "grpc", "INSECURE": "true"},
        {"METRICS_ENDPOINT": "http://127.0.0.1:{http}/v1/metrics"},
        {**TLS_HTTP, **BELIEVED, **TOKEN},
        {**TLS_GRPC, **BELIEVED, "ENDPOINT": "https://localhost:{grpcs}"},
        {**PLAIN_HTTP, "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"},
    ],
)
def test_what_is_well(monkeypatch: pytest.MonkeyPatch, there: dict[str, str], variables: dict[str, str]) -> None:
    """An endpoint that takes metrics is one line, however it is reached."""
    (line,) = found(monkeypatch, there, variables)
    assert line.level is Level.WELL, line


def test_another_lake(monkeypatch: pytest.MonkeyPatch, there: dict[str, str], tmp_path: Path) -> None:
    """Whoever sends to one collector and reads the lake of another is told."""
    (tmp_path / "lake/manifests").mkdir(parents=True)
    well, note = found(monkeypatch, {**there, "data": str(tmp_path / "lake")}, PLAIN_HTTP)
    assert well.level is Level.WELL
    assert (note.level, note.said.partition(", and ")[2]) == (
        Level.NOTE,
        f"what is read here is another lake: {tmp_path}/lake",
    )


def test_a_certificate_for_another_name(monkeypatch: pytest.MonkeyPatch, there: dict[str, str]) -> None:
    """Its names are told: one of them is to be used."""
    monkeypatch.setattr(socket, "getaddrinfo", _everything_is_loopback(socket.getaddrinfo))
    (fault,) = found(monkeypatch, there, {**TLS_HTTP, **BELIEVED, "ENDPOINT": "https://collector:{https}"})
    assert "its certificate is for 127.0.0.1, localhost, not for collector" in fault.said


def _everything_is_loopback(resolve: object) -> object:
    """Names that only a DNS of a test's own would know."""

    def getaddrinfo(host: str, *arguments: object, **options: object) -> object:
        return resolve("127.0.0.1" if host == "collector" else host, *arguments, **options)  # type: ignore[operator]  # it is one

    return getaddrinfo


def test_a_header_that_is_none(monkeypatch: pytest.MonkeyPatch, there: dict[str, str]) -> None:
    """The exporters leave it out with a line that nobody sees; it is told without what it holds."""
    variables = {**TLS_HTTP, **BELIEVED, "HEADERS": "authorization: Bearer s3cret"}
    header, refused = found(monkeypatch, there, variables)
    assert header.said == "OTEL_EXPORTER_OTLP_HEADERS holds what is no header"
    assert "HTTP 401" in refused.said
    assert "s3cret" not in header.remedy + refused.said + refused.remedy


@pytest.mark.parametrize("port", ["http", "grpcs"])
def test_a_proxy_that_catches_the_loopback(monkeypatch: pytest.MonkeyPatch, there: dict[str, str], port: str) -> None:
    """Where a proxy passes on what was to stay on this machine, that is noted though it works today."""
    with proxy() as address:
        if port == "http":
            variables = {**PLAIN_HTTP, "HTTP_PROXY": f"http://{address}"}
        else:
            variables = {**TLS_GRPC, **BELIEVED, "https_proxy": f"http://{address}"}
        well, note = found(monkeypatch, there, variables)
    assert well.level is Level.WELL
    assert (note.level, note.said) == (Level.NOTE, f"127.0.0.1 is reached through the proxy http://{address}")


@contextlib.contextmanager
def proxy() -> Iterator[str]:
    """A forward proxy for one connection, by CONNECT or by an absolute URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 16):
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            head = client.recv(1 << 16)
            address = re.search(rb"(?:CONNECT |http://)127\.0\.0\.1:(\d+)", head)
            assert address, head
            server = socket.create_connection(("127.0.0.1", int(address[1])))
            if head.startswith(b"CONNECT"):
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                server.sendall(re.sub(rb"http://127\.0\.0\.1:\d+", b"", head, count=1))
            threading.Thread(target=pass_on, args=(client, server), daemon=True).start()
            pass_on(server, client)

    threading.Thread(target=serve, daemon=True).start()
    host, port = listener.getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        listener.close()


def test_who_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where a server takes connections and says nothing, the doctor does not wait for ever, and says what it knows."""
    listener = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr("stepsize.commands.checks.listener.PATIENCE_S", 0.2)
    port = listener.getsockname()[1]
    (fault,) = found(
        monkeypatch, {"data": str(tmp_path / "none")}, {"ENDPOINT": f"http://127.0.0.1:{port}", "TIMEOUT": "1"}
    )
    listener.close()
    assert "it takes the connection and does not answer" in fault.said
