"""The committed dashboards over Prometheus, as Grafana reads them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.grafana.prometheus.expanding import Window

SHIPPED = Path(__file__).parents[3] / "grafana/prometheus"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((SHIPPED / "dashboards").glob("*.json"))
}
_BY_COLLECTOR_ALONE = re.compile(r"stepsize_task_(request|duration)_|:step_(ended_)?(request|duration)_")


@dataclass(frozen=True)
class Target:
    """An expression of a panel."""

    board: str
    panel: dict[str, Any]
    found: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.board}/{self.panel['title']}/{self.found.get('legendFormat') or self.found['refId']}"

    @property
    def is_instant(self) -> bool:
        return bool(self.found.get("instant"))

    @property
    def needs_transform(self) -> bool:
        """Whether it is over what grafana/prometheus/collector.yaml alone makes: requests, durations."""
        return bool(_BY_COLLECTOR_ALONE.search(self.found["expr"]))

    def expand(self, window: Window, variables: dict[str, object]) -> str:
        return window.expand(self.found["expr"], variables, self.found.get("interval"))


def panels() -> list[tuple[str, dict[str, Any]]]:
    """Every panel with queries, and its board's identifier."""
    return [(uid, one) for uid, board in BOARDS.items() for one in board["panels"] if one["type"] != "row"]


def targets() -> list[Target]:
    """Every expression of every panel."""
    return [Target(uid, panel, one) for uid, panel in panels() for one in panel["targets"]]
