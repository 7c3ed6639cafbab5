"""Attempts of others in a lake: each once, all of an import or none of it, beside what collectors wrote."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stepsize.collector.imports.attempts import Attempt
from stepsize.collector.imports.into_lake import WRITER, import_attempts
from stepsize.collector.upkeep.tend import tend
from stepsize.errors import DataError, UnavailableError
from stepsize.model import TASK_COLUMNS, Outcome
from stepsize.store.lake import Lake
from stepsize.store.manifest import read_manifest
from stepsize.store.retention import Retention
from stepsize.store.writer import writer_lock
from stepsize.testing import write_tasks

START_S = dt.datetime(2026, 10, 31, 23, 0, tzinfo=dt.timezone.utc).timestamp()


def attempt(number: int, **more: Any) -> Attempt:
    said = {
        "flow": "etl",
        "run": "1",
        "step": "load",
        "task": str(number),
        "native": f"n{number}",
        "outcome": Outcome.OK,
        "started_at_s": START_S + number * 60,
        "duration_s": 30.0,
    }
    return Attempt(**{**said, **more})


def rows(data: Path, query: str = "SELECT task FROM tasks ORDER BY started_at, task") -> list[tuple[Any, ...]]:
    with Lake(data).reading() as connection:
        found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return found


def test_what_is_imported_again_adds_nothing(tmp_path: Path) -> None:
    """Neither a row nor a file."""
    attempts = [attempt(number) for number in range(5)]
    assert import_attempts(tmp_path, attempts).added == 5
    before = read_manifest(tmp_path, WRITER)
    again = import_attempts(tmp_path, attempts)
    assert (again.added, again.known, again.steps) == (0, 5, ())
    assert read_manifest(tmp_path, WRITER) == before


def test_of_a_longer_file_only_what_is_new_is_added(tmp_path: Path) -> None:
    """However it overlaps with the one before."""
    import_attempts(tmp_path, map(attempt, range(3)))
    done = import_attempts(tmp_path, map(attempt, range(1, 6)))
    assert (done.attempts, done.known, done.added) == (5, 2, 3)
    assert rows(tmp_path) == [(str(number),) for number in range(6)]


def test_what_was_read_twice_counts_once_as_it_was_read_last(tmp_path: Path) -> None:
    """Two files of the same jobs, the later with more of them."""
    done = import_attempts(tmp_path, [attempt(1, cpu_seconds=1.0), attempt(2), attempt(1, cpu_seconds=9.0)])
    assert (done.attempts, done.repeated, done.added) == (3, 1, 2)
    assert rows(tmp_path, "SELECT cpu_seconds FROM tasks WHERE task = '1'") == [(9.0,)]


def test_executions_of_one_name_stay_apart(tmp_path: Path) -> None:
    """The first has the name; so it has when a longer file follows, and then nothing is added twice."""
    same = [attempt(0, task="s1", native=native) for native in ("a", "b", "c")]
    import_attempts(tmp_path, same[:2])
    assert import_attempts(tmp_path, same).added == 1
    assert {name for (name,) in rows(tmp_path)} == {"s1", "s1 [b]", "s1 [c]"}


def test_what_a_source_does_not_say_is_null(tmp_path: Path) -> None:
    """Every column but those that were said, and what follows from them."""
    import_attempts(tmp_path, [attempt(0)])
    with Lake(tmp_path).reading() as connection:
        (row,) = connection.sql("SELECT * FROM tasks").to_arrow_table().to_pylist()
    said = {"flow", "run", "step", "task", "attempt", "outcome", "started_at", "ended_at", "duration_s"}
    assert {name for name, value in row.items() if value is not None} == said
    assert row["ended_at"] - row["started_at"] == dt.timedelta(seconds=30)
    assert set(row) == {column.name for column in TASK_COLUMNS}


def test_numbers_that_cannot_be_are_null(tmp_path: Path) -> None:
    """Negative, infinite or beyond 64 bits; the row stays."""
    wrong = {"cpu_seconds": -1.0, "memory_peak_bytes": 2**70, "requested_cpu": float("inf"), "exit_code": -5}
    import_attempts(tmp_path, [attempt(0, **wrong)])
    assert rows(tmp_path, f"SELECT {', '.join(wrong)} FROM tasks") == [(None,) * 4]


def test_names_that_are_too_long_stay_apart(tmp_path: Path) -> None:
    """Each by its beginning and a digest; imported again, they are known."""
    long = [attempt(0, task="a" * 20_000 + end) for end in "xy"]
    assert import_attempts(tmp_path, long).added == 2
    assert import_attempts(tmp_path, long).known == 2
    assert {len(task) for (task,) in rows(tmp_path)} == {16_384}


def test_rows_lie_in_the_month_in_which_they_began(tmp_path: Path) -> None:
    """Those without a time in that of their import, so that their age is counted from there."""
    without = attempt(500, started_at_s=None, duration_s=None)
    import_attempts(tmp_path, [attempt(0), attempt(100), without])
    now = dt.datetime.now(dt.timezone.utc)
    partitions = {stored.partition for stored in read_manifest(tmp_path, WRITER).files}
    assert partitions == {"month=2026-10", "month=2026-11", f"month={now:%Y-%m}"}


def test_an_attempt_that_was_tracked_is_not_imported_beside_it(tmp_path: Path) -> None:
    """A row of a collector's knows more; one of another project with the same names is another."""
    write_tasks(tmp_path, [{"flow": "etl", "run": "1", "step": "load", "task": "0", "attempt": 0, "outcome": "ok"}])
    done = import_attempts(tmp_path, [attempt(0), attempt(0, project="other"), attempt(0, attempt=1)])
    assert (done.known, done.added) == (1, 2)


def test_a_source_that_fails_adds_nothing(tmp_path: Path) -> None:
    """Also of what it gave before."""

    def source() -> Iterator[Attempt]:
        yield from map(attempt, range(21_000))
        raise DataError("cut off")

    with pytest.raises(DataError, match="cut off"):
        import_attempts(tmp_path, source())
    assert not list(tmp_path.iterdir())


def test_what_a_killed_import_left_is_swept_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next one, which leaves alone what one that goes on has set down; nothing stays in the end."""
    staging = tmp_path / "staging"
    staging.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(staging))

    def source() -> Iterator[Attempt]:
        (mine,) = staging.iterdir()
        killed = staging / f"{mine.name}-killed"  # its lock is nobody's
        shutil.copytree(mine, killed)
        import_attempts(tmp_path / "other", [attempt(1)])
        assert list(staging.iterdir()) == [mine]
        yield from map(attempt, range(3))

    assert import_attempts(tmp_path / "lake", source()).added == 3
    assert not list(staging.iterdir())


def test_a_dry_run_leaves_nothing(tmp_path: Path) -> None:
    """It says what would be added, of what the lake has too."""
    assert import_attempts(tmp_path / "none", map(attempt, range(3)), dry_run=True).added == 3
    assert not (tmp_path / "none").exists()
    import_attempts(tmp_path, map(attempt, range(2)))
    before = read_manifest(tmp_path, WRITER)
    done = import_attempts(tmp_path, map(attempt, range(3)), dry_run=True)
    assert (done.known, done.added) == (2, 1)
    assert read_manifest(tmp_path, WRITER) == before


def test_many_imports_leave_few_files(tmp_path: Path) -> None:
    """Eight of a level become one of the next, rows and all."""
    for number in range(8):
        import_attempts(tmp_path, [attempt(number)])
    assert len(read_manifest(tmp_path, WRITER).files) == 1
    assert len(rows(tmp_path)) == 8


def test_two_imports_do_not_write_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first, and says so where that takes too long."""
    monkeypatch.setattr("stepsize.collector.imports.into_lake._LOCK_TIMEOUT_S", 0.1)
    Lake(tmp_path).create()
    with writer_lock(tmp_path, WRITER).held(1.0), pytest.raises(UnavailableError, match="another process holds"):
        import_attempts(tmp_path, [attempt(0)])


def test_what_is_imported_is_kept_and_dropped_like_the_rest(tmp_path: Path) -> None:
    """`stepsize compact --keep-tasks` drops its months, and an import after that adds anew."""

    def old(numbers: Iterable[int]) -> Iterator[Attempt]:
        return (attempt(number, started_at_s=START_S - 400 * 86400) for number in numbers)

    import_attempts(tmp_path, [*old(range(3)), attempt(5)])
    assert tend(tmp_path, Retention(tasks_s=100 * 86400.0), quiet_s=0.0).dropped == 1
    assert rows(tmp_path) == [("5",)]
    assert import_attempts(tmp_path, old(range(3))).added == 3
