"""Every query of the dashboards and alert rules, as Grafana sends it, over a lake with data."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from tests.grafana.boards import BOARDS, RULES, Panel, panels, variables
from tests.grafana.lake import FLOWS
from tests.grafana.macros import Raw, Window
from tests.postgres.places import Served

pytestmark = pytest.mark.xdist_group("grafana")  # one lake for all
NUMBERS = frozenset({20, 21, 23, 700, 701, 1700})
TIMES = frozenset({1114, 1184})
TEXTS = frozenset({25, 1043, 19})
LEAST_BYTES = 1e7
"""Anything of the lake's memory that is less was counted in MB."""
HOSTILE = "O'Neil's flow"


def ask(served: Served, query: str) -> tuple[list[tuple[str, int]], list[tuple[Any, ...]]]:
    """Columns with their types' numbers, and rows; by the simple protocol, as Grafana's driver asks."""
    with served.connect() as connection:
        cursor = psycopg.ClientCursor(connection)
        rows = cursor.execute(query).fetchall()  # type: ignore[call-overload]  # no literal
        return [(one.name, one.type_code) for one in cursor.description or ()], rows


def window(board: dict[str, Any]) -> Window:
    """The board's own range, up to now."""
    now = datetime.now(timezone.utc)
    amount = board["time"]["from"].removeprefix("now-")
    span = timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[amount[-1]]: int(amount[:-1])})
    return Window(now - span, now, max(60, int(span.total_seconds() / 100)))


def chosen(board: dict[str, Any], flow: str = FLOWS[0]) -> dict[str, object]:
    """What its variables stand for: all where they can, what is written in them, else the flow."""
    values: dict[str, object] = {}
    for one in variables(board):
        values[one["name"]] = (
            Raw(one["allValue"]) if one.get("includeAll") else [{"flow": flow, "step": "fit"}[one["name"]]]
        )
    return values | {one["name"]: [one["query"]] for one in variables(board, "textbox")}


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel.name)
def test_a_panel_shows_something_and_its_columns_are_what_it_draws(endpoint: Served, panel: Panel) -> None:
    """No panel is empty; series have a time and numbers; fields with a unit are there, of its kind and size."""
    board = BOARDS[panel.board]
    columns, rows = ask(endpoint, window(board).expand(panel.target["rawSql"], chosen(board)))
    assert rows, "an empty panel"
    shown = {name: [row[place] for row in rows] for place, (name, _) in enumerate(columns)}
    kinds = dict(columns)
    assert len(shown) == len(columns), "two fields of one name"
    drawn = [name for name in shown if name != "time"]
    for name in drawn:
        assert any(value is not None for value in shown[name]) or name in MAY_BE_EMPTY, f"nothing in {name}"
    if panel.target["format"] == "time_series":
        assert columns[0][0] == "time"
        assert kinds["time"] in TIMES | NUMBERS
        assert shown["time"] == sorted(shown["time"])
        assert all(kinds[name] in NUMBERS or (name == "metric" and kinds[name] in TEXTS) for name in drawn), kinds
        named = set(drawn) if "metric" not in shown else set(shown["metric"])
        assert named <= {name for name, _, _ in panel.overrides()} or "metric" in shown, "a series without a colour"
        units = dict.fromkeys(named, panel.found["fieldConfig"]["defaults"].get("unit"))
        assert all(units.values())
    else:
        assert {name for name, _, _ in panel.overrides()} <= set(shown), "an override of no field"
        units = panel.units
    for name, unit in units.items():
        if name in shown:
            values = [float(value) for value in shown[name] if value is not None]
            assert kinds[name] in NUMBERS, f"{name} is no number"
            if unit in {"bytes", "decbytes"}:
                assert all(value > LEAST_BYTES for value in values) or name in MAY_BE_SMALL, f"{name} is not in bytes"
            if unit == "percentunit":
                assert all(0 <= value <= 1.5 for value in values), f"{name} is no share"


MAY_BE_EMPTY = frozenset({"Project", "GPUs recommended", "Exit code", "Page", "limit"})
"""What the lake has nothing of."""
MAY_BE_SMALL = frozenset({"In the log"})
"""What a lake that is made in a second has few bytes of."""


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel.name)
def test_a_panel_answers_for_one_flow_with_a_quote_in_its_name(endpoint: Served, panel: Panel) -> None:
    """What is chosen is quoted, and rows of other flows are left out."""
    board = BOARDS[panel.board]
    values = chosen(board, HOSTILE) | {name: [HOSTILE] for name in chosen(board) if name == "flow"}
    columns, rows = ask(endpoint, window(board).expand(panel.target["rawSql"], values))
    assert rows
    of_flow = [place for place, (name, _) in enumerate(columns) if name == "Flow"]
    assert {row[place] for place in of_flow for row in rows} <= {HOSTILE}


@pytest.mark.parametrize("uid", BOARDS)
def test_variables_offer_values(endpoint: Served, uid: str) -> None:
    """Each variable's query answers one column of texts with values in it, under all that is chosen before it."""
    board = BOARDS[uid]
    for one in variables(board):
        columns, rows = ask(endpoint, window(board).expand(one["query"], chosen(board)))
        assert len(columns) == 1
        assert columns[0][1] in TEXTS
        assert rows
        if one["name"] == "flow":
            assert {name for (name,) in rows} == set(FLOWS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["uid"])
def test_a_rule_has_one_number_a_series(endpoint: Served, rule: dict[str, Any]) -> None:
    """Grafana takes a table with texts and one number as series; the summary names labels that there are."""
    asked = next(one for one in rule["data"] if one["refId"] == "A")
    query = asked["model"]["rawSql"].replace("$$", "$")
    assert "$__" not in query
    columns, rows = ask(endpoint, query)
    assert rows
    numbers = [name for name, kind in columns if kind in NUMBERS]
    texts = {name for name, kind in columns if kind in TEXTS}
    assert numbers == ["value"]
    assert len(texts) + 1 == len(columns)
    assert len({tuple(row[:-1]) for row in rows}) == len(rows), "two rows of one series"
    summary = rule["annotations"]["summary"].replace("$$", "$")
    assert {word.removeprefix("$labels.") for word in summary.split() if word.startswith("$labels.")} <= texts
    assert rule["annotations"]["__dashboardUid__"] in BOARDS
