"""What reports recommend, in SQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
            (newest / "report.json").unlink()
            assert ask("SELECT count(*) FROM recommendations") == [(2,)]
