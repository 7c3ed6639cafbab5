"""The rules, by `promtool`, over series as they may come: what they record, when they alert and when not."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.grafana.prometheus.boards import SHIPPED
from tests.interop.peers import PROMETHEUS

HERE = Path(__file__).parent
PROMTOOL = str(PROMETHEUS.path.parent / "promtool")
pytestmark = [pytest.mark.peers, pytest.mark.needs(PROMETHEUS)]


def run(*command: str | Path, directory: Path) -> None:
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_rules_tell_what_they_are_to_tell(tmp_path: Path) -> None:
    """They are well formed, each alert fires and is silent when it should, and each that records is right."""
    shutil.copy(SHIPPED / "rules.yaml", tmp_path)
    tried: list[dict[str, Any]] = []
    names = ("alerts.yaml", "records.yaml", "minutes.yaml")
    for name in names:
        shutil.copy(HERE / name, tmp_path)
        tried += yaml.safe_load((HERE / name).read_text("utf-8"))["tests"]
    run(PROMTOOL, "check", "rules", "rules.yaml", directory=tmp_path)
    run(PROMTOOL, "test", "rules", *names, directory=tmp_path)
    groups = yaml.safe_load((SHIPPED / "rules.yaml").read_text("utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    alerts = {one["alertname"] for test in tried for one in test.get("alert_rule_test", []) if one["exp_alerts"]}
    assert alerts == {rule["alert"] for rule in rules if "alert" in rule}
    records = {one["expr"] for test in tried for one in test.get("promql_expr_test", []) if one["exp_samples"]}
    assert {rule["record"] for rule in rules if "record" in rule} <= records


def test_the_configuration_for_prometheus_is_one(tmp_path: Path) -> None:
    """Its file is what `promtool` takes, with the rules beside it."""
    run(PROMTOOL, "check", "config", SHIPPED / "prometheus.yaml", directory=tmp_path)
