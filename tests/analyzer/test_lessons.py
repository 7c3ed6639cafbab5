"""What steps teach each other, read from a real lake in one query."""

from __future__ import annotations

import itertools
import math
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from stepsize.analyzer.lessons import lessons
from stepsize.analyzer.sizing.lessons import FlowKey, Lessons
from stepsize.analyzer.sizing.memory.exceedances import Exceedances
from stepsize.analyzer.sizing.memory.static import static_settings
from stepsize.analyzer.usage import Query, histories
from stepsize.testing import write_tasks
from tests.analyzer.rows import MB, NOON, row

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = range(1, 40)


def taught(data: Path, rows: list[dict[str, Any]], **query: Any) -> Lessons:
    connection = write_tasks(data, rows).connect()
    try:
        return lessons(connection, Query(**query))
    finally:
        connection.close()


def history(flows: int, steps: int, runs: int) -> list[dict[str, Any]]:
    """Runs of one to five tasks, an hour apart, whose peaks scatter."""
    draw = random.Random(5)
    return [
        row(
            flow=f"F{flow}",
            step=f"s{step}",
            run=str(run),
            task=str(task),
            started_at=NOON + timedelta(hours=run, seconds=task),
            memory_peak_bytes=round(draw.lognormvariate(6, 0.4) * MB),
            duration_s=draw.uniform(10, 1000),
        )
        for flow, step, run in itertools.product(range(flows), range(steps), range(runs))
        for task in range(draw.randint(1, 5))
    ]


def test_the_query_counts_as_the_engine_does(tmp_path: Path) -> None:
    """Run by run, step by step: how many were compared with as many before them, how many tasks went above, how far."""
    rows = history(flows=3, steps=4, runs=12)
    found = taught(tmp_path, rows)
    expected = Exceedances()
    for _, of_step in itertools.groupby(rows, key=lambda one: (one["flow"], one["step"])):
        largest, known = 0, 0
        for _, of_run in itertools.groupby(of_step, key=lambda one: one["run"]):
            peaks = [one["memory_peak_bytes"] for one in of_run]
            if known:
                expected.add(known, np.log(np.array(peaks, dtype=np.float64) / largest))
            largest, known = max(largest, *peaks), known + 1
    for level in LEVELS:
        batches, above, excess = found.exceedances.at(level)
        expected_batches, expected_above, expected_excess = expected.at(level)
        assert (batches, above) == pytest.approx((expected_batches, expected_above))
        np.testing.assert_allclose(excess, expected_excess, atol=1e-9)
    for flow in ("F0", "F1", "F2"):
        of_flow = [one for one in rows if one["flow"] == flow]
        mean = found.flows[FlowKey(None, production=False, flow=flow)]
        assert mean.tasks == len(of_flow)
        held = math.fsum(one["memory_peak_bytes"] * one["duration_s"] / 3600 for one in of_flow)
        assert mean.byte_hours == pytest.approx(held)


def test_attempts_that_did_not_end_well_teach_nothing(tmp_path: Path) -> None:
    """What they needed is not known."""
    rows = [row(run=str(n), outcome=outcome) for n, outcome in enumerate(["failed", "oom", "killed", "lost", None])]
    found = taught(tmp_path, rows)
    assert found.flows == {}
    assert found.batches(1) == 0


def test_filters_hold_for_what_is_taught(tmp_path: Path) -> None:
    """A report on what came since a day knows nothing of what was before; of other flows it does."""
    rows = history(flows=2, steps=1, runs=4)
    later = taught(tmp_path, rows, since=NOON + timedelta(hours=2), flow="F0")
    assert set(later.flows) == {FlowKey(None, production=False, flow=flow) for flow in ("F0", "F1")}
    assert later.batches(1) == pytest.approx(2)


def test_a_step_sized_with_lessons_adds_nothing_to_them(tmp_path: Path) -> None:
    """The next step is taught the same, whatever order steps are sized in."""
    found = taught(tmp_path, history(flows=2, steps=2, runs=5))
    before = [found.batches(level) for level in LEVELS]
    workspace = found.workspace(static_settings(16.0), FlowKey(None, production=False, flow="F0"))
    terms = workspace.terms("F0")
    workspace.learn("F0", 1, np.array([0.5]), [])
    assert [found.batches(level) for level in LEVELS] == before
    assert workspace.terms("F0") == terms


def test_what_a_failure_costs_is_told_by_the_flow_alone(tmp_path: Path) -> None:
    """A flow of small tasks beside one whose tasks are ten thousand times as large."""
    rows = history(flows=1, steps=2, runs=5)
    large = [{**one, "flow": "Large", "memory_peak_bytes": 10_000 * one["memory_peak_bytes"]} for one in rows]
    key, settings = FlowKey(None, production=False, flow="F0"), static_settings(16.0)
    beside = taught(tmp_path / "beside", [*rows, *large]).workspace(settings, key).terms("F0")
    apart = taught(tmp_path / "apart", rows).workspace(settings, key).terms("F0")
    assert beside.failure_byte_hours == pytest.approx(apart.failure_byte_hours)


def test_a_step_is_taught_by_the_others_alone(tmp_path: Path) -> None:
    """What came after one of its own runs is not known before it, whatever else the lake holds."""
    rows = history(flows=2, steps=2, runs=12)
    others = [one for one in rows if (one["flow"], one["step"]) != ("F1", "s0")]
    connection = write_tasks(tmp_path / "all", rows).connect()
    try:
        found = lessons(connection, Query())
        (step,) = histories(connection, Query(flow="F1", step="s0"))
    finally:
        connection.close()
    beside, apart = found.beside(step), taught(tmp_path / "others", others)
    for level in LEVELS:
        counts, expected = beside.exceedances.at(level), apart.exceedances.at(level)
        assert counts[:2] == pytest.approx(expected[:2])
        assert counts[2] == pytest.approx(expected[2])


def test_a_step_alone_in_its_lake_is_taught_nothing(tmp_path: Path) -> None:
    """However often it ran."""
    connection = write_tasks(tmp_path, history(flows=1, steps=1, runs=12)).connect()
    try:
        found = lessons(connection, Query())
        (step,) = histories(connection, Query())
    finally:
        connection.close()
    assert max(found.beside(step).batches(level) for level in LEVELS) == pytest.approx(0, abs=1e-9)
