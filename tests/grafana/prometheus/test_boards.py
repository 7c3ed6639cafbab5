"""The committed dashboards over Prometheus: Grafana's schema, their links, and that no panel is without a bound."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.grafana.boards import BOARDS as SQL_BOARDS
from tests.grafana.prometheus.boards import BOARDS, SHIPPED, panels, targets
from tests.grafana.prometheus.expanding import All, Window

_LABELS = {"stepsize_task_id", "stepsize_run_id"}


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


def test_identifiers_names_and_links_hold() -> None:
    """Identifiers differ from those of the other set and fit Grafana's bound; links stay within this set."""
    assert not BOARDS.keys() & SQL_BOARDS.keys()
    names = [f"{uid}/{panel['title']}" for uid, panel in panels()]
    assert len(set(names)) == len(names)
    for uid, board in BOARDS.items():
        assert board["uid"] == uid
        assert len(uid) <= 40
        assert board["tags"] == [*board["links"][0]["tags"]] == ["stepsize-prometheus"]
    led = re.findall(r'"/d/([^/]+)/', json.dumps(list(BOARDS.values())).replace('\\"', '"'))
    assert len(led) >= 3
    assert set(led) <= BOARDS.keys()
    assert BOARDS["stepsize-prometheus-live"]["refresh"] == "5s"


def test_panels_ask_the_provisioned_source() -> None:
    """By its kind and identifier; each panel says what it shows."""
    file = SHIPPED / "provisioning/datasources/prometheus.yaml"
    (source,) = yaml.safe_load(file.read_text("utf-8"))["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    for _, panel in panels():
        assert panel["datasource"] == wanted
        assert panel["description"]
    assert all(target.found["datasource"] == wanted for target in targets())
    variables = [one for board in BOARDS.values() for one in board["templating"].get("list", [])]
    assert all(one["datasource"] == wanted for one in variables)
    file = SHIPPED / "provisioning/dashboards/prometheus.yaml"
    (provider,) = yaml.safe_load(file.read_text("utf-8"))["providers"]
    assert provider["options"]["path"].endswith("/grafana/prometheus/dashboards")


def test_what_is_shown_is_bounded() -> None:
    """An expression that keeps what tells attempts, hosts or devices apart is the most or least of them."""
    for target in targets():
        expression = target.found["expr"]
        outermost = re.match(r"\(*(sum|count|min|max|avg|quantile|topk|bottomk)\b(?: by \(([^)]*)\))?", expression)
        kept = set() if outermost is None else set((outermost[2] or "").split(", "))
        is_bounded = bool(re.search(r"topk\(\d+|bottomk\(\d+|:top100", expression))
        is_one = outermost is not None and not kept & {*_LABELS, "host_name"}
        assert is_bounded or is_one or "stepsize:step_" in expression, target.name


def test_every_recorded_series_is_shown_or_told_of() -> None:
    """No board asks for a series that no rule records; no rule records what neither board nor alert asks for."""
    text = (SHIPPED / "rules.yaml").read_text("utf-8")
    recorded = set(re.findall(r"record: (\S+)", text))
    asked = set(re.findall(r"stepsize:[a-z_0-9]+:[a-z_0-9]+", json.dumps(list(BOARDS.values()))))
    alerts = set(re.findall(r"stepsize:[a-z_0-9]+:[a-z_0-9]+", text.split("name: stepsize-alerts")[1]))
    assert asked <= recorded
    assert recorded == asked | alerts


def test_intervals_and_values_are_put_in_as_grafana_does() -> None:
    """A week in 300 points is half-hours; a rate looks at four scrapes at least; values are escaped."""
    week = Window(0, 7 * 86_400)
    assert week.expand("[$__interval] [$__rate_interval] [$__range]", {}) == "[1800s] [1815s] [604800s]"
    quarter = Window(0, 900)
    assert quarter.expand("[$__interval] [$__rate_interval] $__interval_ms", {}) == "[15s] [60s] 15000"
    assert quarter.expand("{f=~`${flow:regex}`}", {"flow": All(".*")}) == "{f=~`.*`}"
    assert quarter.expand("{f=~`${flow:regex}`}", {"flow": ["a.b", "c|d"]}) == r"{f=~`(a\.b|c\|d)`}"
    assert quarter.expand("{f=`${flow:raw}`}", {"flow": "a.b"}) == "{f=`a.b`}"
