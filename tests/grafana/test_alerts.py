"""Each alert rule fires and stays silent, as Grafana evaluates it."""

from __future__ import annotations

import socket
from typing import Any

import psycopg
import pytest

from tests.grafana.alerting import WHOLE, states
from tests.grafana.boards import RULES
from tests.grafana.test_queries import ask
from tests.postgres.places import Served

pytestmark = pytest.mark.xdist_group("grafana")
REFUSED = ("what", "stepsize_wal_refused_requests")
WANTED: dict[str, dict[tuple[tuple[str, str], ...], str]] = {
    "stepsize-memory": {
        (("flow", "Now"), ("step", "fit")): "Alerting",  # 95 % of what it may hold, and runs
        (("flow", "Now"), ("step", "calm")): "Normal",  # 90 %
    },
    "stepsize-refused": {
        (("collector", "past"), REFUSED): "Normal",
        (("collector", "again"), REFUSED): "Alerting",
        (("collector", "first"), REFUSED): "Alerting",
    },
    "stepsize-waste": {
        (("flow", "Again"), ("currency", "USD")): "Alerting",  # 150.5 a month
        (("flow", "Shared"), ("currency", "USD")): "Normal",  # 100
    },
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["uid"])
def test_a_rule_fires_for_the_series_that_are_above_alone(known_site: Served, rule: dict[str, Any]) -> None:
    """At the threshold it is silent; what ended long ago, or was refused long ago, is no series or a normal one."""
    assert states(rule, lambda query: ask(known_site, query)) == WANTED[rule["uid"]]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["uid"])
def test_a_rule_is_silent_where_nothing_is_measured_and_an_error_where_nobody_answers(
    empty_site: Served, rule: dict[str, Any]
) -> None:
    """An empty lake fires nothing; an endpoint that is gone is told."""
    assert states(rule, lambda query: ask(empty_site, query)) == {WHOLE: "Normal"}
    with socket.socket() as nobody:  # holds the port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        gone = Served(empty_site.data, nobody.getsockname()[1])
        with pytest.raises(psycopg.OperationalError):
            ask(gone, "SELECT 1")
        assert states(rule, lambda query: ask(gone, query)) == {WHOLE: "Error"}
