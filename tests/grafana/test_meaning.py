"""What panels say of a lake whose every figure is known, against arithmetic over the same rows in Python."""

from __future__ import annotations

import statistics
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.grafana import known
from tests.grafana.boards import BOARDS, RULES, panels, variables
from tests.grafana.known import GB, NAME
from tests.grafana.macros import Window
from tests.grafana.test_queries import ask, chosen
from tests.postgres.places import Served

pytestmark = pytest.mark.xdist_group("grafana")
HOUR_S = 3600
FAILED = ("failed", "killed", "oom", "lost")
QUERIES = {panel.name.removeprefix("stepsize-"): panel for panel in panels()}


def shown(
    served: Served,
    name: str,
    begin: datetime | None = None,
    end: datetime | None = None,
    interval_s: int = HOUR_S,
    **values: str,
) -> list[dict[str, Any]]:
    """A panel's rows over the range, all chosen but for ``values``."""
    begin, end = begin or known.begin(), end or known.end()
    panel = QUERIES[name]
    wanted = chosen(BOARDS[panel.board]) | {variable: [value] for variable, value in values.items()}
    columns, rows = ask(served, Window(begin, end, interval_s).expand(panel.target["rawSql"], wanted))
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]


def runs() -> list[list[dict[str, Any]]]:
    """Attempts of each run that began in the range."""
    found = defaultdict(list)
    for one in known.attempts():
        found[one["flow"], one.get("project"), one.get("branch"), one.get("user"), one["run"]].append(one)
    return [run for run in found.values() if known.begin() <= min(one["started_at"] for one in run) <= known.end()]


def last_outcomes(run: list[dict[str, Any]]) -> list[str | None]:
    """Of each task the last attempt's."""
    last = {(one["step"], one["task"]): one["outcome"] for one in sorted(run, key=lambda one: one["attempt"])}
    return list(last.values())


def duration_s(run: list[dict[str, Any]]) -> float:
    """From its first attempt's start to the last one's end."""
    return (max(one["ended_at"] for one in run) - min(one["started_at"] for one in run)).total_seconds()


def test_runs_are_those_that_began_in_the_range_each_whole(known_site: Served) -> None:
    """One that began before is none, one at a border is; one that failed after the range has; users are apart."""
    (row,) = shown(known_site, "flow/In all")
    over = [run for run in runs() if None not in last_outcomes(run)]
    failed = [run for run in over if set(last_outcomes(run)) & set(FAILED)]
    assert row["Runs"] == len(runs()) == 16
    assert row["Running"] == len(runs()) - len(over) == 2
    assert row["Failed"] == pytest.approx(len(failed) / len(over))
    assert row["Duration, typical"] == pytest.approx(statistics.median(map(duration_s, over)))
    assert row["Attempts again"] == 1
    bars = shown(known_site, "flow/Runs")
    assert sum(bar["failed"] for bar in bars) == len(failed)
    assert sum(bar["running"] for bar in bars) == 2
    assert sum(bar["well"] for bar in bars) == len(over) - len(failed)
    assert {bar["time"] % HOUR_S for bar in bars} == {0}
    longest = max(line["longest"] for line in shown(known_site, "flow/Duration of runs"))
    assert longest == pytest.approx(max(map(duration_s, over)))


def test_a_run_costs_what_the_report_says_of_its_project_and_branch(known_site: Served) -> None:
    """Production and the rest are charged apart; a step without a cost as it is counts on neither side."""
    again, shared, production = 4 * (1.0 + 2.0), 2 * 10.0, 100.0
    (row,) = shown(known_site, "flow/In all")
    assert (row["Cost, estimated"], row["Currency"]) == (again + shared + production, "USD")
    lines = shown(known_site, "flow/Cost of runs, estimated")
    assert sum(line["as requested"] or 0 for line in lines) == again + shared + production
    assert sum(line["as recommended"] or 0 for line in lines) == 4 * (0.5 + 1.5) + 2 * 5.0 + 50.0


def test_failures_are_those_of_the_range_the_newest_first(known_site: Served) -> None:
    """By when they ended: also of a run that began before."""
    rows = shown(known_site, "flow/Newest failures")
    wanted = [
        one for one in known.attempts() if one["outcome"] in FAILED and known.begin() <= one["ended_at"] <= known.end()
    ]
    key = ("Flow", "Run", "Step", "Task", "Attempt")
    assert [row["Ended"] for row in rows] == sorted((one["ended_at"] for one in wanted), reverse=True)
    assert {tuple(row[name] for name in key) for row in rows} == {
        tuple(one[name.lower()] for name in key) for one in wanted
    }


def test_steps_of_one_name_in_two_flows_are_two_and_shares_are_shares(known_site: Served) -> None:
    """Of the request is a fraction; nothing where nothing was asked for."""
    rows = {(row["Flow"], row["Step"]): row for row in shown(known_site, "flow/Steps by the cores that they use")}
    of_name = rows[NAME, "fit"]
    assert of_name["Attempts"] == 1000
    assert of_name["Not ok"] == 0.01
    assert of_name["Of the request"] == 1.0
    assert of_name["Duration, typical"] == 10 + 499.5
    assert of_name["Core·h used"] == pytest.approx(sum(2 * (10 + item) for item in range(1000)) / 3600)
    assert rows["Again", "fit"]["Of the request"] == pytest.approx(0.2)
    assert rows["Again", "fit"]["Out of memory"] == 1
    assert rows["Free", "fit"]["Of the request"] is None
    assert rows["Border", "load"]["Attempts"] == 2, "both borders are within, a microsecond later is not"


def test_a_step_of_a_thousand_items(known_site: Served) -> None:
    """A flow with quotes, dollars and braces in its name is found, alone; its peaks are counted once each."""
    where: Any = {"flow": NAME, "step": "fit"}
    (row,) = shown(known_site, "step/$flow / $step", **where)
    peaks = [(item + 1) ** 2 * 1000 for item in range(1000)]
    assert (row["Attempts"], row["Runs"]) == (1000, 2)
    assert row["Not ok"] == 0.01
    assert (row["Peak, typical"], row["Peak, highest"]) == (statistics.median(peaks), GB)
    assert row["Memory asked for"] == GB
    parts = shown(known_site, "step/Distribution of peaks", **where)
    assert sum(part["Attempts"] for part in parts) == 1000
    assert len(parts) == 30
    assert parts[-1]["Peak up to"] == "1000 MB"
    items = shown(known_site, "step/Items of the foreach", **where)
    assert len(items) == 200
    assert items[0]["Item"] == "part 999"
    assert items[0]["Of the request"] == 1.0
    assert items[-1]["Of the request"] == pytest.approx(0.801**2)
    buckets = defaultdict(list)
    for one in known.attempts():
        if one["flow"] == NAME:
            buckets[one["started_at"].timestamp() // HOUR_S * HOUR_S].append(one["memory_peak_bytes"])
    lines = {line["time"]: line for line in shown(known_site, "step/Memory peaks", **where)}
    assert {at: line["highest peak"] for at, line in lines.items()} == {at: max(all_) for at, all_ in buckets.items()}
    assert {at: line["typical peak"] for at, line in lines.items()} == {
        at: statistics.median(all_) for at, all_ in buckets.items()
    }
    (first,) = shown(known_site, "step/$flow / $step", run="0", **where)
    assert first["Attempts"] == 500


def test_a_range_of_three_years(known_site: Served) -> None:
    """Old runs count as new ones do."""
    (row,) = shown(
        known_site, "flow/In all", known.now() - timedelta(days=3 * 366), known.now(), 7 * 86_400, flow="Years"
    )
    assert row["Runs"] == 36
    assert (
        sum(
            bar["well"]
            for bar in shown(
                known_site, "flow/Runs", known.now() - timedelta(days=1096), known.now(), 7 * 86_400, flow="Years"
            )
        )
        == 36
    )


def test_live_counts_what_runs(known_site: Served) -> None:
    """What has just ended holds nothing any more, and what fell silent where no collector closes it runs no longer."""
    (row,) = shown(known_site, "live/Now")
    assert row["Running tasks"] == 2
    assert (row["Cores in use"], row["Cores asked for"]) == (4.0, 8.0)
    assert (row["Memory in use"], row["Memory asked for"]) == (3 * GB, 20 * GB)
    assert (row["GPUs busy"], row["GPUs held"]) == (0.5, 2.0)
    nearest, other = shown(known_site, "live/Nearest to what they may hold")
    assert (nearest["Task"], nearest["Of what it may hold"]) == ("0", pytest.approx(0.95))
    assert (other["Task"], other["Of what it may hold"]) == ("1", pytest.approx(0.2))


@pytest.mark.parametrize(
    ("panel", "fields"),
    [
        ("Cores", {"in use": (2.0, 2.0, 2.0), "asked for": (8.0, 0, 8.0), "limit": (4.0, 0, 0)}),
        ("Memory", {"in use": (1.5 * GB,) * 3, "asked for": (10 * GB,) * 3, "limit": (0, 0, 5 * GB)}),
        ("GPUs", {"busy": (0, 0.5, 0), "held": (0, 2.0, 0)}),
    ],
)
def test_live_adds_up_attempts_by_the_time_they_were_there(
    known_site: Served, panel: str, fields: dict[str, tuple[float, ...]]
) -> None:
    """An attempt that began or ended within a part of the chart counts for its share of that part."""
    tasks = known.running()[:3]
    ends = [known.now() + timedelta(days=1), known.now() + timedelta(days=1), tasks[2]["ended_at"]]

    def share(task: int, at: datetime) -> float:
        there: timedelta = min(ends[task], at + timedelta(seconds=15)) - max(tasks[task]["started_at"], at)
        return max(0.0, there.total_seconds() / 15)

    lines = shown(known_site, f"live/{panel}")
    assert len(lines) > 20
    calm = known.running()[-1]
    for line in lines:
        if line["time"] < calm["ended_at"] + timedelta(seconds=15):
            continue  # another one is there, without points
        for name, amounts in fields.items():
            whole = sum(amount * share(task, line["time"]) for task, amount in enumerate(amounts))
            assert (line[name] or 0) == pytest.approx(whole, abs=2e-3), (line["time"], name)
    assert max(line["time"] for line in lines) + timedelta(seconds=15) <= datetime.now(timezone.utc)


def test_hosts_are_weighed_by_their_size(known_site: Served) -> None:
    """Shares of all hosts are of their sums, and GPUs are counted by device."""
    (row,) = shown(known_site, "fleet/At the end of the time range")
    assert (row["Hosts"], row["Cores"], row["Memory"]) == (2, 80, 200 * GB)
    assert row["Cores busy"] == pytest.approx((64 * 0.75 + 16 * 0.25) / 80)
    assert row["Memory used"] == pytest.approx(0.4)
    assert (row["GPUs"], row["GPUs idle"]) == (2, 1)
    hosts = shown(known_site, "fleet/Hosts and packing, the least busy first")
    assert [(host["Host"], host["Cores busy, mean"], host["Memory used, most"]) for host in hosts] == [
        ("b", 0.25, 0.16),
        ("a", 0.75, 0.64),
    ]
    for name, there, used in (("Cores", 80, 64 * 0.75 + 16 * 0.25), ("Memory", 200 * GB, 80 * GB)):
        for line in shown(known_site, f"fleet/{name}", interval_s=60):
            assert (line["there"], line["in use"]) == (pytest.approx(there), pytest.approx(used))
    gpus = shown(known_site, "fleet/GPUs, the least busy first")
    assert [(gpu["Device"], gpu["Busy, mean"], gpu["Idle, of the time"]) for gpu in gpus] == [
        ("b0", 0, 1),
        ("a0", 0.5, 0),
    ]


def test_a_collectors_counters_are_whole_from_their_first_reading(known_site: Served) -> None:
    """A counter that is there from its first refusal on shows that one; what was before the range is not of it."""
    begin = known.end() - timedelta(hours=6)
    assert (
        sum(row["value"] for row in shown(known_site, "collector/Refused, by the bound that was broken", begin))
        == 2 * 4
    )
    taken = sum(row["value"] * HOUR_S for row in shown(known_site, "collector/Points a second", begin))
    of_new = 600 * (29 + 1) + 600 * 30
    assert taken == pytest.approx(600 * 59 + of_new)
    (row,) = shown(known_site, "collector/At the end of the time range", begin)
    assert (row["Collectors"], row["Sinks up"]) == (2, 2)


def test_savings_are_of_one_currency_and_changes_as_the_report_counts_them(known_site: Served) -> None:
    """Only what saves is added up; where currencies differ there is no sum."""
    (row,) = shown(known_site, "rightsizing/In all")
    assert (row["To save a month"], row["Currency"]) == (pytest.approx(250.5), "USD")
    assert (row["Steps"], row["Steps to change"], row["GB·h held and not used"]) == (5, 2, 7.5)
    (first, second, third) = shown(
        known_site, "rightsizing/To save a month, by day", known.now() - timedelta(days=30), known.now()
    )
    name = "to save a month"
    assert (first[name], second[name], third[name]) == (12.5, None, pytest.approx(250.5))
    of_one = shown(known_site, "rightsizing/Steps by what is to be saved", flow="Again")
    assert [line["To save a month"] for line in of_one] == [150.5, -20.0, None]


@pytest.mark.parametrize(
    ("address", "begins"),
    [
        ("", None),
        ("https://collector:4318", "https://collector:4318/live/reports/"),
        ("http://localhost:4318/", "http://localhost:4318/live/reports/"),
        ("javascript:alert(1)//http://x", None),
        ("https://a b", None),
    ],
)
def test_reports_have_links_where_the_collectors_address_is_said(
    known_site: Served, address: str, begins: str | None
) -> None:
    """They lead to the live page's own addresses; what is no address makes none."""
    rows = shown(known_site, "rightsizing/Reports", known.now() - timedelta(days=30), known.now(), live_page=address)
    assert [row["Day"] for row in rows] == sorted(known.reports(), reverse=True)
    assert [row["Page"] for row in rows] == [begins and f"{begins}{row['Day']}/report.html" for row in rows]


def test_a_lake_with_nothing_in_it_is_no_error(empty_site: Served) -> None:
    """Nor is one without a report: every query answers."""
    looked_at = Window(known.begin(), known.end(), HOUR_S)
    for panel in panels():
        ask(empty_site, looked_at.expand(panel.target["rawSql"], chosen(BOARDS[panel.board])))
    for board in BOARDS.values():
        for one in variables(board):
            assert ask(empty_site, looked_at.expand(one["query"], chosen(board)))[1] == []
    for rule in RULES:
        assert ask(empty_site, rule["data"][0]["model"]["rawSql"].replace("$$", "$"))[1] == []
