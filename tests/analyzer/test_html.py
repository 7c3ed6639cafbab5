"""The page as text: what it draws of what is known, and what it leaves out."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.course import courses
from stepsize.analyzer.formats import html_charts as charts
from stepsize.analyzer.formats import render, steps_drawn, words
from stepsize.analyzer.formats.html_page import ROWS, SECTIONS
from stepsize.analyzer.formats.html_runs import MOST
from stepsize.analyzer.matching import Catalog
from stepsize.analyzer.report import StepReport, build
from stepsize.analyzer.sizing import policy as policies
from stepsize.analyzer.sizing.targets import Sizes
from stepsize.analyzer.usage import Query
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, NOON, row

Pages = Callable[[Path, list[dict[str, object]]], str]


@pytest.fixture(scope="module")
def page(catalog: Catalog) -> Pages:
    """What makes a page of rows, as the command writes it."""

    def made(directory: Path, rows: list[dict[str, object]]) -> str:
        connection = write_tasks(directory, rows).connect()
        reports = build(connection, catalog, policies.load(), Query())
        return render(reports, "html", courses(connection, Query(), steps_drawn(reports, "html")))

    return made


def runs(count: int, **values: object) -> list[dict[str, object]]:
    return [row(run=str(n), task=str(n), started_at=NOON + timedelta(hours=n), **values) for n in range(count)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> StepReport:
    connection = write_tasks(tmp_path_factory.mktemp("lake"), runs(10)).connect()
    (found,) = build(connection, catalog, policies.load(), Query())
    return found


def test_runs_are_drawn_and_told(tmp_path: Path, page: Pages) -> None:
    """Peaks, cores and durations over runs, each run in the table behind them; what failed, by how."""
    rows = runs(10)
    rows[3] |= {"outcome": "oom", "memory_peak_bytes": 4096 * MB}
    text = page(tmp_path, rows)
    for title in ("Memory peaks, MB", "Cores in use", "How long a task took", "Attempts that did not end well"):
        assert f">{title}</strong>" in text
    assert "From 600 to 4,096; the newest run asked for 4,096; " in text
    assert "Of 10 attempts 1 ran out of memory." in text
    assert "10 runs, the newest on the right." in text
    assert len(re.findall(r"<tr><th scope=\"row\">\d</th><td>2026-11-01</td><td>1</td>", text)) == 10


def test_cores_of_which_the_mean_alone_is_known_are_drawn(tmp_path: Path, page: Pages) -> None:
    """As of imported history."""
    text = page(tmp_path, runs(4, cpu_max=None, cpu_histogram=None))
    assert ">Cores in use</strong>" in text
    assert "From 1 to 1; the newest run asked for 1" in text


def test_a_step_that_ran_once_has_no_pictures_over_runs(tmp_path: Path, page: Pages) -> None:
    """Nor one whose tasks are fewer than three a picture of them."""
    text = page(tmp_path, [row(), row(task="2")])
    assert "Over its runs" not in text
    assert "Its tasks side by side" not in text
    assert "All of it together" in text


def test_the_tasks_of_a_foreach_are_drawn_and_the_largest_named(tmp_path: Path, page: Pages) -> None:
    """Of the newest run alone."""
    rows = [row(run="0", started_at=NOON - timedelta(days=1))]
    rows += [row(task=str(n), item=f"part={n}", memory_peak_bytes=(100 + 10 * n) * MB) for n in range(20)]
    text = page(tmp_path, rows)
    assert "Run 1: 20 tasks of one step" in text
    assert "From 100 to 290, half of 20 up to 190." in text
    assert '<tr><th scope="row">19</th><td>part=19</td><td>290</td><td>1 min</td></tr>' in text


def test_what_was_seen_for_no_time_is_not_drawn(tmp_path: Path, page: Pages) -> None:
    """A histogram of nothing is no picture."""
    text = page(tmp_path, runs(4, cpu_histogram={0: 0.0}))
    assert "Attempts by memory peak, MB" in text
    assert "Time by cores in use" not in text


@given(st.lists(st.lists(st.floats(0, 1e6), min_size=4, max_size=4), min_size=1, max_size=40))
def test_what_failed_is_seen_and_stays_in_the_picture(columns: list[list[float]]) -> None:
    """One of a million too."""
    kinds = ("oom", "failed", "killed", "lost")
    shapes = charts.stacked(columns, kinds, charts.in_columns(columns))
    boxes = [
        (float(top), float(height))
        for shape in shapes
        for top, height in re.findall(r"M[\d.]+ (-?[\d.]+)h[\d.]+v([\d.]+)", shape.path)
    ]
    assert len(boxes) == sum(1 for column in columns for value in column if value > 0)
    assert all(top >= -0.1 and height > 0 and top + height <= charts.HEIGHT + 0.15 for top, height in boxes)


def test_a_day_beyond_the_calendar_is_not_known() -> None:
    """Clocks can be wrong by more than there are years."""
    assert words.day(1e15) == words.minute(float("inf")) == words.day(None) == words.UNKNOWN


def test_a_skewed_foreach_says_how_skewed(tmp_path: Path, page: Pages) -> None:
    """The largest beside the middle one."""
    rows = [row(task=str(n), memory_peak_bytes=(3000 if n == 4 else 200) * MB) for n in range(9)]
    assert "the largest is 15 times the middle one." in page(tmp_path, rows)


def test_gpu_time_is_split_and_adds_up(tmp_path: Path, page: Pages) -> None:
    """Devices never used, idle, busy."""
    gpus = {"requested_gpu": 2.0, "gpu_count": 1.0, "gpu_utilization_mean": 0.5, "gpu_utilization_max": 1.0}
    text = page(tmp_path, runs(4, duration_s=3600.0, **gpus))
    assert "Of 8 device hours held: busy, or not told 2 device hours; nothing ran on it 2 device hours; " in text
    assert "never used 4 device hours." in text
    assert "GPU time" not in page(tmp_path / "none", runs(4))


def test_the_newest_run_is_a_timeline(tmp_path: Path, page: Pages) -> None:
    """Of a flow, with the steps in the order in which they began; those of other runs are counted."""
    rows = [row(step="old", run="0", started_at=NOON - timedelta(days=1))]
    rows += [row(step="second", started_at=NOON + timedelta(seconds=90), outcome="failed"), row(step="first")]
    text = page(tmp_path, rows)
    assert (
        "Run 1 began 2026-11-01 12:00 UTC and took 2 min 30 s; 1 step of the flow was last seen in another run." in text
    )
    lanes = text[text.index('class="lanes"') :]
    assert lanes.index(">first</th>") < lanes.index(">second</th>") < lanes.index("Step by step")
    assert ">+1 min 30 s</td>" in lanes
    assert ">1 failed</td>" in lanes


def test_a_moment_in_a_long_run_is_seen_and_what_is_not_known_is_not_zero(tmp_path: Path, page: Pages) -> None:
    """A step of a millisecond, and one of which no duration is known."""
    rows = [row(step="long", duration_s=86_000.0), row(step="moment", duration_s=0.001)]
    rows += [{**row(step="endless"), "duration_s": float("inf")}]
    text = page(tmp_path, rows)
    lanes = text[text.index('class="lanes"') : text.index("Step by step")]
    for step, took in (("long", "23 h 53 min"), ("moment", "0.001 s"), ("endless", words.UNKNOWN)):
        lane = next(line for line in lanes.splitlines() if f">{step}</th>" in line)
        assert f'data-label="Took">{took}</td>' in lane
        widths = [float(wide) for wide in re.findall(r"h([\d.]+)v", lane)]
        assert max(widths) >= 1
    alone = page(tmp_path / "alone", rows[2:])
    assert "Run 1 began 2026-11-01 12:00 UTC.</p>" in alone


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=120), st.floats(0, 1), st.floats(0, 1))
def test_a_lane_shows_its_peak_within_its_time(at_once: list[int], one: float, other: float) -> None:
    """However short it was: what ran at most is as high as the lane, and nothing is drawn elsewhere."""
    began, ended = min(one, other), max(one, other)
    boxes = [
        tuple(map(float, found))
        for found in re.findall(r"M([\d.]+) (-?[\d.]+)h([\d.]+)v([\d.]+)", charts.lane(at_once, began, ended, 22))
    ]
    assert bool(boxes) == bool(max(at_once))
    for left, top, wide, tall in boxes:
        assert wide >= 0.9
        assert tall >= 4.3
        assert abs(top + tall - 22) < 0.11
        assert left >= min(began * charts.WIDTH, charts.WIDTH - 1.5) - 0.1
        assert left + wide <= max(ended * charts.WIDTH, began * charts.WIDTH + 1.5) + 0.2
    assert not boxes or abs(min(top for _, top, _, _ in boxes)) < 0.05


def test_more_flows_than_timelines_are_counted(tmp_path: Path, page: Pages) -> None:
    """A page has a bound."""
    text = page(tmp_path, [row(flow=f"Flow{number}") for number in range(MOST + 3)])
    assert text.count('class="lanes"') == MOST
    assert "3 more flows: stepsize report FLOW" in text


def test_without_courses_the_page_is_whole(report: StepReport) -> None:
    """As of a recording, which has no lake."""
    text = render([report], "html")
    assert "Newest runs" not in text
    assert "All of it together" in text


def test_many_steps_are_counted_rather_than_told(report: StepReport) -> None:
    """The first of the ranking in full, more of them in the table, the rest as a number."""
    many = [replace(report, step=f"step{number}") for number in range(ROWS + 7)]
    assert len(steps_drawn(many, "html")) == SECTIONS
    assert steps_drawn(many, "json") == []
    text = render(many, "html")
    assert text.count("<article") == SECTIONS
    assert text.count('class="rank"') == ROWS
    assert "7 more steps are not in this table" in text
    assert f"{ROWS + 7 - SECTIONS} more steps are told in full by" in text
    assert set(re.findall(r'href="#(step-\d+)"', text)) == set(re.findall(r'<article class="card" id="([^"]+)"', text))


def test_the_policy_names_the_style_by_its_hash(report: StepReport) -> None:
    """And no element has a style of its own."""
    text = render([report], "html")
    style = text[text.index("<style>") + 7 : text.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src &#39;sha256-{digest}&#39;" in text
    assert not re.search(r"<[^>]*\sstyle=", text)
    assert text.startswith("<!doctype html>")


def test_what_to_write_is_in_the_targets_unit(report: StepReport) -> None:
    """Never an exponent; without a target in MB."""
    assert "<code>@resources(cpu=1, memory=650)</code>" in render([report], "html")
    large = replace(report, recommended=replace(report.recommended, cpu=1_234_567.5))
    assert "<code>@resources(cpu=1234567.5, memory=650)</code>" in render([large], "html")
    fargate = replace(report, target="fargate", written=Sizes(cpu=0.25, memory=1_234_567))
    assert "<code>@resources(cpu=0.25, memory=1234567)</code>" in render([fargate], "html")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "\N{EN DASH}"),
        (0.0, "0 s"),
        (0.0042, "0.004 s"),
        (0.0002, "under 0.001 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (185.0, "3 min 5 s"),
        (7440.0, "2 h 4 min"),
        (86_400.0, "24 h"),
        (200_000.0, "2 days 7 h"),
    ],
)
def test_times_are_told_in_two_units(seconds: float | None, expected: str) -> None:
    """What is not known is a dash."""
    assert words.took(seconds) == expected


RANGES = st.lists(
    st.builds(
        lambda low, rise, asked: charts.Range(low, low + rise / 2, low + rise, asked),
        st.floats(0, 1e12),
        st.floats(0, 1e12),
        st.none() | st.floats(0, 1e13),
    ),
    min_size=1,
    max_size=charts.WIDTH // 10,
)


@given(RANGES, st.none() | st.floats(0, 1e12))
def test_all_that_is_drawn_lies_in_the_picture(ranges: list[charts.Range], advised: float | None) -> None:
    """And all that was used is drawn, with what is advised."""
    upper = charts.top_of(ranges, advised)
    assert upper >= max(one.high or 0.0 for one in ranges)
    assert upper >= (advised or 0.0)
    shapes = charts.over_runs(ranges, advised, upper)
    bars = next(shape.path for shape in shapes if shape.kind == "bar")
    assert bars.count("M") == len(ranges)
    for shape in shapes:
        for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", shape.path):
            assert -0.1 <= float(x) <= charts.WIDTH + 0.1
            assert -0.1 <= float(y) <= charts.HEIGHT + 0.1
        assert "e" not in shape.path
        assert "n" not in shape.path


@given(st.floats(0, 1e9))
def test_times_end_at_round_ones(seconds: float) -> None:
    """No less, and little more than twice as much."""
    assert seconds <= charts.nice_time(seconds) * (1 + 1e-9)
    assert charts.nice_time(seconds) <= max(1.0, 3 * seconds)
