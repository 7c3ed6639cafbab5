"""Go's two drivers, lib/pq and pgx, which are those of Grafana."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from tests.interop.peers import GO_POSTGRES
from tests.postgres.clients import grafana
from tests.postgres.places import Served

pytestmark = [pytest.mark.peers, pytest.mark.needs(GO_POSTGRES)]

PREPARING = ("cache_statement", "cache_describe", "describe_exec")
MODES = (*PREPARING, "exec", "simple_protocol")
FLOAT, TIME = {"float8", "FLOAT8"}, {"timestamptz", "TIMESTAMPTZ"}


@dataclass(frozen=True)
class Answer:
    columns: list[str]
    types: list[str]
    rows: list[list[str | None]]
    error: str
    message: str


def ask(served: Served, driver: str, *asked: tuple[str, list[Any]]) -> list[Answer]:
    """What a driver gets for each statement with its values."""
    dsn = f"postgres://ann@127.0.0.1:{served.port}/stepsize?sslmode=disable"
    lines = "\n".join(json.dumps({"sql": query, "args": given}) for query, given in asked)
    command = [str(GO_POSTGRES.path), driver, dsn]
    ran = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert not ran.stderr, ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    return [
        Answer(
            columns=one.get("columns") or [],
            types=one.get("types") or [],
            rows=one.get("rows") or [],
            error=one.get("error", ""),
            message=one.get("message", ""),
        )
        for one in found
    ]


@pytest.mark.parametrize("driver", ["pq", "wire", "batch", *MODES])
def test_questions_and_macros_of_grafana(served: Served, driver: str) -> None:
    """Through lib/pq as Grafana's data source had it, through pgx's simple protocol as it has it, and pgx's others."""
    asked = [
        *(grafana.VERSION, grafana.TIMESCALE, grafana.SCHEMAS, grafana.TABLES, grafana.columns("tasks")),
        *(grafana.columns("public.tasks"), grafana.values("tasks", "step")),
    ]
    panels = [(grafana.expanded(query), rows) for query, rows in grafana.PANELS.values()]
    got = ask(served, driver, *((query, []) for query in [*asked, *(query for query, _ in panels)]))
    assert not [one.message for one in got if one.error]
    version, timescale, schemas, tables, columns, qualified, values = got[: len(asked)]
    assert (version.rows, version.columns) == ([["1600"]], ["version"])
    assert timescale.rows == []
    assert schemas.rows == [["public"]]
    assert ["tasks"] in tables.rows
    assert ["started_at", "timestamp with time zone"] in columns.rows
    assert qualified.rows == columns.rows
    assert values.rows == [["step", "fit"], ["step", "load"]]
    for answer, (query, rows) in zip(got[len(asked) :], panels, strict=True):
        assert len(answer.rows) == rows, query
        if "time" in answer.columns:
            assert answer.types[answer.columns.index("time")] in FLOAT | TIME, query


@pytest.mark.parametrize("driver", ["pq", *MODES])
def test_values_and_errors(served: Served, driver: str) -> None:
    """Values bound to parameters, results in either format, an error with its SQLSTATE after which all goes on."""
    query = (
        "select flow, attempt, cpu_seconds, started_at, outcome from tasks "
        "where cpu_seconds > $1 and flow = $2 and started_at >= $3 order by run, step, task limit $4"
    )
    got = ask(
        served,
        driver,
        (query, [101.5, "Train", "2026-11-01T01:00:00Z", 1]),
        ("select nothing from tasks", []),
        ("insert into tasks (flow) values ('x')", []),
        (grafana.COLUMNS_OF_TABLE, ["public", "tasks"]),
        (grafana.TABLES_OF_SCHEMA, ["public"]),
    )
    assert got[0].rows == [["Train", "0", "102", "2026-11-01T01:00:00Z", "ok"]], got[0].message
    assert [one.lower() for one in got[0].types] == ["text", "int4", "float8", "timestamptz", "text"]
    assert [one.error for one in got[1:]] == ["42703", "25006", "", ""]
    assert ["attempt", "integer", "int4", "32", "0"] in got[3].rows
    assert ["tasks"] in got[4].rows


def test_a_context_that_ends_cancels(served: Served) -> None:
    """pgx sends a cancel request: the statement ends, not the connection."""
    slow, after = ask(served, "cancel", ("select count(*) from range(100000000000)", []), ("select 1", []))
    assert slow.error in {"57014", "deadline"}
    assert float(slow.message) < 10
    assert after.rows == [["1"]]
