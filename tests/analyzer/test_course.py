"""What pictures are made of: runs in columns, the newest run, read from a real lake."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.analyzer.course import COLUMNS, NAMED, PLACES, Course, StepKey, at_once, courses, ordered
from stepsize.analyzer.usage import Query
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, NOON, row

TRAIN = StepKey(None, False, "TrainFlow", "train")


def course(data: Path, rows: list[dict[str, Any]], step: StepKey = TRAIN, query: Query | None = None) -> Course:
    connection = write_tasks(data, rows).connect()
    return courses(connection, query or Query(), [step])[step]


def test_a_column_is_a_run_while_they_are_few(tmp_path: Path) -> None:
    """The oldest first, each with the lowest, mean and highest of its attempts that ended."""
    rows = [
        row(run=str(day), task=str(task), started_at=NOON + timedelta(days=day), memory_peak_bytes=(day + task) * MB)
        for day in (1, 2)
        for task in (100, 200)
    ]
    rows += [row(run="2", task="x", started_at=NOON + timedelta(days=2), outcome=None, memory_peak_bytes=9_000 * MB)]
    first, second = course(tmp_path, rows).columns
    assert (first.runs, first.first_run, first.last_run, first.attempts) == (1, "1", "1", 2)
    assert (first.memory_low, first.memory_mean, first.memory_high) == (101 * MB, 151 * MB, 201 * MB)
    assert (second.attempts, second.running, second.memory_high) == (3, 1, 202 * MB)
    assert (first.cpu_mean, first.cpu_high, first.duration_mean) == (1.0, 1.0, 60.0)
    assert (first.asked_memory, first.asked_cpu) == (4096 * MB, 1.0)
    assert first.first_s == first.last_s == (NOON + timedelta(days=1)).timestamp()


def test_many_runs_share_columns_and_no_peak_is_lost(tmp_path: Path) -> None:
    """At most so many columns, filled from the newest run back; what was highest in a column is its highest."""
    runs = 5 * COLUMNS + 3
    peaks = [(number * 7919) % 1000 + 1 for number in range(runs)]
    rows = [
        row(run=f"{number:04}", started_at=NOON + timedelta(hours=number), memory_peak_bytes=peak * MB)
        for number, peak in enumerate(peaks)
    ]
    columns = course(tmp_path, rows).columns
    assert len(columns) <= COLUMNS
    assert sum(column.runs for column in columns) == runs
    assert {column.runs for column in columns[1:]} == {6}
    newest_first = peaks[::-1]
    for number, column in enumerate(reversed(columns)):
        part = newest_first[6 * number : 6 * number + 6]
        assert (column.memory_low, column.memory_high) == (min(part) * MB, max(part) * MB)
        assert column.memory_mean == pytest.approx(sum(part) / len(part) * MB)
    assert columns[-1].last_run == f"{runs - 1:04}"


def test_ends_are_counted_by_how(tmp_path: Path) -> None:
    """An attempt that did not end well takes no part in how long a task takes, and does in its peaks."""
    ends = ["ok", "oom", "oom", "failed", "killed", "lost", "unknown"]
    rows = [
        row(task=str(number), outcome=end, duration_s=60.0 if end == "ok" else 900.0, memory_peak_bytes=number * MB)
        for number, end in enumerate(ends)
    ]
    (column,) = course(tmp_path, rows).columns
    assert (column.oom, column.failed, column.killed, column.lost, column.unknown) == (2, 1, 1, 1, 1)
    assert (column.duration_low, column.duration_high, column.memory_high) == (60.0, 60.0, 6 * MB)


def test_what_was_never_read_is_not_known(tmp_path: Path) -> None:
    """Nor is what cannot be: no zero takes its place."""
    unread = {"memory_peak_bytes": None, "cpu_seconds": None, "cpu_max": None, "requested_cpu": None}
    (column,) = course(tmp_path, [row(**unread), row(task="2", **{**unread, "cpu_max": float("nan")})]).columns
    assert (column.memory_low, column.memory_mean, column.memory_high) == (None, None, None)
    assert (column.cpu_mean, column.cpu_high, column.asked_cpu) == (None, None, None)


def test_steps_and_histories_are_kept_apart(tmp_path: Path) -> None:
    """One of production is not one of a test run, whatever else is alike; a step that is not there has no course."""
    rows = [
        row(branch="prod", project="p"),
        row(branch="user.ann", project="p", memory_peak_bytes=1),
        row(step="other"),
    ]
    connection = write_tasks(tmp_path, rows).connect()
    keys = [StepKey("p", True, "TrainFlow", "train"), StepKey("p", False, "TrainFlow", "train"), TRAIN]
    found = courses(connection, Query(), keys)
    assert set(found) == set(keys[:2])
    assert [found[key].columns[0].memory_high for key in keys[:2]] == [600 * MB, 1]
    assert courses(connection, Query(), []) == {}


def test_the_query_chooses_what_counts(tmp_path: Path) -> None:
    """As it does for the report."""
    rows = [row(run=str(day), started_at=NOON + timedelta(days=day)) for day in range(10)]
    assert len(course(tmp_path, rows, query=Query(runs=3)).columns) == 3


def test_the_newest_run_is_the_one_that_began_last(tmp_path: Path) -> None:
    """Its attempts, by how they ended; its tasks, each by its largest attempt; the largest named."""
    rows = [row(run="9", started_at=NOON)]
    rows += [
        row(
            run="10",
            task=str(number),
            item=f"part={number}",
            started_at=NOON + timedelta(days=1, seconds=10 * number),
            memory_peak_bytes=(100 + number) * MB,
            duration_s=20.0,
        )
        for number in range(20)
    ]
    rows += [
        row(
            run="10",
            task="3",
            attempt=1,
            outcome="oom",
            started_at=NOON + timedelta(days=1),
            memory_peak_bytes=900 * MB,
        )
    ]
    newest = course(tmp_path, rows).newest
    assert (newest.run, newest.tasks, newest.attempts, newest.ends) == ("10", 20, 21, (("ok", 20), ("oom", 1)))
    assert newest.began_s == (NOON + timedelta(days=1)).timestamp()
    assert newest.ended_s == newest.began_s + 190 + 20
    assert max(newest.at_once) == 3
    assert newest.bad_s == (newest.began_s + 60,)
    assert [(large.task, large.item) for large in newest.largest[:2]] == [("3", "part=3"), ("19", "part=19")]
    assert len(newest.largest) == NAMED
    assert newest.memory_bytes is not None
    assert (newest.memory_bytes.count, newest.memory_bytes.lowest, newest.memory_bytes.highest) == (
        20,
        100 * MB,
        900 * MB,
    )


def test_a_run_that_still_runs_says_so(tmp_path: Path) -> None:
    """What has not ended has no peak yet."""
    newest = course(tmp_path, [row(outcome=None), row(task="2")]).newest
    assert (newest.running, newest.tasks, newest.ends) == (1, 2, (("ok", 1),))
    assert newest.memory_bytes is not None
    assert newest.memory_bytes.count == 1


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=500))
def test_sorted_values_end_with_the_highest(values: list[int]) -> None:
    """In at most so many places, each no lower than the one before, and each a value that was seen."""
    found = ordered(values)
    assert found is not None
    assert (found.lowest, found.highest, found.count) == (min(values), max(values), len(values))
    assert list(found.values) == sorted(found.values)
    assert set(found.values) <= set(values)
    assert found.values[-1] == max(values)
    assert len(found.values) == min(COLUMNS, len(values))


SPANS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), min_size=1, max_size=40)


@given(SPANS)
def test_how_many_ran_at_once_is_never_missed_nor_made_up(spans: list[tuple[int, int]]) -> None:
    """The most of all parts is the most of all moments, and each part holds the most of its own."""
    whole = [(float(start), float(start + long)) for start, long in spans]
    began, ended = min(start for start, _ in whole), max(end for _, end in whole)
    parts = at_once(whole, began, ended)
    assert len(parts) == PLACES

    def at(moment: float) -> int:
        return sum(1 for start, end in whole if start <= moment < end or start == end == moment)

    assert max(parts) == max(at(start) for start, _ in whole)
    if ended > began:
        for place in range(PLACES):
            middle = began + (ended - began) * (place + 0.5) / PLACES
            assert parts[place] >= at(middle)


@pytest.mark.parametrize("value", [1e300, float("inf"), float("nan"), -1.0])
def test_numbers_that_cannot_be_are_left_out(tmp_path: Path, value: float) -> None:
    """Rows may come from elsewhere than a collector of ours."""
    wrong = {"cpu_seconds": value, "cpu_max": value, "requested_cpu": value, "memory_peak_bytes": -1}
    found = course(tmp_path, [row(), {**row(task="2"), **wrong, "duration_s": value}])
    (column,) = found.columns
    assert (column.cpu_mean, column.cpu_high, column.asked_cpu, column.duration_high) == (1.0, 1.0, 1.0, 60.0)
    assert (column.memory_low, found.newest.ended_s) == (600 * MB, NOON.timestamp() + 60)
