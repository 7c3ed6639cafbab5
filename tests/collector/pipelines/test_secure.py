"""Exporters that send to a collector which asks for certificates and tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.language import build
from stepsize.collector.config.service import parse
from stepsize.errors import ConfigError
from tests.collector.pipelines.backend import Backend
from tests.collector.pipelines.logs import Exporting, exporter, request, wait_until
from tests.collector.server.certificates import Authority, needs_openssl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.running import Place

pytestmark = needs_openssl
RETRY = {"initial_interval": "20ms", "max_interval": "100ms"}


def extension(kind: str, **settings: Any) -> Any:
    return build(COMPONENTS["extensions"][kind], settings, kind)


@pytest.mark.parametrize("kind", ["otlp", "otlphttp"])
def test_certificates_and_tokens(place: Place, tmp_path: Path, kind: str) -> None:
    """With the right certificates and token points arrive; to another authority's server nothing is sent."""
    directory = tmp_path / "certificates"
    directory.mkdir()
    authority = Authority.make(directory)
    server, client = authority.sign("server"), authority.sign("client")
    tls = f"tls: {{cert_file: {server.certificate}, key_file: {server.key}, client_ca_file: {authority.certificate}}}"
    listens = f'{{endpoint: "127.0.0.1:0", {tls}, auth: {{authenticator: bearertokenauth}}}}'
    collector = place.collect(
        f"""
receivers: {{otlp: {{protocols: {{grpc: {listens}, http: {listens}}}}}}}
exporters: {{parquet: {{}}}}
extensions: {{bearertokenauth: {{token: s3cret}}}}
service:
  extensions: [bearertokenauth]
  pipelines: {{metrics: {{receivers: [otlp], exporters: [parquet]}}}}
"""
    )
    ours = {"cert_file": str(client.certificate), "key_file": str(client.key)}
    right = {"ca_file": str(authority.certificate), **ours}
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    endpoint = collector.grpc if kind == "otlp" else f"https://{collector.http}"

    async def scenario() -> None:
        config = exporter(kind, endpoint=endpoint, tls=right, retry_on_failure=RETRY)
        signed = {"one": extension("bearertokenauth", filename=str(token))}
        async with Exporting(tmp_path / "right", config, extensions=signed) as exporting:
            await exporting.wal.append(request(1.0))
            await wait_until(lambda: exporting.process.counts["sent", "one"] == 1, "a point that was taken")
        async with Exporting(tmp_path / "unsigned", config) as exporting:
            await exporting.wal.append(request(2.0))
            await wait_until(lambda: exporting.process.counts["failed", "one"] == 1, "a point that was not")
        assert "1 points were not taken and are dropped" in exporting.lines[0]
        stranger = Authority.make(directory, "stranger")
        wrong = exporter(
            kind,
            endpoint=endpoint,
            tls={"ca_file": str(stranger.certificate), **ours},
            retry_on_failure=RETRY,
            timeout="2s",
        )
        async with Exporting(tmp_path / "wrong", wrong, extensions=signed) as exporting:
            await exporting.wal.append(request(3.0))
            await wait_until(lambda: exporting.lines, "a line")
            exporting.drain = False
        assert "trying again" in exporting.lines[0]

    asyncio.run(scenario())
    collector.flush()
    assert place.rows("SELECT value FROM points") == [(1.0,)]


def test_basic(tmp_path: Path) -> None:
    """A user and password are sent as HTTP has them."""

    async def scenario() -> None:
        backend = Backend()
        with backend.http() as server:
            config = exporter("otlphttp", endpoint=f"http://127.0.0.1:{server.server_port}")
            signed = {"one": extension("basicauth", client_auth={"username": "ada", "password": "s3cret"})}
            async with Exporting(tmp_path, config, extensions=signed) as exporting:
                await exporting.wal.append(request(1.0))
                await wait_until(lambda: backend.headers, "a request")
        assert backend.headers[0]["authorization"] == "Basic YWRhOnMzY3JldA=="

    asyncio.run(scenario())


@pytest.mark.parametrize("extensions", ["[]", "[basicauth]"])
def test_who_cannot_sign(extensions: str) -> None:
    """An exporter is signed by an extension that is in use and signs requests, or refused."""
    text = f"""
receivers: {{otlp: {{protocols: {{http: }}}}}}
exporters: {{otlphttp: {{endpoint: http://h, auth: {{authenticator: basicauth}}}}}}
extensions: {{basicauth: {{htpasswd: {{inline: "a:{{SHA}}fEqNCco3Yq9h5ZUglD3CZJT4lBs="}}}}}}
service: {{extensions: {extensions}, pipelines: {{metrics: {{receivers: [otlp], exporters: [otlphttp]}}}}}}
"""
    with pytest.raises(ConfigError, match=r"exporters.otlphttp.auth.authenticator: 'basicauth' is no extension in"):
        parse(text, "c", {})
