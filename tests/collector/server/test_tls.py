"""TLS of both protocols, with clients that check what they are shown."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import yaml

from stepsize.collector.components.server_tls import ServerTlsConfig
from stepsize.collector.config.language import build
from stepsize.errors import ConfigError
from stepsize.listening.tls import WatchedTls
from tests.collector.otlp import RequestBuilder, identity
from tests.collector.running import DEADLINE_S, wait_for
from tests.collector.server.certificates import Authority, Pair, needs_openssl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.running import Place, RunningCollector

pytestmark = needs_openssl
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def config(tls: str, http_tls: str = "") -> str:
    return f"""
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:0", tls: {{{tls}}}}}
      http: {{endpoint: "127.0.0.1:0", tls: {{{tls}{http_tls}}}}}
exporters: {{parquet: {{}}}}
service: {{pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}}}
"""


def content() -> bytes:
    return RequestBuilder(identity()).gauge("loss", [(time.time_ns(), 1.5)]).content()


def context(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=authority.certificate)
    if pair is not None:
        made.load_cert_chain(pair.certificate, pair.key)
    return made


def post(collector: RunningCollector, how: ssl.SSLContext) -> int:
    connection = http.client.HTTPSConnection(collector.http, timeout=DEADLINE_S, context=how)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/metrics", content(), {"content-type": "application/x-protobuf"})
        return connection.getresponse().status


def call(collector: RunningCollector, authority: Authority, pair: Pair | None = None) -> Any:
    own = (pair.key.read_bytes(), pair.certificate.read_bytes()) if pair else ()
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), *own)
    with grpc.secure_channel(collector.grpc, credentials) as channel:
        return channel.unary_unary(EXPORT)(content(), timeout=DEADLINE_S)


def shown(collector: RunningCollector, authority: Authority) -> str:
    """The subject of the certificate that a server shows now."""
    host, port = collector.http.split(":")
    made = context(authority)
    connection = http.client.HTTPSConnection(host, int(port), timeout=DEADLINE_S, context=made)
    with contextlib.closing(connection):
        connection.connect()
        subject: Any = connection.sock.getpeercert()["subject"]  # type: ignore[attr-defined]  # it is an SSLSocket
        return str(subject[0][0][1])


def put(pair: Pair, where: Pair) -> None:
    """Replace certificate and key, each whole, as a certificate manager does."""
    for source, target in ((pair.key, where.key), (pair.certificate, where.certificate)):
        fresh = target.with_suffix(".new")
        fresh.write_bytes(source.read_bytes())
        os.replace(fresh, target)  # noqa: PTH105 - as such a manager


def test_tls_and_rotation(place: Place, tmp_path: Path) -> None:
    """Both protocols speak TLS; new certificates are shown without a restart, halves of a pair are not."""
    authority = Authority.make(tmp_path)
    first, second, third = (authority.sign(name) for name in ("first", "second", "third"))
    live = Pair(tmp_path / "live.crt", tmp_path / "live.key")
    put(first, live)
    collector = place.collect(config(f"cert_file: {live.certificate}, key_file: {live.key}, reload_interval: 100ms"))
    assert post(collector, context(authority)) == 200
    call(collector, authority)
    assert shown(collector, authority) == "first"
    open_connection = http.client.HTTPSConnection(collector.http, timeout=DEADLINE_S, context=context(authority))
    open_connection.connect()

    live.key.write_bytes(second.key.read_bytes())  # half of a pair
    assert collector.process.stderr
    assert b"stay in use" in collector.process.stderr.readline()
    assert shown(collector, authority) == "first"
    put(second, live)
    wait_for(lambda: shown(collector, authority) == "second", "the second certificate")
    call(collector, authority)
    put(third, live)
    wait_for(lambda: shown(collector, authority) == "third", "the third certificate")
    with contextlib.closing(open_connection):
        open_connection.request("POST", "/v1/metrics", content(), {"content-type": "application/x-protobuf"})
        assert open_connection.getresponse().status == 200
    with pytest.raises(ssl.SSLError):
        post(collector, ssl.create_default_context())
    assert collector.post_plain() == b""
    assert collector.terminate() == 0


def test_grpc_shows_new_certificates(place: Place, tmp_path: Path) -> None:
    """A gRPC server whose certificates are replaced by those of another authority is trusted by who trusts that one."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    old, new = Authority.make(tmp_path / "old"), Authority.make(tmp_path / "new")
    live = Pair(tmp_path / "live.crt", tmp_path / "live.key")
    put(old.sign("server"), live)
    collector = place.collect(config(f"cert_file: {live.certificate}, key_file: {live.key}, reload_interval: 50ms"))
    call(collector, old)
    put(new.sign("server"), live)

    def is_new() -> bool:
        try:
            call(collector, new)
        except grpc.RpcError:
            return False
        return True

    wait_for(is_new, "the new authority's certificate")
    with pytest.raises(grpc.RpcError):
        call(collector, old)


def test_mutual_tls(place: Place, tmp_path: Path) -> None:
    """With `client_ca_file` only clients with a certificate of that authority get to send, over both protocols."""
    authority, stranger = Authority.make(tmp_path), Authority.make(tmp_path, "stranger")
    server, client, other = authority.sign("server"), authority.sign("client"), stranger.sign("other")
    files = f"cert_file: {server.certificate}, key_file: {server.key}, client_ca_file: {authority.certificate}"
    collector = place.collect(config(files, ', min_version: "1.3"'))
    assert post(collector, context(authority, client)) == 200
    call(collector, authority, client)
    for pair in (None, other):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            post(collector, context(authority, pair))
        with pytest.raises(grpc.RpcError) as refused:
            call(collector, authority, pair)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    old = context(authority, client)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        post(collector, old)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("cert_file: {a.certificate}, key_file: {b.key}", "key values mismatch"),
        ("cert_file: /nowhere.crt, key_file: {a.key}", "cannot read /nowhere.crt and"),
        ("cert_file: {a.key}, key_file: {a.key}", "cannot use"),
        ("cert_file: {a.certificate}, key_file: {a.key}, client_ca_file: {a.key}", "cannot use"),
        ("cert_file: {a.certificate}", "key_file is needed"),
        ("cert_file: {a.certificate}, key_file: {a.key}, tpm: {{}}", "unknown key 'tpm'; known: cert_file"),
        ("cert_file: {a.certificate}, key_file: {a.key}, min_version: '1.1'", "expected 1.2 or 1.3"),
        ("cert_file: {a.certificate}, key_file: {a.key}, min_version: '1.3', max_version: '1.2'", "cannot be greater"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, files: str, said: str) -> None:
    """A wrong section, or files that cannot be used, are one line that names the section."""
    authority = Authority.make(tmp_path)
    section = yaml.safe_load("{" + files.format(a=authority.sign("a"), b=authority.sign("b")) + "}")
    with pytest.raises(ConfigError, match=r"^here") as refused:
        WatchedTls(build(ServerTlsConfig, section, "here"), "here")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_wrong_files_end_the_start(place: Place, tmp_path: Path) -> None:
    """A collector whose key does not fit ends with one line, before it has made or served anything."""
    authority = Authority.make(tmp_path)
    one, other = authority.sign("one"), authority.sign("other")
    file = tmp_path / "config.yaml"
    file.write_text(config(f"cert_file: {one.certificate}, key_file: {other.key}"))
    process = place.spawn("--config", str(file), "--data", str(place.settings.data))
    assert process.stderr
    (line,) = process.stderr.read().decode().splitlines()
    assert process.wait(DEADLINE_S) == 2
    assert "receivers.otlp.protocols.grpc.tls" in line
    assert not place.settings.data.exists()
