"""A lake: what its readers see, and what is said of directories that cannot be one."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stepsize.errors import DataError, LakeError
from stepsize.model import POINT_COLUMNS, TASK_COLUMNS
from stepsize.store.lake import Lake
from stepsize.store.schema import POINTS, SCHEMAS, TASKS
from stepsize.store.writer import LakeWriter
from stepsize.testing import write_tasks

WRITER = "11111111-2222-3333-4444-555555555555"
OTHER = "22222222-2222-3333-4444-555555555555"


def point(value: float, time_unix_nano: int = 1_790_000_000_123_456_789) -> dict[str, object]:
    return {
        "metric": "loss",
        "kind": "gauge",
        "attributes": "{}",
        "resource": "{}",
        "time_unix_nano": time_unix_nano,
        "start_time_unix_nano": 0,
        "received_at_unix_nano": time_unix_nano,
        "value_double": value,
    }


def commit_points(writer: LakeWriter, *values: float) -> None:
    rows = pa.Table.from_pylist([point(value) for value in values], schema=POINTS)
    stored = writer.write("points", "day=2026-09-21", rows)
    writer.commit(replace(writer.manifest, files=(*writer.manifest.files, stored)))


def values(lake: Lake) -> list[float]:
    with lake.connect() as connection:
        return [value for (value,) in connection.execute("SELECT value FROM points ORDER BY 1").fetchall()]


def test_empty_lake_has_every_view(tmp_path: Path) -> None:
    """From the first start on each view is there, empty, with exactly the columns and types of the model."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    with lake.connect() as connection:
        for view, columns in (("tasks", TASK_COLUMNS), ("points", POINT_COLUMNS)):
            described = connection.execute(f"DESCRIBE {view}").fetchall()
            names = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
            assert [(row[0], names.get(row[1], row[1])) for row in described] == [(c.name, c.type) for c in columns]
        for view in ("tasks", "points", "exact_points", "histograms", "exponential_histograms", "summaries"):
            assert connection.execute(f"SELECT count(*) FROM {view}").fetchone() == (0,)
    assert (tmp_path / "lake").stat().st_mode & 0o777 == 0o700


def test_any_duckdb_client_reads_it(tmp_path: Path) -> None:
    """Another process, in another directory, reads the views by path alone while a writer goes on."""
    lake = Lake(tmp_path / "o'lake [1]")
    lake.create()
    writer = LakeWriter(lake.data, WRITER)
    commit_points(writer, 1.5)
    query = "SELECT value FROM points"
    script = f"import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True).execute({query!r}).fetchall())"
    command = [sys.executable, "-c", script, str(lake.data / "stepsize.duckdb")]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert (done.stdout, done.stderr) == ("[(1.5,)]\n", "")
    commit_points(writer, 2.5)
    assert values(lake) == [1.5, 2.5]


def test_storage_version_is_readable_by_older_clients(tmp_path: Path) -> None:
    """The file of views is in the storage version of DuckDB 1.5 or older, whatever wrote it."""
    lake = Lake(tmp_path)
    lake.create()
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{tmp_path / 'stepsize.duckdb'}' AS lake (READ_ONLY)")
        found = connection.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'lake'").fetchone()
    assert found
    version = found[0].get("storage_version", "v1.0.0")
    numbers = [int(part) for part in version.lstrip("v").partition("+")[0].partition("-")[0].split(".")[:2]]
    assert numbers <= [1, 5]


def test_points_are_exact_and_readable(tmp_path: Path) -> None:
    """The view gives times in UTC, NULL for a start that was not sent, and integers exactly beside the double."""
    lake = Lake(tmp_path)
    lake.create()
    writer = LakeWriter(tmp_path, WRITER)
    row = {**point(0.0), "value_double": None, "value_int": 2**53 + 1, "start_time_unix_nano": 1_000_000_000}
    stored = writer.write("points", "day=2026-09-20", pa.Table.from_pylist([row, point(1.0)], schema=POINTS))
    writer.commit(replace(writer.manifest, files=(stored,)))
    with lake.connect() as connection:
        rows = connection.execute(
            "SELECT time, day, start_time, value, value_int FROM points ORDER BY value"
        ).fetchall()
        time = connection.execute("SELECT DISTINCT time_unix_nano FROM exact_points").fetchall()
    when = dt.datetime(2026, 9, 21, 14, 13, 20, 123456, dt.timezone.utc)
    day = dt.date(2026, 9, 20)  # the directory's, which a filter can skip files by
    start = dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.timezone.utc)
    assert rows == [(when, day, None, 1.0, None), (when, day, start, float(2**53 + 1), 2**53 + 1)]
    assert time == [(1_790_000_000_123_456_789,)]


def test_uncommitted_files_do_not_exist(tmp_path: Path) -> None:
    """A file that no manifest names is not in the lake, and a writer that starts again goes on without it."""
    lake = Lake(tmp_path)
    lake.create()
    writer = LakeWriter(tmp_path, WRITER)
    commit_points(writer, 1.0)
    writer.write("points", "day=2026-09-21", pa.Table.from_pylist([point(9.0)], schema=POINTS))
    lake.create()
    assert values(lake) == [1.0]
    commit_points(LakeWriter(tmp_path, WRITER), 2.0)
    assert values(lake) == [1.0, 2.0]


def test_crash_before_the_views(tmp_path: Path) -> None:
    """A commit whose views were not replaced any more is seen after the next start."""
    lake = Lake(tmp_path)
    lake.create()
    stale = (tmp_path / "stepsize.duckdb").read_bytes()
    commit_points(LakeWriter(tmp_path, WRITER), 1.0)
    (tmp_path / "stepsize.duckdb").write_bytes(stale)
    assert values(lake) == []
    lake.create()
    assert values(lake) == [1.0]


def test_writers_share_a_lake(tmp_path: Path) -> None:
    """Two writers each commit under their own name, and readers see both."""
    lake = Lake(tmp_path)
    lake.create()
    first, second = LakeWriter(tmp_path, WRITER), LakeWriter(tmp_path, OTHER)
    commit_points(first, 1.0)
    commit_points(second, 2.0)
    commit_points(first, 3.0)
    assert values(lake) == [1.0, 2.0, 3.0]


def test_what_a_kill_left_half_written_goes(tmp_path: Path) -> None:
    """Files that were never renamed go once nobody can be writing them any more; what is young, and what was, stays."""
    Lake(tmp_path).create()
    (tmp_path / ".erase").mkdir()
    left = [tmp_path / name for name in (".collector.json.ab12", ".schema.json.x", ".erase/.0123.json.zz")]
    others = [tmp_path / name for name in ("collector.json", ".erase/0123.json", ".collector.json.new")]
    for path in (*left, *others):
        path.write_bytes(b"{}")
    for path in (*left, *others[:2]):
        os.utime(path, (0, time.time() - 86_400))
    Lake(tmp_path).create()
    assert [path.exists() for path in left] == [False, False, False]
    assert [path.exists() for path in others] == [True, True, True]


def test_files_are_deleted_after_the_grace(tmp_path: Path) -> None:
    """Files that are no longer named stay for the grace and go after it; named ones and other writers' stay."""
    lake = Lake(tmp_path)
    lake.create()
    first, second = LakeWriter(tmp_path, WRITER), LakeWriter(tmp_path, OTHER)
    commit_points(first, 1.0)
    commit_points(second, 2.0)
    with lake.connect() as reader:
        first.commit(replace(first.manifest, files=()))
        assert first.collect_garbage(now_s=1000.0) == 0
        assert first.collect_garbage(now_s=1599.0) == 0
        assert reader.execute("SELECT count(*) FROM points").fetchone() == (2,)
    assert first.collect_garbage(now_s=1601.0) == 1
    assert second.collect_garbage(now_s=9999.0) == 0
    assert values(lake) == [2.0]


@pytest.mark.parametrize("content", ["", "{}", '{"version": 1}', '{"version": 99}', "[]"])
def test_damaged_manifest_is_refused(tmp_path: Path, content: str) -> None:
    """A damaged manifest is refused with its path: nothing is guessed about what exists."""
    lake = Lake(tmp_path)
    lake.create()
    (tmp_path / "manifests" / f"{WRITER}.json").write_text(content)
    with pytest.raises(LakeError, match=f"{WRITER}.json"):
        lake.create()


def test_directories_that_are_no_lake(tmp_path: Path) -> None:
    """Each has one clear line: no lake yet, a file, a newer schema, a damaged one."""
    with pytest.raises(LakeError, match="no data in"):
        Lake(tmp_path / "nowhere").connect()
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "file").touch()
    with pytest.raises(LakeError, match="is not a directory"):
        Lake(tmp_path / "file").create()
    with pytest.raises(LakeError, match="is not a directory"):
        Lake(tmp_path / "file" / "below").create()
    (tmp_path / "schema.json").write_text(json.dumps({"schema_version": 3}))
    for call in (Lake(tmp_path).create, Lake(tmp_path).connect):
        with pytest.raises(LakeError, match="update stepsize"):
            call()
    (tmp_path / "schema.json").write_text("?")
    with pytest.raises(LakeError, match=r"schema\.json"):
        Lake(tmp_path).create()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_directory_without_permission(tmp_path: Path) -> None:
    """No permission is one clear line."""
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(LakeError, match="ermission"):
        Lake(tmp_path / "closed" / "lake").create()


def test_write_tasks(tmp_path: Path) -> None:
    """Rows written for a test come back through the view, missing columns NULL; more can be added, bad keys not."""
    when = dt.datetime(2026, 9, 21, tzinfo=dt.timezone.utc)
    write_tasks(tmp_path, [{"flow": "F", "started_at": when, "cpu_histogram": {-128: 1.5}, "annotations": {"rows": 3}}])
    lake = write_tasks(tmp_path, [{"flow": "G", "attempt": 1}])
    with lake.connect() as connection:
        rows = connection.execute(
            "SELECT flow, started_at, cpu_histogram, annotations->>'rows', attempt, outcome FROM tasks ORDER BY flow"
        ).fetchall()
    assert rows == [("F", when, {-128: 1.5}, "3", None, None), ("G", None, None, None, 1, None)]
    with pytest.raises(DataError, match="no such column of tasks: flwo"):
        write_tasks(tmp_path, [{"flwo": "F"}])


def test_tables_cover_the_model() -> None:
    """`tasks` is stored with the columns of its view, in their order, and its state."""
    assert TASKS.names == [*(column.name for column in TASK_COLUMNS), "state"]
    assert set(SCHEMAS) == {"points", "histograms", "exponential_histograms", "summaries", "tasks"}


def test_files_from_before_a_column_was_added_are_read_with_the_others(tmp_path: Path) -> None:
    """What they do not hold is not known; they are merged into files that have it, and the view shows it."""
    lake = Lake(tmp_path / "lake")
    lake.create()
    before = pa.schema([field for field in TASKS if field.name != "instance_spot"])
    empty = lake.data / "tasks/month=1970-01/empty.parquet"
    pq.write_table(before.empty_table(), empty)
    writer = LakeWriter(lake.data, WRITER)
    old, new = (
        writer.write("tasks", "month=2026-09", pa.Table.from_pylist([{"flow": flow, "instance_spot": spot}], TASKS))
        for flow, spot in (("Old", None), ("New", True))
    )
    path = lake.data / old.path
    pq.write_table(pq.ParquetFile(path).read().select(before.names), path)
    lake.create()
    writer.commit(replace(writer.manifest, files=(old, new)))
    with lake.connect() as connection:
        rows = connection.execute("SELECT flow, instance_spot FROM tasks ORDER BY 1").fetchall()
    assert rows == [("New", True), ("Old", None)]
    assert writer.read([old, new], "tasks")["instance_spot"].to_pylist() == [None, True]


@pytest.mark.parametrize("moved", [False, True])
def test_a_lake_of_an_older_version_shows_every_column_of_today(tmp_path: Path, moved: bool) -> None:
    """Neither its files nor its views know a column that was added since; nobody has to collect for it to be there."""
    lake = write_tasks(tmp_path / "lake", [{"flow": "F", "attempt": 3}])
    for path in (lake.data / "tasks").rglob("*.parquet"):
        content = pq.ParquetFile(path).read()
        pq.write_table(content.drop_columns(["instance_spot"]), path)
    with duckdb.connect(str(lake.data / "stepsize.duckdb")) as views:
        views.execute("SET search_path = 'stepsize'")
        (sql,) = views.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'tasks'").fetchall()[0]
        without = sql.replace(", CAST(instance_spot AS BOOLEAN) AS instance_spot", "")
        assert without != sql
        views.execute(f"DROP VIEW tasks; {without}")
    if moved:
        lake = Lake(lake.data.rename(tmp_path / "elsewhere"))
    with lake.connect() as connection:
        assert connection.execute("SELECT flow, attempt, instance_spot FROM tasks").fetchall() == [("F", 3, None)]
        named = [name for name, *_ in connection.execute("DESCRIBE tasks").fetchall()]
    assert named == [column.name for column in TASK_COLUMNS]


def test_a_damaged_file_of_tasks_keeps_no_commit_from_being_seen(tmp_path: Path) -> None:
    """Who reads `tasks` is told; what else comes in is stored and seen."""
    write_tasks(tmp_path, [{"flow": "F", "run": "1", "step": "s", "task": "1", "attempt": 0}])
    for path in tmp_path.glob("tasks/*/*-*.parquet"):
        path.write_bytes(b"junk")
    lake = Lake(tmp_path)
    lake.create()
    commit_points(LakeWriter(tmp_path, OTHER), 1.0)
    assert values(lake) == [1.0]
    with pytest.raises(LakeError, match="cannot read the lake"), lake.reading() as connection:
        connection.execute("SELECT * FROM tasks").fetchall()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts calls as Linux does")
def test_a_commit_reads_no_more_files_the_more_there_are(tmp_path: Path) -> None:
    """It makes as many calls to read on a lake of sixty files as on one of six, and so does a look for garbage."""
    Lake(tmp_path).create()
    writer = LakeWriter(tmp_path, WRITER)
    calls = []
    for more in (6, 54):
        places = (("points", "day=2026-11-22"), ("tasks", "month=2026-11"))
        made = [writer.write(*place, SCHEMAS[place[0]].empty_table()) for place in places for _ in range(more)]
        writer.commit(replace(writer.manifest, files=(*writer.manifest.files, *made)))
        writer.collect_garbage(0.0)
        calls.append(min(reads_of(writer) for _ in range(3)))
    assert calls[0] == calls[1]


def reads_of(writer: LakeWriter) -> int:
    """Calls to read of one commit of a file, and of the look for garbage that follows."""
    stored = writer.write("points", "day=2026-11-22", POINTS.empty_table())
    before = read_calls()
    writer.commit(replace(writer.manifest, files=(*writer.manifest.files, stored)))
    writer.collect_garbage(0.0)
    return read_calls() - before


def read_calls() -> int:
    """Calls to read that this process has made."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return int(dict(line.split(": ") for line in lines)["syscr"])


def test_views_that_cannot_be_written_are_one_clear_line(tmp_path: Path) -> None:
    """A full disk, here a bound on files: no traceback of DuckDB's reaches whoever reads the lake."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from stepsize.errors import LakeError\n"
        "from stepsize.store.lake import Lake\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: Lake(Path(sys.argv[1])).create()\n"
        "except LakeError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"cannot write to {tmp_path}: ")
    assert run.stdout.count("\n") == 1
