"""What reports recommend, in SQL."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import duckdb

from stepsize.store.report_views import Stamped, keep_rows, report_files, report_view_statements
from tests.grafana.known import report
from tests.nightly.site import site_in
from tests.postgres.places import serving

KEYS = ("flow", "step", "runs", "tasks", "confidence", "wasted_gb_h", "saving_per_month", "currency", "reasons")


def test_the_newest_report_is_a_row_a_step_and_all_are_the_history(tmp_path: Path) -> None:
    """An endpoint that was there before shows a report as soon as it lies in the lake, as the report's JSON says it."""
    with site_in(tmp_path) as site:
        site.measured()
        with serving(site.data) as served, served.connect() as connection:

            def ask(query: str) -> list[tuple[Any, ...]]:
                return connection.execute(query).fetchall()

            assert ask("SELECT * FROM recommendations") == ask("SELECT * FROM recommendation_history") == []
            assert site.nightly().returncode == 0
            (newest,) = site.reports.glob("day=*")
            earlier = site.reports / "day=2026-01-02"
            earlier.mkdir()
            (step,) = json.loads((newest / "report.json").read_text())
            (earlier / "report.json").write_text(json.dumps([{**step, "saving_per_month": 7.5}, step]))
            names = ", ".join(KEYS)
            assert ask(f"SELECT {names} FROM recommendations") == [tuple(step[key] for key in KEYS)]
            amounts = "requested_cpu, requested_memory_mb, recommended_cpu, recommended_memory_mb, used_memory_mb"
            assert ask(f"SELECT {amounts} FROM recommendations") == [
                (
                    step["requested"]["cpu"],
                    step["requested"]["memory_mb"],
                    step["recommended"]["cpu"],
                    step["recommended"]["memory_mb"],
                    step["used"]["memory_mb"],
                )
            ]
            cheapest = "servers[1].server_id, servers[1].price_hourly"
            server = step["servers"][0]
            assert ask(f"SELECT {cheapest} FROM recommendations") == [(server["server_id"], server["price_hourly"])]
            days = "SELECT day::VARCHAR, count(*) FROM recommendation_history GROUP BY 1 ORDER BY 1"
            assert ask(days) == [("2026-01-02", 2), (newest.name.removeprefix("day="), 1)]
            assert ask("SELECT max(saving_per_month) FROM recommendation_history") == [(7.5,)]
            whole = "SELECT COLUMNS(*)::VARCHAR FROM recommendations"
            kept = ask(whole)
            (newest / "report.parquet").write_bytes(b"damaged")
            os.utime(newest / "report.json", ns=(1, 1))  # older, and not as it was
            assert ask(whole) == kept, "the report's JSON says the same"
            (newest / "report.json").unlink()
            assert ask("SELECT count(*) FROM recommendations") == [(2,)]


def test_rows_that_are_kept_beside_a_report_are_those_of_its_json(tmp_path: Path) -> None:
    """They are read in its place; not where the report is newer, nor where an older version kept them."""
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        place = tmp_path / "reports" / f"day={day}"
        place.mkdir(parents=True)
        (place / "report.json").write_text(json.dumps([report("Flow", f"step {day}", 2.0, 1.0)]))
        keep_rows(place)
    first, second, third = sorted((tmp_path / "reports").iterdir())

    known: set[Stamped] = set()

    def rows() -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            connection.execute("ATTACH ':memory:' AS lake")
            for statement in report_view_statements(report_files(tmp_path), known):
                connection.execute(statement)
            return connection.execute("SELECT * FROM lake.recommendation_history ORDER BY day").fetchall()

    kept = rows()
    assert {one.file for one in known} == set(tmp_path.rglob("report.parquet"))
    assert [str(row[0]) for row in kept] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    for place in (first, second, third):
        (place / "report.json").write_text(json.dumps([report("Flow", f"step {place.name[4:]}", 2.0, 1.0)]))
        os.utime(place / "report.parquet", ns=(0, 0))
    assert rows() == kept, "from JSON alone"
    for place in (first, second):
        keep_rows(place)
    (first / "report.json").write_text(json.dumps([report("Flow", "another", 2.0, 1.0)]))
    os.utime(first / "report.parquet", ns=(0, 0))
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT 'Flow' AS flow) TO '{second / 'report.parquet'}' (FORMAT parquet)")
    keep_rows(third)
    assert [row[2] for row in rows()] == ["another", "step 2026-01-02", "step 2026-01-03"]
    assert rows()[1:] == kept[1:]
    assert [one.file for one in known] == [third / "report.parquet"]
