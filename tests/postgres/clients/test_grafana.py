"""Grafana's questions and macros; with its two drivers themselves in `test_go`."""

from __future__ import annotations

import datetime as dt

import pytest

from tests.postgres.clients import grafana
from tests.postgres.places import Served


def test_questions_of_the_query_builder(served: Served) -> None:
    """The version as a whole number, no TimescaleDB, one schema, its views without it, their columns either way."""
    with served.connect() as connection:
        assert connection.execute(grafana.VERSION).fetchall() == [(1600,)]
        assert connection.execute(grafana.TIMESCALE).fetchall() == []
        assert connection.execute(grafana.SCHEMAS).fetchall() == [("public",)]
        tables = {name for (name,) in connection.execute(grafana.TABLES).fetchall()}
        assert {"tasks", "points", "histograms"} <= tables
        found: dict[str, str] = dict(connection.execute(grafana.columns("tasks")).fetchall())
        assert found["started_at"] == "timestamp with time zone"
        assert found["cpu_seconds"] == "double precision"
        assert dict(connection.execute(grafana.columns("public.tasks")).fetchall()) == found
        assert connection.execute(grafana.columns("nowhere.tasks")).fetchall() == []
        assert connection.execute(grafana.values("tasks", "step")).fetchall() == [("step", "fit"), ("step", "load")]


@pytest.mark.parametrize("name", grafana.PANELS)
def test_macros(served: Served, name: str) -> None:
    """Each gives its rows; what a panel takes for the time is a time or a number of seconds."""
    query, rows = grafana.PANELS[name]
    with served.connect() as connection:
        asked = connection.execute(grafana.expanded(query))
        got = asked.fetchall()
        assert len(got) == rows
        columns = [one.name for one in asked.description or ()]
        if "time" in columns:
            assert isinstance(got[0][columns.index("time")], float | dt.datetime)


def test_groups_of_timescale(served: Served) -> None:
    """`time_bucket` is here too, and gives the same groups."""
    with served.connect() as connection:
        bucket = grafana.bucketed("started_at", "2h")
        asked = f"select extract(epoch from {bucket}), count(*) from tasks group by 1 order by 1"
        other = grafana.expanded("select $__timeGroup(started_at, 2h), count(*) from tasks group by 1 order by 1")
        got = connection.execute(asked).fetchall()
        assert got == connection.execute(other).fetchall()
