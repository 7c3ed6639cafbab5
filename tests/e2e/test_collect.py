"""Flows that send to `stepsize collect` over the network, and an embedded collector that makes way for it."""

from __future__ import annotations

import pytest

from tests.e2e.collecting import collector, free_ports
from tests.e2e.conftest import EXAMPLES, Workplace


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_a_flow_that_sends_to_a_collector_is_reported_the_same(workplace: Workplace, protocol: str) -> None:
    """Over each protocol, every attempt arrives with its outcome, and the report follows at once."""
    with collector(workplace) as endpoints:
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoints[protocol], "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        finished = workplace.flow(EXAMPLES / "retry_flow.py", **endpoint)
        assert finished.returncode == 0, finished.stdout
        reported = workplace.stepsize("report", "RetryFlow", "--format", "csv", **endpoint)
        assert reported.returncode == 0, reported.stderr
        assert workplace.query("SELECT step, attempt, outcome FROM tasks ORDER BY started_at") == [
            ("start", 0, "ok"),
            ("fetch", 0, "failed"),
            ("fetch", 1, "ok"),
            ("end", 0, "ok"),
        ]


def test_a_collector_takes_over_from_an_embedded_one(workplace: Workplace) -> None:
    """Its lake, its write-ahead log and its agents' points go on with the one that was started by hand."""
    assert workplace.flow(EXAMPLES / "retry_flow.py").returncode == 0
    with collector(workplace):
        assert workplace.flow(EXAMPLES / "retry_flow.py").returncode == 0
        workplace.report("RetryFlow")
        assert workplace.query("SELECT count(*), count(DISTINCT run) FROM tasks") == [(8, 2)]


def test_a_second_collector_on_the_same_lake_is_refused(workplace: Workplace) -> None:
    """One line that names the first, exit code 1."""
    with collector(workplace):
        second = workplace.stepsize("collect", "--config", str(workplace.directory / "otel-config.yaml"))
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1, second.stderr


def test_what_an_agent_could_not_send_arrives_when_the_collector_is_back(workplace: Workplace) -> None:
    """An endpoint that is down costs the flow nothing, and nothing is lost while the agent lives."""
    ports = free_ports()
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports[1]}"}
    assert workplace.flow(EXAMPLES / "retry_flow.py", **endpoint).returncode == 0
    with collector(workplace, ports):
        reported = workplace.stepsize("report", "RetryFlow", "--format", "csv", **endpoint)
        assert reported.returncode == 0, reported.stderr
        assert workplace.query("SELECT count(*) FROM tasks WHERE outcome IS NOT NULL") == [(4,)]
