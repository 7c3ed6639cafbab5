"""Tasks on hosts whose agents send to a platform's own OpenTelemetry Collector, which hands on to ours."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.collector.running import DEADLINE_S, wait_for
from tests.interop.arrivals import line
from tests.interop.peers import OTELCOL
from tests.interop.processes import otelcol

if TYPE_CHECKING:
    from tests.collector.running import Place, RunningCollector

pytestmark = [pytest.mark.peers, pytest.mark.needs(OTELCOL)]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_a_task_through_the_opentelemetry_collector(place: Place, collector: RunningCollector, protocol: str) -> None:
    """`stepsize run` speaks each protocol as the Collector understands it, and the attempt's row is complete."""
    with line(place, collector, "grpc", "gzip") as peer:
        exporter = {"endpoint": peer.tap.address, "tls": {"insecure": True}}
        with otelcol(place, {"otlp": exporter}) as relay:
            environment = place.environment(
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{relay.grpc if protocol == 'grpc' else relay.http}",
                OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
                STEPSIZE_DATA=str(place.home / "nobody's"),
            )
            work = [sys.executable, "-c", "sum(range(3_000_000))"]
            command = [sys.executable, "-m", "stepsize", "run", "--flow", "F", "--run", "1", "--step", "s", "--", *work]
            task = subprocess.run(
                command,
                env=environment,
                cwd=place.home,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
            assert task.returncode == 0, task.stderr
            closed = (
                "SELECT flow, run, step, outcome, exit_code FROM tasks WHERE outcome IS NOT NULL AND cpu_seconds > 0"
            )
            assert wait_for(lambda: place.rows(closed), "the task's row") == [("F", "1", "s", "ok", 0)]
        peer.assert_arrived({"gauge", "sum cumulative"})
