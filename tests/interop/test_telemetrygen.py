"""telemetrygen, with which people try out a collector."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.collector.running import DEADLINE_S
from tests.interop.arrivals import line
from tests.interop.peers import TELEMETRYGEN
from tests.interop.rows import VIEWS, wanted

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

pytestmark = [pytest.mark.peers, pytest.mark.needs(TELEMETRYGEN)]
COUNT = 300
TYPES = {
    "Gauge": ("gauge", None),
    "Sum": ("sum", "delta"),
    "Histogram": ("histogram", "cumulative"),
    "ExponentialHistogram": ("exponential_histogram", "delta"),
}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_telemetrygen(place: Place, collector: RunningCollector, protocol: str) -> None:
    """As many metrics of each type as it says it has sent, equal in every field, with their exemplars."""
    with line(place, collector, protocol, "identity") as peer:
        for metric_type, (_, temporality) in TYPES.items():
            command = [TELEMETRYGEN.path, "metrics", "--otlp-insecure", "--otlp-endpoint", peer.tap.address]
            command += ["--metrics", str(COUNT), "--rate", "0", "--metric-type", metric_type]
            command += ["--otlp-metric-name", metric_type, "--otlp-attributes", 'flow="TrainFlow"']
            command += ["--telemetry-attributes", 'text="ü"', "--telemetry-attributes", "list=[1,2]"]
            command += ["--trace-id", "ae87dadd90e9935a4bc9660628efd569", "--span-id", "5828fa4960140870"]
            command += ["--otlp-http"] if protocol != "grpc" else []
            command += ["--aggregation-temporality", temporality] if temporality else []
            ended = subprocess.run(
                command, env=place.environment(), capture_output=True, text=True, timeout=DEADLINE_S, check=False
            )
            assert ended.returncode == 0, ended.stderr
        kinds = {kind if temporality is None else f"{kind} {temporality}" for kind, temporality in TYPES.values()}
        sent = peer.assert_arrived(kinds)
    rows = wanted(one.message for one in sent)
    for metric_type, (kind, _) in TYPES.items():
        assert sum(row["metric"] == metric_type for row in rows[VIEWS[kind]]) == COUNT
    assert all(row["exemplars"] for row in rows["exact_points"])
