"""Dashboards against the schema that Grafana publishes for its own front end (npm's @grafana/schema), by TypeScript."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.grafana.boards import BOARDS
from tests.grafana.prometheus.boards import BOARDS as OVER_PROMETHEUS
from tests.interop.peers import GRAFANA_SCHEMA

pytestmark = [pytest.mark.peers, pytest.mark.needs(GRAFANA_SCHEMA)]
OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler")
KIND = Path(__file__).with_name("schema.ts")


def _first(board: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(panel for panel in board["panels"] if panel["type"] == kind)  # type: ignore[no-any-return]  # JSON


MUTILATED: dict[str, Callable[[dict[str, Any]], None]] = {
    "a key that there is not": lambda board: board.update(titel="x"),
    "a kind of panel that there is not": lambda board: _first(board, "stat").update(type="nosuch"),
    "an option that there is not": lambda board: _first(board, "stat")["options"].update(colourMode="value"),
    "an option of another value": lambda board: _first(board, "stat")["options"].update(colorMode="loud"),
    "a size in words": lambda board: _first(board, "table")["gridPos"].update(h="8"),
    "a line of another style": lambda board: _first(board, "timeseries")["fieldConfig"]["defaults"]["custom"].update(
        drawStyle="dots"
    ),
    "thresholds of another mode": lambda board: _first(board, "stat")["fieldConfig"]["defaults"]["thresholds"].update(
        mode="relative"
    ),
    "an override without a matcher": lambda board: _first(board, "stat")["fieldConfig"]["overrides"][0].pop("matcher"),
    "a variable that is read anew never or": lambda board: board["templating"]["list"][0].update(refresh=7),
}


def test_dashboards_are_what_the_schema_says_and_mutilated_ones_are_not(tmp_path: Path) -> None:
    """Each key is known and of its kind, options of panels too; each of several mutilations is an error."""
    raw = GRAFANA_SCHEMA.path / "@grafana/schema/dist/esm/raw"
    (tmp_path / "schema.ts").write_text(KIND.read_text("utf-8").replace("SCHEMA", str(raw)), "utf-8")
    written: dict[str, dict[str, Any]] = BOARDS | OVER_PROMETHEUS
    for number, mutilate in enumerate(MUTILATED.values()):
        written[f"bad{number}"] = copy.deepcopy(BOARDS["stepsize-flow"])
        mutilate(written[f"bad{number}"])
    for name, board in written.items():
        text = f'import type {{ Board }} from "./schema";\nexport const board: Board = {json.dumps(board, indent=1)};\n'
        (tmp_path / f"{name}.ts").write_text(text, "utf-8")
    compiler = GRAFANA_SCHEMA.path / "typescript/lib/tsc.js"
    said = subprocess.run(
        ["node", compiler, *OPTIONS, *sorted(path.name for path in tmp_path.glob("*.ts"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    wrong = set(re.findall(r"^([\w-]+)\.ts\(", said, re.MULTILINE))
    assert "schema" not in wrong, said
    assert [said_of for said_of in said.splitlines() if said_of.startswith("stepsize-")] == []
    assert wrong == {f"bad{number}" for number in range(len(MUTILATED))}, said
