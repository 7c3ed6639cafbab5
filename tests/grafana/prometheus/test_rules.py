"""What stepsize's agents send in a real Prometheus, by way of a real Collector; the rules over it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.collector.running import DEADLINE_S, wait_for
from tests.interop.peers import OTELCOL, PROMETHEUS
from tests.interop.processes import free_address

HERE = Path(__file__).parent
SHIPPED = Path(__file__).parents[3] / "grafana/prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((SHIPPED / "rules.yaml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
PROMTOOL = str(PROMETHEUS.path.parent / "promtool")
LABELS = {
    "stepsize_flow_name": "Train",
    "stepsize_step_name": "fit",
    "stepsize_run_id": "7",
    "stepsize_task_id": "3",
    "stepsize_task_attempt": "0",
}
PROGRAM = """
import time
held, end = bytearray(60_000_000), time.monotonic() + 4
while time.monotonic() < end:
    sum(range(1000))
"""
pytestmark = [pytest.mark.peers, pytest.mark.needs(PROMETHEUS, OTELCOL)]


def run(*command: str | Path, directory: Path) -> None:
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_rules_tell_what_they_are_to_tell(tmp_path: Path) -> None:
    """By `promtool`: they are well formed, and each alert fires and is silent when it should."""
    shutil.copy(SHIPPED / "rules.yaml", tmp_path)
    shutil.copy(HERE / "alerts.yaml", tmp_path)
    run(PROMTOOL, "check", "rules", "rules.yaml", directory=tmp_path)
    run(PROMTOOL, "test", "rules", "alerts.yaml", directory=tmp_path)
    tried = {one["alertname"] for test in alerts_tried() for one in test.get("alert_rule_test", [])}
    assert tried == {rule["alert"] for rule in RULES if "alert" in rule}


def alerts_tried() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((HERE / "alerts.yaml").read_text("utf-8"))["tests"]
    return found


@contextlib.contextmanager
def serving(directory: Path, *command: str | Path, **variables: str) -> Iterator[None]:
    """A program, until the block ends."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **variables}
    with (
        (directory / "log").open("ab") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that holds what `stepsize run` sent of a command through the Collector."""
    directory = tmp_path_factory.mktemp("prometheus")
    (directory / "prometheus.yml").write_text("scrape_configs: []\n")
    address, otlp = free_address(), free_address()
    options = [f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={address}"]
    serve = [PROMETHEUS.path, f"--config.file={directory / 'prometheus.yml'}", *options]
    relay = {"STEPSIZE_OTLP": otlp, "STEPSIZE_PROMETHEUS": f"http://{address}"}
    with (
        serving(directory, *serve, "--web.enable-remote-write-receiver"),
        serving(directory, OTELCOL.path, "--config", SHIPPED / "collector.yaml", **relay),
    ):
        wait_for(lambda: answers(f"http://{address}/-/ready") and answers(f"http://{otlp}/"), "both serve")
        identity = ["--flow", "Train", "--run", "7", "--step", "fit", "--task", "3", "--quiet"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "STEPSIZE_DATA": str(directory / "lake"),
            "STEPSIZE_RUNTIME": str(directory / "run"),
            "STEPSIZE_AGENT_IDLE": "1",
            "STEPSIZE_EXPORT_INTERVAL": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        command = [sys.executable, "-m", "stepsize", "run", *identity, "--", sys.executable, "-c", PROGRAM]
        subprocess.run(command, env=environment, check=True, timeout=60)
        wait_for(lambda: asked(address, "stepsize_task_end_ratio"), "the end of the attempt is there")
        yield address


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        return error.code == 404
    except OSError:
        return False


def asked(address: str, query: str) -> list[dict[str, Any]]:
    """The series that a query gives now."""
    url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


def test_every_rule_has_an_answer(prometheus: str) -> None:
    """None that records is empty; those that alert are asked without error, and are silent of a task that was well."""
    for rule in RULES:
        found = asked(prometheus, rule["expr"])
        assert bool(found) == ("record" in rule), (rule, found)
        if "record" in rule:
            assert len(found) == 1
            told = {name: value for name, value in LABELS.items() if name in found[0]["metric"]}
            assert found[0]["metric"].items() >= {"stepsize_flow_name": "Train", "stepsize_step_name": "fit"}.items()
            assert len(told) == 2, "a series of a step names no run"


def test_series_are_an_attempts_and_named_so(prometheus: str) -> None:
    """With the labels that the configuration lets through and none else; values and true times are those sampled."""
    (peak,) = asked(prometheus, "stepsize_task_memory_peak_bytes")
    labels = peak["metric"]
    assert labels.items() >= LABELS.items()
    allowed = {*LABELS, "__name__", "host_name", "job", "instance", "stepsize_memory_source"}
    assert set(labels) <= allowed
    assert 60e6 < float(peak["value"][1]) < 1e9
    (cpu,) = asked(prometheus, "stepsize_task_cpu_usage[1m]")
    times = [at_s for at_s, _ in cpu["values"]]
    assert len(times) >= 4, "one a second"
    assert times == sorted(set(times))
    (end,) = asked(prometheus, "stepsize_task_end_ratio")
    assert end["metric"]["stepsize_outcome"] == "ok"
