"""The committed files are what the generator writes, and what Grafana's schema knows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.grafana.boards import BOARDS, HOME, RULES, panels, variables

WRITTEN = ("dashboards/*.json", "prometheus/dashboards/*.json", "provisioning/alerting/*.yaml")
_NOT_SQL = re.compile(r"\{%.*?%\}|\{\{.*?\}\}")


def test_what_is_committed_is_what_the_generator_writes(tmp_path: Path) -> None:
    """`make dashboards` changes nothing."""
    pytest.importorskip("grafana_foundation_sdk")
    subprocess.run([sys.executable, "-B", str(HOME / "generate.py"), str(tmp_path)], check=True)
    for pattern in WRITTEN:
        made = {path.name: path.read_bytes() for path in tmp_path.glob(pattern)}
        assert made
        assert made == {path.name: path.read_bytes() for path in HOME.glob(pattern)}


@pytest.mark.parametrize("uid", BOARDS)
def test_grafanas_own_types_lose_nothing_of_a_dashboard(uid: str) -> None:
    """Read into the types that Grafana publishes of its schema, and written again, it is the same."""
    pytest.importorskip("grafana_foundation_sdk")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415 - not on Python 3.10
    from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: PLC0415 - as above
    from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: PLC0415 - as above

    register_default_plugins()
    again = json.loads(json.dumps(Dashboard.from_json(BOARDS[uid]), cls=JSONEncoder))
    assert again == BOARDS[uid]


def test_identifiers_and_links_hold() -> None:
    """Identifiers are unique and fit Grafana's bound of 40; links lead to dashboards that are there."""
    uids = [*BOARDS, *(rule["uid"] for rule in RULES)]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)
    for uid, board in BOARDS.items():
        assert board["uid"] == uid
        ids = [one["id"] for one in board["panels"] if one.get("id")]
        assert len(set(ids)) == len(ids)
    led = [
        (panel, link["url"])
        for panel in panels()
        for _, what, value in panel.overrides()
        if what == "links"
        for link in value
    ]
    assert led
    for panel, url in led:
        if url == "${__value.raw}":
            continue
        path, _, query = url.partition("?")
        known = {f"var-{one['name']}" for one in variables(BOARDS[path.split("/")[2]])}
        assert {part.partition("=")[0] for part in query.split("&")} <= known | {"${__url_time_range}"}
        for column in re.findall(r"__data\.fields\.(\w+)", query):
            assert f'AS "{column}"' in panel.target["rawSql"]


def test_every_query_is_used_and_every_panel_says_what_it_shows() -> None:
    """No file of SQL is left over; titles and descriptions are there, and names of a board's panels differ."""
    used = {panel.target["rawSql"] for panel in panels()} | {
        one["query"] for board in BOARDS.values() for one in variables(board)
    }
    used |= {one["model"].get("rawSql", "").replace("$$", "$") for rule in RULES for one in rule["data"]}
    for path in HOME.glob("sql/*/*.sql"):
        parts = [part.strip() for part in _NOT_SQL.split(path.read_text("utf-8"))]
        assert any(all(part in query for part in parts) for query in used), path
    assert all(panel.found["description"] for panel in panels())
    assert len({panel.name for panel in panels()}) == len(panels())


def test_small_amounts_are_not_rounded_away() -> None:
    """A server of a few cents an hour, a run of less: Grafana chooses the decimals."""
    money = {"Price an hour", "Cost, estimated", "To save a month"}
    found = [(panel.name, name, id_) for panel in panels() for name, id_, _ in panel.overrides() if name in money]
    assert {name for _, name, _ in found} == money
    assert [one for one in found if one[2] == "decimals"] == []


def test_provisioned_files_name_the_source_that_panels_ask() -> None:
    """Panels and rules ask the data source of the provisioning, by its kind and identifier."""
    (source,) = yaml.safe_load((HOME / "provisioning/datasources/stepsize.yaml").read_text("utf-8"))["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    assert all(panel.found["datasource"] == panel.target["datasource"] == wanted for panel in panels())
    assert all(one["datasource"] == wanted for board in BOARDS.values() for one in variables(board))
    asked = [one for rule in RULES for one in rule["data"] if one["refId"] == "A"]
    assert all(one["datasourceUid"] == source["uid"] for one in asked)
    (provider,) = yaml.safe_load((HOME / "provisioning/dashboards/stepsize.yaml").read_text("utf-8"))["providers"]
    assert provider["options"]["path"].endswith("/grafana/dashboards")
