"""OpenTelemetry's JavaScript SDK and its three exporters, run by Node.js."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.interop.arrivals import EVERY_SUM, line
from tests.interop.peers import HERE, JAVASCRIPT

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

pytestmark = [pytest.mark.peers, pytest.mark.needs(JAVASCRIPT)]


@pytest.mark.parametrize("compression", ["identity", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_javascript_sdk(place: Place, collector: RunningCollector, protocol: str, compression: str) -> None:
    """Every instrument, both temporalities, nested attributes: equal in every field."""
    with line(place, collector, protocol, compression) as peer:
        path = "" if protocol == "grpc" else "/v1/metrics"
        options = {
            "protocol": protocol,
            "compression": compression,
            "endpoint": f"http://{peer.tap.address}{path}",
        }
        node = subprocess.run(
            ["node", HERE / "javascript" / "send.js", json.dumps(options)],
            env=place.environment(NODE_PATH=str(JAVASCRIPT.path)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (node.returncode, node.stderr) == (0, "")
        sent = peer.assert_arrived({"gauge", *EVERY_SUM})
    assert len(sent) == 4
