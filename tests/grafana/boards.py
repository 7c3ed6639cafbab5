"""The committed dashboards and rules, as Grafana reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HOME = Path(__file__).parents[2] / "grafana"
BOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((HOME / "dashboards").glob("*.json"))
}
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((HOME / "provisioning/alerting/stepsize.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]


@dataclass(frozen=True)
class Panel:
    """A panel of a dashboard and its query."""

    board: str
    found: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.board}/{self.found['title']}"

    @property
    def target(self) -> dict[str, Any]:
        (target,) = self.found["targets"]
        return target  # type: ignore[no-any-return]  # JSON

    @property
    def units(self) -> dict[str, str]:
        """Unit of each field that has one of its own."""
        return {name: value for name, id_, value in self.overrides() if id_ == "unit"}

    def overrides(self) -> Iterator[tuple[str, str, Any]]:
        """Field, property and value."""
        for one in self.found["fieldConfig"]["overrides"]:
            if one["matcher"]["id"] == "byName":
                for change in one["properties"]:
                    yield one["matcher"]["options"], change["id"], change["value"]


def variables(board: dict[str, Any], kind: str = "query") -> list[dict[str, Any]]:
    """Its variables of a kind, in their order."""
    return [one for one in board["templating"].get("list", []) if one["type"] == kind]


def panels() -> list[Panel]:
    """Every panel with a query, those in rows too."""
    found = []
    for uid, board in BOARDS.items():
        for one in board["panels"]:
            inner = one.get("panels") or [] if one["type"] == "row" else [one]
            found += [Panel(uid, panel) for panel in inner]
    return found
