"""Reading a lake that was moved, copied, damaged, or written by several collectors."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from stepsize.errors import LakeError
from stepsize.store.bounds import quiet_connection
from stepsize.store.lake import Lake
from stepsize.testing import write_tasks

NOON = datetime(2026, 9, 21, 12, tzinfo=timezone.utc)


def _row(**more: Any) -> dict[str, Any]:
    return {"flow": "Flow", "run": "1", "step": "s", "task": "t", "attempt": 0, "ended_at": NOON, **more}


def _flows(data: Path) -> list[str]:
    with Lake(data).reading() as connection:
        return [flow for (flow,) in connection.execute("SELECT flow FROM tasks ORDER BY flow").fetchall()]


def test_a_lake_that_was_moved_is_read_where_it_is(tmp_path: Path) -> None:
    """The views name absolute paths; the manifests name files in the lake."""
    write_tasks(tmp_path / "old", [_row()])
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert _flows(tmp_path / "new") == ["Flow"]


def test_a_copy_reads_its_own_files(tmp_path: Path) -> None:
    """Not those of the original, which may have gone on or away."""
    write_tasks(tmp_path / "original", [_row()])
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    write_tasks(tmp_path / "original", [_row(flow="Later")])
    assert _flows(tmp_path / "original") == ["Flow", "Later"]
    assert _flows(tmp_path / "copy") == ["Flow"]


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"junk"), Path.unlink])
def test_a_damaged_file_is_one_clear_line(tmp_path: Path, damage: Any) -> None:
    """Whatever DuckDB says of it, however many lines."""
    write_tasks(tmp_path, [_row()])
    damage(next((tmp_path / "tasks/month=1970-01").glob("*-*.parquet")))
    with pytest.raises(LakeError, match="cannot read the lake in") as refused:
        _flows(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"outcome": None}, {"outcome": "ok"}, "ok"),
        ({"outcome": "lost"}, {"outcome": "failed"}, "failed"),
        ({"outcome": "lost", "ended_at": NOON + timedelta(hours=1)}, {"outcome": None}, None),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_an_attempt_that_several_collectors_saw_is_one_row(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], expected: str | None, turned: bool
) -> None:
    """Behind a load balancer each has a part: the one that saw the end knows most, and `lost` is a guess."""
    for part in (second, first) if turned else (first, second):
        write_tasks(tmp_path, [_row(**part)])
    write_tasks(tmp_path, [_row(user="somebody else", outcome="ok"), _row(attempt=1, outcome="ok")])
    with Lake(tmp_path).reading() as connection:
        rows = connection.execute('SELECT attempt, "user", outcome FROM tasks ORDER BY ALL').fetchall()
    assert sorted(rows, key=str) == sorted([(0, None, expected), (0, "somebody else", "ok"), (1, None, "ok")], key=str)


def test_what_a_query_cannot_hold_lies_on_disk_for_as_long_as_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is bounded sorts more than its memory, and leaves nothing behind."""
    beside = tmp_path / "beside"
    beside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(beside))
    lake = write_tasks(tmp_path / "lake", [{"flow": "F"}])
    query = "SELECT md5(range::VARCHAR) AS text, range FROM range(1_500_000) ORDER BY text"
    with lake.reading(memory_bytes=48 << 20) as connection:
        rows = connection.sql(query).to_arrow_reader(50_000)
        first = next(iter(rows))
        assert any(beside.rglob("*"))
        assert first.num_rows + sum(batch.num_rows for batch in rows) == 1_500_000
    assert list(beside.iterdir()) == []


def test_connections_draw_no_bar(tmp_path: Path) -> None:
    """DuckDB draws one on standard output when a query takes two seconds, in the midst of a report."""
    lake = write_tasks(tmp_path, [_row()])
    query = "SELECT current_setting('enable_progress_bar'), current_setting('TimeZone')"
    with lake.reading() as connection:
        assert connection.execute(query).fetchall() == [(False, "UTC")]


def test_no_connection_draws_a_bar_on_standard_output() -> None:
    """Every connection of the packages is opened in the one place that opens quiet ones."""
    with quiet_connection() as connection:
        assert connection.execute("SELECT current_setting('enable_progress_bar')").fetchone() == (False,)
    root = Path(__file__).parents[2]
    files = [
        path
        for name in ("src/stepsize", "collector", "analyzer", "instrumentation")
        for path in (root / name).rglob("*.py")
    ]
    opening = [path.relative_to(root).as_posix() for path in files if "duckdb.connect(" in path.read_text("utf-8")]
    assert opening == ["src/stepsize/store/bounds.py"]
