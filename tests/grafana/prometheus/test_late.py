"""Points that come late, and what becomes of them: why `out_of_order_time_window` has to be set."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import pytest

from tests.collector.otlp import SECOND, RequestBuilder, identity
from tests.collector.running import DEADLINE_S, place_in, wait_for
from tests.grafana.prometheus.asking import Prometheus
from tests.grafana.prometheus.chain import collector, post, prometheus
from tests.interop.peers import OTELCOL, PROMETHEUS, PROMETHEUS_3, Peer
from tests.interop.processes import free_address

pytestmark = [pytest.mark.peers, pytest.mark.needs(PROMETHEUS, OTELCOL)]


def requests(now: int) -> tuple[bytes, bytes]:
    """Two points of an attempt; then one of between, beside the first of another attempt."""
    made = [RequestBuilder(identity(task)) for task in ("1", "1", "2")]
    for one, points in zip(made, ([(now - 10, 1), (now - 5, 2)], [(now - 7, 3)], [(now - 6, 4)]), strict=True):
        one.gauge("stepsize.task.memory.usage", [(at * SECOND, value) for at, value in points], "By")
    late = made[1].message
    late.MergeFrom(made[2].message)
    return made[0].content(), late.SerializeToString()


def held(where: Prometheus) -> dict[str, list[float]]:
    """The values of each task, in the order of time."""
    found = where.asked("stepsize_task_memory_usage_bytes[1m]")
    return {one["metric"]["stepsize_task_id"]: [float(value) for _, value in one["values"]] for one in found}


@pytest.mark.parametrize(
    "peer", [PROMETHEUS, pytest.param(PROMETHEUS_3, marks=pytest.mark.needs(PROMETHEUS_3))], ids=["2.42", "3.14"]
)
@pytest.mark.parametrize("window", ["0s", "10m"])
def test_a_late_point_by_remote_write(tmp_path: Path, window: str, peer: Peer) -> None:
    """It takes its place; without a window the Collector gives up all of its request, others' points too."""
    first, late = requests(int(time.time()))
    (tmp_path / "collector").mkdir()
    otlp, metrics = free_address(), free_address()
    with (
        prometheus(tmp_path / "prometheus", "written", metrics, window=window, rules=False, peer=peer) as where,
        collector(tmp_path / "collector", otlp, metrics, where, {}),
    ):
        post(otlp, first)
        wait_for(lambda: held(where) == {"1": [1, 2]}, "the first points are there")
        post(otlp, late)
        if window == "0s":
            failed = "otelcol_exporter_send_failed_metric_points == 2"
            wait_for(lambda: where.asked(failed), "the Collector says that it gave up both")
            assert held(where) == {"1": [1, 2]}
        else:
            wait_for(lambda: held(where) == {"1": [1, 3, 2], "2": [4]}, "all points are there")


@pytest.mark.needs(PROMETHEUS_3)
@pytest.mark.parametrize("window", ["0s", "10m"])
def test_a_late_point_by_otlp(tmp_path: Path, window: str) -> None:
    """As by remote write; it is the agent that is refused, and counts. What is sent again changes nothing."""
    first, late = requests(int(time.time()))
    with prometheus(tmp_path / "prometheus", "otlp", window=window, rules=False) as where:
        post(f"{where.address}/api/v1/otlp", first)
        if window == "0s":
            with pytest.raises(urllib.error.HTTPError, match="400"):
                post(f"{where.address}/api/v1/otlp", late)
            assert held(where) == {"1": [1, 2]}
        else:
            for body in (late, first, late):  # as an agent sends again what nobody answered for
                post(f"{where.address}/api/v1/otlp", body)
                assert held(where) == {"1": [1, 3, 2], "2": [4]}


def test_points_wait_while_prometheus_is_away(tmp_path: Path) -> None:
    """At the Collector, as many as its queue takes; others are refused for now, which agents keep. None is lost."""
    first, late = requests(int(time.time()))
    (tmp_path / "collector").mkdir()
    otlp, metrics = free_address(), free_address()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)
        away = Prometheus(f"127.0.0.1:{listener.getsockname()[1]}")
        little = {"exporters": {"prometheus_remote_write": {"remote_write_queue": {"queue_size": 1}}}}
        with collector(tmp_path / "collector", otlp, metrics, away, little):
            began_s = time.monotonic()
            post(otlp, first)
            listener.accept()[0].close()  # it was tried
            listener.close()
            with pytest.raises(urllib.error.HTTPError, match="503"):
                post(otlp, late)
            wait_for(lambda: time.monotonic() > began_s + 6, "longer than the exporter tries by default")
            with prometheus(tmp_path / "prometheus", "written", rules=False, address=away.address) as where:
                wait_for(lambda: held(where) == {"1": [1, 2]}, "what waited is there")
                post(otlp, late)
                wait_for(lambda: held(where) == {"1": [1, 3, 2], "2": [4]}, "all points are there")


def test_two_agents_of_one_host(tmp_path: Path) -> None:
    """Of two users, or two destinations: each tells of the host in series of its own, so that neither is late."""
    otlp, metrics = free_address(), free_address()
    (tmp_path / "collector").mkdir()
    with (
        place_in(tmp_path) as place,
        prometheus(tmp_path / "prometheus", "written", metrics, window="0s", rules=False) as where,
        collector(tmp_path / "collector", otlp, metrics, where, {}),
    ):
        told = {"STEPSIZE_AGENT_IDLE": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp}"}
        slept = [sys.executable, "-c", "import time; time.sleep(7)"]  # more than one export of several samples
        started = []
        for flow in ("One", "Other"):
            runtime = place.runtime / flow
            environment = place.environment(**told, STEPSIZE_RUNTIME=str(runtime), STEPSIZE_DATA=str(runtime / "lake"))
            names = ["--flow", flow, "--run", "1", "--step", "s", "--task", "1", "--quiet"]
            command = [sys.executable, "-m", "stepsize", "run", *names, "--", *slept]
            started.append(subprocess.Popen(command, env=environment))
        assert [one.wait(DEADLINE_S) for one in started] == [0, 0]
        wait_for(lambda: len(where.asked("stepsize_task_end_ratio")) == 2, "both have ended")
        hosts = where.asked("system_cpu_logical_count[1m]")
        assert len({one["metric"]["host_name"] for one in hosts}) == 1
        assert [len(one["values"]) >= 6 for one in hosts] == [True, True]
        assert not where.asked("otelcol_exporter_send_failed_metric_points > 0")
