"""What the panels of Grafana's dashboards cost on a large lake: ``python benchmarks/dashboards.py [--lake DIR]``.

Makes a lake of a million attempts of 5,000 steps in 500 flows over half a year (`scale_lake`), 2,000 attempts that run
now, ten million points of them and of 300 hosts, and a year of nightly reports on all of the steps (the days share one
file). Asks each panel, variable and alert rule through an endpoint in this process: over the range that its dashboard
opens with, and over a year; what is of `tasks` up to the newest of the million. Prints as Markdown the CPU time of each
(client and endpoint together, medians, nothing kept between them), and beside it what DuckDB takes to read columns
alone: of `tasks`, or of the `points` of the range's days. ``--lake`` names where to make it, or where it is already.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scale_lake import write_lake
from stepsize.postgres.instance import Limits
from stepsize.store.lake import Lake
from stepsize.store.manifest import read_manifests
from stepsize.store.report_views import keep_rows
from stepsize.store.schema import TASKS
from stepsize.store.writer import LakeWriter
from tests.grafana.boards import BOARDS, RULES, panels, variables
from tests.grafana.macros import Window
from tests.grafana.test_cost import rows_of
from tests.grafana.test_queries import ask, chosen
from tests.postgres.places import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ATTEMPTS, STEPS, RUNNING, HOSTS = 1_000_000, 5_000, 2_000, 300
GB, SECOND, DAY_S = 10**9, 10**9, 86_400
NIGHTS = 365
MEMORY_BYTES = 1 << 30
_NEWEST = datetime(2026, 11, 1, tzinfo=timezone.utc)
"""No attempt of `scale_lake` began later."""
_SCAN = {
    "tasks": "SELECT max(flow), max(run), max(step), max(task), max(outcome), max(started_at), max(ended_at), "
    "max(duration_s), max(memory_peak_bytes) FROM tasks",
    "points": "SELECT max(time), max(metric), max(value), max(flow), max(host) FROM points "
    "WHERE day BETWEEN '{begin:%Y-%m-%d}' AND '{end:%Y-%m-%d}'",
    "recommendation": "",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A query by name, with the source of its figures, over a range or two."""

    name: str
    source: str
    query: str
    values: dict[str, object]
    opens_with: timedelta | None

    def text(self, span: timedelta, now: datetime) -> str:
        """As it is sent."""
        interval_s = max(60, int(span.total_seconds() / 300))
        return Window(now - span, now, interval_s).expand(self.query, self.values)


def make(data: Path) -> None:
    """Make the lake."""
    write_lake(data, ATTEMPTS, STEPS)
    (manifest,) = read_manifests(data)
    writer = LakeWriter(data, manifest.writer)  # of one collector
    now_ns = time.time_ns()
    stored = [*manifest.files, writer.write("tasks", "open", _running(now_ns))]
    for rows in _points(now_ns):
        days = np.asarray(rows["time_unix_nano"]) // (DAY_S * SECOND)
        for day in np.unique(days):
            part = rows.filter(pa.array(days == day))
            stored.append(writer.write("points", f"day={np.datetime64(int(day), 'D')}", part))
    writer.commit(replace(writer.manifest, files=tuple(stored)))
    _reports(data)


def _running(now_ns: int) -> pa.Table:
    began = datetime.fromtimestamp(now_ns / SECOND - 900, timezone.utc)
    rows = [
        {
            "flow": f"Flow{number % 500}",
            "run": "now",
            "step": f"step{number % 500 * 10}",
            "task": str(number),
            "attempt": 0,
            "started_at": began,
            "ended_at": began + timedelta(seconds=900),
            "memory_peak_bytes": 2 * GB,
            "requested_memory_bytes": 4 * GB,
            "requested_cpu": 2.0,
            "host": f"host-{number % HOSTS}",
        }
        for number in range(RUNNING)
    ]
    return pa.Table.from_pylist(rows, schema=TASKS)


def _points(now_ns: int) -> Iterator[pa.Table]:
    """Of running attempts by the second, of hosts each four seconds for six hours and each minute for two weeks."""
    owner = np.repeat(np.arange(RUNNING), 900)
    names = {
        "flow": np.char.add("Flow", (owner % 500).astype(str)),
        "step": np.char.add("step", (owner % 500 * 10).astype(str)),
        "task": owner.astype(str),
    }
    times = np.tile(now_ns - np.arange(900)[::-1] * SECOND, RUNNING)
    for metric, unit, value in (("cpu.usage", "{cpu}", 1.5), ("memory.usage", "By", 2.0 * GB)):
        yield rows_of(f"stepsize.task.{metric}", unit, times, value, {}, **names, run="now", attempt=0)
    for count, apart_s in ((5400, 4), (14 * 1440, 60)):
        hosts = HOSTS if apart_s == 4 else HOSTS // 30
        owner = np.repeat(np.arange(hosts), count)
        times = np.tile(now_ns - np.arange(count)[::-1] * SECOND * apart_s, hosts)
        for metric, unit, value, attributes in (
            ("system.cpu.utilization", "1", 0.4, {"cpu.mode": "idle"}),
            ("system.cpu.logical.count", "{cpu}", 16.0, {}),
            ("system.memory.usage", "By", 20.0 * GB, {"system.memory.state": "used"}),
            ("system.memory.limit", "By", 64.0 * GB, {}),
        ):
            yield rows_of(metric, unit, times, value, attributes, host=np.char.add("host-", owner.astype(str)))


def _reports(data: Path) -> None:
    steps = [_step(number) for number in range(STEPS)]
    first: Path | None = None
    for night in range(NIGHTS):
        place = data / "reports" / f"day={datetime.now(timezone.utc).date() - timedelta(days=night)}"
        place.mkdir(parents=True)
        if first is None:
            first = place
            (place / "report.json").write_text(json.dumps(steps, indent=2), "utf-8")
            keep_rows(place)
            continue
        for file in first.iterdir():
            os.link(file, place / file.name)


def _step(number: int) -> dict[str, Any]:
    def amounts(memory_mb: float) -> dict[str, float | None]:
        return {"cpu": 4.0, "memory_mb": memory_mb, "gpu": None, "vram_mb": None, "disk_mb": None}

    server = {"vendor_id": "aws", "region": "us-east-1", "price_hourly": 0.1, "allocation": "ondemand", "vcpus": 4}
    run = {"memory_mb": 900.0, "tasks": 5, "too_small": 0, "allocated_gb_h": 1.5, "requested_gb_h": 4.5}
    return {
        "flow": f"Flow{number // 10}",
        "step": f"step{number}",
        "project": None,
        "production": False,
        "runs": 40,
        "tasks": 200,
        "policy": "balanced",
        "requested": amounts(4000.0),
        "recommended": amounts(300.0 + number % 3700),
        "used": amounts(900.0),
        "target": {"name": "kubernetes", "cpu": 4.0, "memory": 900, "memory_unit": "MB"},
        "timeout_s": {"requested": None, "recommended": None},
        "reasons": [
            f"Sentence {place} of {number} says why this is to be asked for, by its peaks." for place in range(6)
        ],
        "confidence": ("high", "medium", "low")[number % 3],
        "failures_expected_per_1000": 1.5,
        "history": [{"run": str(place), **run} for place in range(10)],
        "wasted_gb_h": number % 17 / 2,
        "cost_per_run": {"now": 1.5, "recommended": 0.7},
        "cost_of_failure": 0.1,
        "saving_per_month": number % 101 - 10.5,
        "currency": "USD",
        "servers": [{"server_id": f"m7i.{place}xlarge", **server} for place in range(5)],
    }


def asked() -> Iterator[Asked]:
    """Every query."""
    for panel in panels():
        board = BOARDS[panel.board]
        amount = board["time"]["from"].removeprefix("now-")
        span = timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[amount[-1]]: int(amount[:-1])})
        values = chosen(board, "Flow0") | ({"step": ["step0"]} if panel.board == "stepsize-step" else {})
        query = panel.target["rawSql"]
        yield Asked(
            panel.name.removeprefix("stepsize-"), _source(query), query, values, span if "$__time" in query else None
        )
    board = BOARDS["stepsize-step"]
    for one in variables(board):
        yield Asked(f"variable {one['name']}", "tasks", one["query"], chosen(board, "Flow0"), None)
    for rule in RULES:
        query = rule["data"][0]["model"]["rawSql"].replace("$$", "$")
        yield Asked(f"rule {rule['uid']}", _source(query), query, {}, None)


def _source(query: str) -> str:
    return next(name for name in ("points", "tasks", "recommendation") if f"FROM {name}" in query)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the panels of Grafana's dashboards cost on a large lake.")
    parser.add_argument("--lake", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        data = options.lake or Path(directory) / "lake"
        if not data.exists():
            make(data)
        print(f"{platform.platform()}, {os.cpu_count()} CPUs, DuckDB {duckdb.__version__}")
        print("\n| query | as it opens, CPU ms | of a year, CPU ms | reading alone, CPU ms: as it opens | of a year |")
        print("| --- | --- | --- | --- | --- |")
        measure(data, options.rounds)


def measure(data: Path, rounds: int) -> None:
    """The table's rows."""
    limits = Limits(memory_bytes=MEMORY_BYTES, statement_s=120, cache_s=0.0)
    year, now = timedelta(days=365), datetime.now(timezone.utc)
    with serving(data, limits=limits) as served, Lake(data).reading(MEMORY_BYTES) as bare:

        def cpu_ms(work: Any) -> float:
            taken = []
            for _ in range(rounds):
                began = time.process_time()
                work()
                taken.append((time.process_time() - began) * 1000)
            return statistics.median(taken)

        for one in asked():
            spans = [timedelta(minutes=15) if one.opens_with is None else one.opens_with]
            spans += [] if one.opens_with is None else [year]
            took, scans = [], []
            end = _NEWEST if one.source == "tasks" else now
            for span in spans:
                text = one.text(span, end)
                took.append(cpu_ms(lambda text=text: ask(served, text)))
                scan = _SCAN[one.source].format(begin=end - span, end=end)
                scans.append(cpu_ms(lambda scan=scan: bare.execute(scan).fetchall()) if scan else None)
            cells = [f"{ms:.0f}" for ms in took] + [""] * (2 - len(took))
            cells += ["" if ms is None else f"{ms:.0f}" for ms in scans] + [""] * (2 - len(scans))
            print(f"| {one.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
