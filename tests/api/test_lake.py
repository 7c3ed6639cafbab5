"""``stepsize.open_lake``: attempts and points as DuckDB relations."""

from __future__ import annotations

from pathlib import Path

import pytest

import stepsize
from stepsize.errors import LakeError
from stepsize.model import POINT_COLUMNS, TASK_COLUMNS
from stepsize.testing import write_tasks
from tests.analyzer.rows import row
from tests.places import short_directory


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("STEPSIZE_DATA", str(tmp_path / "lake"))
    monkeypatch.setenv("STEPSIZE_RUNTIME", str(tmp_path / "run"))


def test_tasks_and_points_are_relations(tmp_path: Path) -> None:
    """With the columns that the documentation names; queries take parameters."""
    (tmp_path / "lake").mkdir()
    write_tasks(tmp_path / "lake", [row(flow="Flow", task=str(number)) for number in range(3)])
    with stepsize.open_lake(settle=False) as lake:
        assert lake.tasks.columns == [column.name for column in TASK_COLUMNS]
        assert set(lake.points.columns) == {column.name for column in POINT_COLUMNS}
        assert lake.tasks.filter("task <> '1'").count("*").fetchall() == [(2,)]
        assert lake.sql("SELECT task FROM tasks WHERE task = $task", task="2").fetchall() == [("2",)]
        assert lake.points.fetchall() == []
        assert lake.missing == ()


def test_a_lake_elsewhere_is_opened_by_its_path(tmp_path: Path) -> None:
    """And where there is none, that is said."""
    other = tmp_path / "other"
    other.mkdir()
    write_tasks(other, [row()])
    with stepsize.open_lake(other, settle=False) as lake:
        assert lake.tasks.count("*").fetchall() == [(1,)]
    with pytest.raises(LakeError, match="no data"):
        stepsize.open_lake(settle=False)


def test_what_has_just_been_tracked_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agent and collector are flushed first, as for the report; the collector is the one that the agent brings."""
    with short_directory() as directory:
        monkeypatch.setenv("STEPSIZE_DATA", str(directory / "lake"))
        monkeypatch.setenv("STEPSIZE_RUNTIME", str(directory / "run"))
        with stepsize.track(flow="Flow", step="just") as task:
            stepsize.annotate(rows=3)
        with stepsize.open_lake() as lake:
            assert lake.missing == ()
            found = lake.sql("SELECT outcome, annotations ->> 'rows' FROM tasks WHERE task = $t", t=task.identity.task)
            assert found.fetchall() == [("ok", "3")]
        advice = task.recommend(history=True)
        assert advice.confidence.value == "low"  # one task: the row in the lake is this attempt itself
