"""OpenTelemetry's JavaScript SDK and its three exporters, run by Node.js."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.arrivals import EVERY_SUM, line, relenting
from tests.interop.peers import HERE, JAVASCRIPT

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector
    from tests.interop.arrivals import Line

pytestmark = [pytest.mark.peers, pytest.mark.needs(JAVASCRIPT)]


def send(peer: Line, **options: Any) -> None:
    """Have Node.js send."""
    path = "" if peer.protocol == "grpc" else "/v1/metrics"
    options |= {
        "protocol": peer.protocol,
        "compression": peer.compression,
        "endpoint": f"http://{peer.tap.address}{path}",
    }
    node = subprocess.run(
        ["node", HERE / "javascript" / "send.js", json.dumps(options)],
        env=peer.place.environment(NODE_PATH=str(JAVASCRIPT.path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (node.returncode, node.stderr) == (0, "")


@pytest.mark.parametrize("compression", ["identity", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_javascript_sdk(place: Place, collector: RunningCollector, protocol: str, compression: str) -> None:
    """Every instrument, both temporalities, nested attributes: equal in every field."""
    with line(place, collector, protocol, compression) as peer:
        send(peer)
        sent = peer.assert_arrived({"gauge", *EVERY_SUM})
    assert len(sent) == 4
    assert all(one.chunked for one in sent) == (protocol != "grpc")


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])  # its gRPC exporter never sends again
def test_what_was_refused_is_sent_again(place: Place, protocol: str) -> None:
    """A collector without memory refuses so that the SDK understands; once it has some, it gets what it refused."""
    with relenting(place, protocol) as peer:
        send(peer, requests=1)
        peer.assert_arrived({"gauge", "sum delta", "sum cumulative", "histogram delta", "exponential_histogram delta"})
