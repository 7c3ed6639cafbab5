"""The OpenTelemetry Collector and ours with TLS between them, certificates on both sides, and a token."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.collector.running import wait_for
from tests.collector.server.certificates import Authority, Pair, needs_openssl
from tests.interop.corpus import everything
from tests.interop.peers import OTELCOL
from tests.interop.processes import Addresses, hand_over, otelcol
from tests.interop.rows import assert_equal, points_in, stored, wanted
from tests.interop.sent import messages_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.running import Place, RunningCollector

pytestmark = [pytest.mark.peers, pytest.mark.needs(OTELCOL), needs_openssl]
PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http"])
TOKEN = "a token of the test's own"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path)


def server(authority: Authority, pair: Pair) -> dict[str, str]:
    """A receiver's `tls`: it shows a certificate and wants one."""
    return {
        "cert_file": str(pair.certificate),
        "key_file": str(pair.key),
        "client_ca_file": str(authority.certificate),
    }


def client(authority: Authority, pair: Pair) -> dict[str, str]:
    """An exporter's `tls`."""
    return {"ca_file": str(authority.certificate), "cert_file": str(pair.certificate), "key_file": str(pair.key)}


def exporter(protocol: str, address: str, tls: dict[str, str]) -> dict[str, Any]:
    """The section of an exporter, the same for both collectors."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    if protocol == "grpc":
        return {"otlp": {"endpoint": address, "tls": tls, "headers": headers}}
    return {"otlphttp": {"endpoint": f"https://{address}", "tls": tls, "headers": headers}}


def secured(place: Place, tls: dict[str, str]) -> RunningCollector:
    """A collector of ours that takes nothing without a certificate and a token."""
    protocol = {"endpoint": "127.0.0.1:0", "tls": tls, "auth": {"authenticator": "bearertokenauth"}}
    config = {
        "extensions": {"bearertokenauth": {"token": TOKEN}},
        "receivers": {"otlp": {"protocols": {"grpc": protocol, "http": protocol}}},
        "exporters": {"parquet": {}},
        "service": {
            "extensions": ["bearertokenauth"],
            "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["parquet"]}},
        },
    }
    return place.collect(json.dumps(config))  # which is YAML


@PROTOCOLS
def test_the_collector_sends_to_ours(place: Place, authority: Authority, protocol: str) -> None:
    """Go's TLS and ours agree, the certificate and the token are taken, and every field arrives."""
    message = everything(time.time_ns())
    ours = secured(place, server(authority, authority.sign("server")))
    address = ours.grpc if protocol == "grpc" else ours.http
    with otelcol(place, exporter(protocol, address, client(authority, authority.sign("client")))) as relay:
        hand_over(relay.http, message)
        wait_for(lambda: place.rows("SELECT 1 FROM exact_points LIMIT 1"), "the request arrives")
    ours.flush()
    assert_equal(stored(place.settings.data), wanted([message]))


@PROTOCOLS
def test_ours_sends_to_the_collector(place: Place, authority: Authority, protocol: str) -> None:
    """The same the other way round."""
    message, file, relay = everything(time.time_ns()), place.home / "theirs.json", Addresses()
    theirs = {"file": {"path": str(file), "flush_interval": "50ms"}}
    address = relay.grpc if protocol == "grpc" else relay.http
    to_them = exporter(protocol, address, client(authority, authority.sign("client")))
    with otelcol(place, theirs, relay, tls=server(authority, authority.sign("server"))):
        config = {
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": "127.0.0.1:0"}}}},
            "exporters": to_them,
            "service": {"pipelines": {"metrics": {"receivers": ["otlp"], "exporters": list(to_them)}}},
        }
        ours = place.collect(json.dumps(config))
        assert ours.post(message.SerializeToString())[0] == 200
        wait_for(lambda: points_in(messages_in(file)) >= points_in([message]), "the points arrive")
    assert_equal(wanted(messages_in(file)), wanted([message]))
