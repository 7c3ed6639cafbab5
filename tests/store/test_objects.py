"""Lakes in an object store: a real S3 server (moto's) on loopback, what is brought there, and what is read of it."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from stepsize.collector.recount.on_duckdb import DuckDBEngine
from stepsize.collector.recount.recount import recount
from stepsize.errors import LakeError, UnavailableError, UsageError
from stepsize.store.lake import Lake
from stepsize.store.layout import SCHEMA_VERSION
from stepsize.store.manifest import read_manifests, retire, write_manifest
from stepsize.store.objects import ObjectLake, Place
from stepsize.store.schema import TASKS
from stepsize.store.writer import LakeWriter
from stepsize.testing import write_tasks
from tests.collector.otlp import SECOND, cpu_samples
from tests.collector.rollup_log import T0, Log, attempt
from tests.recount import lakes
from tests.store.s3 import NOW, URL, names

pytest.importorskip("moto.server", reason="no S3 server here: pip install 'moto[server]'")
ClientError: Any = pytest.importorskip("botocore.exceptions").ClientError
S3UploadFailedError: Any = pytest.importorskip("boto3.exceptions").S3UploadFailedError
uploads: Any = pytest.importorskip("stepsize.store.upload")

pytestmark = pytest.mark.peers


def bring(data: Path, client: Any, now: dt.datetime | None = None) -> Any:
    """By default now, as ages are counted: whoever imports this may run it many minutes later."""
    return uploads.upload(data, Place.of(URL), client, now or dt.datetime.now(dt.timezone.utc))


def read(query: str) -> list[tuple[Any, ...]]:
    with ObjectLake(URL).reading() as connection:
        return connection.execute(query).fetchall()


def measured(path: Path) -> Log:
    log = Log(path)
    log.fold(attempt("1").gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0, 3.0]), unit="{cpu}").end(T0, "ok"))
    return log


def test_the_views_are_those_of_the_lake(tmp_path: Path, store: Any) -> None:
    """Every column of tasks and points says in the store what it says here, a filter by day included."""
    log = measured(tmp_path / "one")
    log.fold(attempt("2", **{"stepsize.annotation.rows": 7}).gauge("stepsize.task.memory.usage", [(T0 + SECOND, 5)]))
    bring(log.lake.data, store)
    queries = [
        "SELECT * FROM tasks ORDER BY task",
        "SELECT * FROM points ORDER BY ALL",
        "SELECT * FROM exact_points ORDER BY ALL",
        "SELECT count(*) FROM points WHERE day = (SELECT max(day) FROM points)",
        "SELECT count(*) FROM points WHERE day < DATE '2000-01-01'",
        "SELECT count(*) FROM histograms",
    ]
    with log.lake.connect() as here:
        for query in queries:
            assert read(query) == here.execute(query).fetchall(), query


def test_only_what_is_new_is_sent(tmp_path: Path, store: Any) -> None:
    """A second upload of the same lake sends nothing; one of a lake that went on what was added."""
    log = measured(tmp_path / "one")
    first, second = bring(log.lake.data, store), bring(log.lake.data, store)
    assert first.sent > 0
    assert (second.sent, second.there) == (0, first.sent)
    log.fold(attempt("2").end(T0, "failed"))
    assert bring(log.lake.data, store).sent >= 1
    assert read("SELECT task, outcome FROM tasks ORDER BY task") == [("1", "ok"), ("2", "failed")]


def test_several_machines_bring_their_lakes_to_one_place(tmp_path: Path, store: Any) -> None:
    """Each writer's files are its own; rows that both have of an attempt are one in the view."""
    for name in ("a", "b"):
        lake = write_tasks(tmp_path / name, [_row(task="shared", ended_at=NOW), _row(task=name, ended_at=NOW)])
        bring(lake.data, store)
    assert read("SELECT task FROM tasks ORDER BY task") == [("a",), ("b",), ("shared",)]


def test_files_that_were_replaced_go_when_nobody_reads_them_any_more(tmp_path: Path, store: Any) -> None:
    """Not with the upload that replaces them, nor within ten minutes of it; then with the next. Others' stay."""
    log = measured(tmp_path / "one")
    bring(log.lake.data, store)
    foreign = "team/lake/tasks/open/55555555-0000-4000-8000-000000000000-000000000001.parquet"
    store.put_object(Bucket="bucket", Key=foreign, Body=b"")
    log.fold(attempt("2").end(T0, "ok"))  # which replaces the snapshot of attempts that may change
    assert bring(log.lake.data, store).deleted == 0
    before = set(names(store))
    now = dt.datetime.now(dt.timezone.utc)  # the store dates its objects by its own clock
    assert bring(log.lake.data, store, now + dt.timedelta(minutes=9)).deleted == 0
    assert bring(log.lake.data, store, now + dt.timedelta(minutes=12)).deleted >= 1
    left = set(names(store))
    assert foreign in left
    named = {f"team/lake/{one.path}" for manifest in read_manifests(log.lake.data) for one in manifest.files}
    assert named <= left < before
    assert read("SELECT count(*) FROM tasks") == [(2,)]


def test_a_lake_that_never_rests_leaves_no_more_than_ten_minutes_of_old_files(tmp_path: Path, store: Any) -> None:
    """With an upload every four minutes, each of which replaces the manifest, what was replaced goes all the same."""
    log, now = measured(tmp_path / "one"), dt.datetime.now(dt.timezone.utc)
    deleted = []
    for minutes in range(0, 24, 4):
        log.fold(attempt(str(minutes)).gauge("stepsize.task.cpu.usage", cpu_samples(T0, [1.0]), unit="{cpu}"))
        deleted.append(bring(log.lake.data, store, now + dt.timedelta(minutes=minutes)).deleted)
    assert deleted[:4] == [0, 0, 0, 0]  # what the second upload replaced is ten minutes old at the fifth
    assert all(deleted[4:])


def test_what_an_upload_that_was_killed_has_left_goes(tmp_path: Path, store: Any) -> None:
    """Files of a generation whose manifest never came, and that have been merged since, are named by none."""
    log, now = measured(tmp_path / "one"), dt.datetime.now(dt.timezone.utc)
    (manifest,) = read_manifests(log.lake.data)
    orphan = f"team/lake/points/day=2026-01-01/{manifest.writer}-000000000999.parquet"
    store.put_object(Bucket="bucket", Key=orphan, Body=b"")
    assert bring(log.lake.data, store, now).deleted == 0
    assert bring(log.lake.data, store, now + dt.timedelta(minutes=11)).deleted == 1
    assert orphan not in names(store)


def test_what_a_writer_kept_goes_when_it_is_set_aside(tmp_path: Path, store: Any) -> None:
    """A writer whose last files were dropped is retired here: its rows are in no view of the store any more."""
    log = measured(tmp_path / "one")
    bring(log.lake.data, store)
    (manifest,) = read_manifests(log.lake.data)
    write_manifest(log.lake.data, replace(manifest, files=(), generation=manifest.generation + 1))
    retire(log.lake.data, manifest.writer)
    bring(log.lake.data, store)
    assert read("SELECT count(*) FROM tasks") == [(0,)]


def test_a_reader_sees_a_generation_whole_or_the_one_before(tmp_path: Path, store: Any) -> None:
    """An upload that fails before its manifest is put leaves the store as it was for readers."""
    log = measured(tmp_path / "one")
    bring(log.lake.data, store)
    log.fold(attempt("2").end(T0, "ok"))
    (manifest,) = read_manifests(log.lake.data)
    gone = replace(manifest.files[0], name=manifest.files[0].name.replace(".parquet", "0.parquet"))
    write_manifest(log.lake.data, replace(manifest, files=(*manifest.files, gone), generation=manifest.generation + 1))
    with pytest.raises(UnavailableError, match="upload again"):
        bring(log.lake.data, store)
    assert read("SELECT task FROM tasks") == [("1",)]


def test_of_two_uploads_at_once_one_is_told(tmp_path: Path, store: Any) -> None:
    """The store takes a manifest only in place of the one that was looked at."""
    log = measured(tmp_path / "one")
    bring(log.lake.data, store)
    log.fold(attempt("2").end(T0, "ok"))

    class Meanwhile:
        """A client during whose upload somebody else puts a manifest."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def upload_file(self, *arguments: str) -> None:
            store.upload_file(*arguments)
            (manifest,) = [key for key in names(store) if "/manifests/" in key]
            store.put_object(Bucket="bucket", Key=manifest, Body=b"{}")

    with pytest.raises(UnavailableError, match="somebody else"):
        bring(log.lake.data, Meanwhile())


@pytest.mark.parametrize("files_first", [0, 1, 2])
def test_an_upload_that_is_killed_at_any_moment_goes_on(tmp_path: Path, store: Any, files_first: int) -> None:
    """After so many requests that changed something: readers see what was there before, the next upload brings all."""
    log = measured(tmp_path / "one")
    bring(log.lake.data, store)
    log.fold(attempt("2").gauge("stepsize.task.memory.usage", [(T0, 5)]).end(T0, "ok"))

    class Killed(BaseException):
        """Nothing that is caught."""

    class Dying:
        """A client whose process ends after so many changes."""

        def __init__(self) -> None:
            self.left = files_first

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def upload_file(self, *arguments: str) -> None:
            self._count()
            store.upload_file(*arguments)

        def put_object(self, **arguments: Any) -> None:
            self._count()
            store.put_object(**arguments)

        def _count(self) -> None:
            if not self.left:
                raise Killed
            self.left -= 1

    with pytest.raises(Killed):
        bring(log.lake.data, Dying())
    assert read("SELECT task FROM tasks") == [("1",)]
    bring(log.lake.data, store)
    assert read("SELECT task FROM tasks ORDER BY task") == [("1",), ("2",)]


def test_files_that_are_merged_while_they_are_sent_are_let_go(tmp_path: Path, store: Any) -> None:
    """An upload that takes longer than files live goes on with the generation that there is by then."""
    log = measured(tmp_path / "one")

    class Slow:
        """A client during whose first request the collector goes on."""

        has_waited = False

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def upload_file(self, path: str, *arguments: str) -> None:
            if not self.has_waited:
                self.has_waited = True
                log.fold(attempt("2").end(T0, "ok"))
                (manifest,) = read_manifests(log.lake.data)
                named = {log.lake.data / one.path for one in manifest.files}
                for old in set(log.lake.data.glob("*/*/1111*.parquet")) - named:
                    old.unlink()
            store.upload_file(path, *arguments)

    open_before = set(log.lake.data.glob("tasks/open/*.parquet"))
    (manifest,) = read_manifests(log.lake.data)
    files = sorted(manifest.files, key=lambda one: one.partition != "open")
    write_manifest(log.lake.data, replace(manifest, files=tuple(files)))
    assert open_before
    bring(log.lake.data, Slow())
    assert read("SELECT task FROM tasks ORDER BY task") == [("1",), ("2",)]


def test_a_lake_that_was_set_back_is_refused(tmp_path: Path, store: Any) -> None:
    """A backup that was restored, or a copy that went on by itself, gives names twice: nothing there is replaced."""
    log = measured(tmp_path / "one")
    shutil.copytree(log.lake.data, tmp_path / "backup")
    bring(log.lake.data, store)
    log.fold(attempt("2").end(T0, "ok"))
    bring(log.lake.data, store)
    held = {name: store.get_object(Bucket="bucket", Key=name)["ETag"] for name in names(store)}
    with pytest.raises(LakeError, match="another state of this lake"):
        bring(tmp_path / "backup", store)
    copy = Lake(tmp_path / "backup")  # which goes on, and gets ahead
    writer = LakeWriter(copy.data, read_manifests(copy.data)[0].writer)
    for _ in range(3):
        stored = writer.write("tasks", "month=1970-01", TASKS.empty_table())
        writer.commit(replace(writer.manifest, files=(*writer.manifest.files, stored)))
    with pytest.raises(LakeError, match="another state of this lake"):
        bring(copy.data, store)
    assert {name: store.get_object(Bucket="bucket", Key=name)["ETag"] for name in names(store)} == held


def test_the_store_carries_the_version_of_what_is_in_it(tmp_path: Path, store: Any) -> None:
    """A lake of a newer schema replaces the version there; one that is older than the store's is not brought."""
    log = measured(tmp_path / "one")
    store.put_object(Bucket="bucket", Key="team/lake/schema.json", Body=b'{"schema_version": 1}')
    bring(log.lake.data, store)
    assert json.loads(store.get_object(Bucket="bucket", Key="team/lake/schema.json")["Body"].read()) == {
        "schema_version": SCHEMA_VERSION
    }
    store.put_object(Bucket="bucket", Key="team/lake/schema.json", Body=b'{"schema_version": 999}')
    with pytest.raises(LakeError, match="newer stepsize"):
        bring(log.lake.data, store)


def test_files_deleted_under_a_reader_are_one_line(tmp_path: Path, store: Any) -> None:
    """Not a traceback, and no part of the rows."""
    log = measured(tmp_path / "one")
    bring(log.lake.data, store)

    def read_late() -> None:
        with ObjectLake(URL).reading() as connection:
            for name in names(store):
                if name.endswith(".parquet"):
                    store.delete_object(Bucket="bucket", Key=name)
            connection.execute("SELECT * FROM tasks").fetchall()

    with pytest.raises(LakeError, match="cannot read s3://bucket/team/lake"):
        read_late()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_PROFILE": "nobody"}, "refuses: The config profile"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}, "is not there now"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "refuses: Unable to locate credentials"),
    ],
)
def test_a_store_that_cannot_be_asked_is_one_line(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    """Which says what is wrong, and nothing of a secret."""
    write_tasks(tmp_path / "lake", [_row(task="1", ended_at=NOW)])
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    failed = command(tmp_path, "upload", URL, "--data", str(tmp_path / "lake"))
    assert (failed.returncode, len(failed.stderr.splitlines())) == (1, 1), failed.stderr
    assert said in failed.stderr
    assert "secret" not in failed.stderr


def test_a_store_that_fails_half_way_is_one_line(tmp_path: Path, store: Any) -> None:
    """A file that it refuses, as one that is there no more: the client's errors are told apart."""
    log = measured(tmp_path / "one")
    refused = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    busy = {"Error": {"Code": "SlowDown", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 503}}

    class Failing:
        """A client that answers each file with one error."""

        def __init__(self, answer: dict[str, Any]) -> None:
            self.answer = answer

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def upload_file(self, *_: str) -> None:
            try:
                self._fail()
            except ClientError as error:  # as boto3 has it
                raise S3UploadFailedError(f"Failed to upload: {error}") from None

        def _fail(self) -> None:
            raise ClientError(self.answer, "PutObject")

    with pytest.raises(LakeError, match="AccessDenied"):
        bring(log.lake.data, Failing(refused))
    with pytest.raises(UnavailableError, match="try again"):
        bring(log.lake.data, Failing(busy))


def test_what_is_wrong_is_one_line(tmp_path: Path, store: Any) -> None:
    """No lake, no bucket, a newer lake, no such address: each says so."""
    with pytest.raises(LakeError, match="no data in s3://bucket/team/lake"):
        read("SELECT 1")
    with pytest.raises(LakeError, match=r"no data in .* yet"):
        bring(tmp_path / "none", store)
    store.put_object(Bucket="bucket", Key="team/lake/schema.json", Body=json.dumps({"schema_version": 999}).encode())
    with pytest.raises(LakeError, match="newer stepsize"):
        read("SELECT 1")
    for url in ("gs://bucket/x", "s3://", "bucket", "s3://a bucket/x", "s3://bad!/x"):
        with pytest.raises(UsageError, match="is not s3://"):
            Place.of(url)
    for url in (
        "s3://bucket/a//b",
        "s3://bucket/../x",
        "s3://bucket/a/./b",
        "s3://bucket/a\tb",
    ):  # what Arrow cannot read
        with pytest.raises(UsageError, match="a prefix has"):
            Place.of(url)
    log = measured(tmp_path / "one")
    with pytest.raises(LakeError, match="refuses"):
        uploads.upload(log.lake.data, Place.of("s3://nobodys/lake"), store, NOW)


@pytest.mark.parametrize("prefix", ["a b", "ü/é", "a+b%20c", "x?y#z", 'it\'s "q"', "*[x]", "a\\b"])
def test_a_prefix_may_hold_odd_characters(tmp_path: Path, store: Any, prefix: str) -> None:
    """What is brought there is read there."""
    log, url = measured(tmp_path / "one"), f"s3://bucket/{prefix}"
    uploads.upload(log.lake.data, Place.of(url), store, NOW)
    with ObjectLake(url).reading() as connection:
        assert connection.execute("SELECT count(*), (SELECT count(*) FROM points) > 0 FROM tasks").fetchall() == [
            (1, True)
        ]


@pytest.mark.skipif(find_spec("pyspark") is None or shutil.which("java") is None, reason="no Spark here")
def test_spark_without_a_connector_to_s3_is_one_line(tmp_path: Path, store: Any) -> None:
    """PySpark as it is published has none; what to do is said."""
    bring(measured(tmp_path / "one").lake.data, store)
    failed = command(tmp_path, "rollup", "--engine", "spark", "--data", URL, "--out", str(tmp_path / "out"))
    assert failed.returncode == 1
    assert "stepsize: Spark has no connector to s3://" in failed.stderr
    assert "--engine duckdb" in failed.stderr


def test_report_reads_what_upload_brought(tmp_path: Path, store: Any) -> None:
    """Two commands, as a user calls them, and the report is that of the lake here."""
    write_tasks(tmp_path / "lake", [_row(task=str(n), ended_at=NOW, memory_peak_bytes=10**9) for n in range(3)])
    sent = command(tmp_path, "upload", URL, "--data", str(tmp_path / "lake"))
    assert sent.returncode == 0, sent.stderr
    assert sent.stdout.startswith("1 files sent")
    there = command(tmp_path, "report", "--data", URL, "--format", "json")
    here = command(tmp_path, "report", "--data", str(tmp_path / "lake"), "--format", "json")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(here.stdout)
    assert json.loads(there.stdout)[0]["tasks"] == 3


def test_a_roll_up_of_points_in_the_store_is_that_of_points_here(tmp_path: Path, store: Any) -> None:
    """DuckDB here reads them where they lie; the result is a lake on this machine."""
    log, until_ns = lakes.write(tmp_path / "from")
    bring(log.lake.data, store)
    recount(ObjectLake(URL), tmp_path / "out", DuckDBEngine(1 << 30), until_ns)
    assert lakes.differences(lakes.rows(log.lake.data), lakes.rows(tmp_path / "out")) == []


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: text for name, text in os.environ.items() if name.startswith("AWS_") or name == "PATH"}
    environment |= {"HOME": str(home), "STEPSIZE_RUNTIME": str(home / "run")}
    command = [sys.executable, "-m", "stepsize", *arguments]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=120)


def _row(**more: Any) -> dict[str, Any]:
    return {"flow": "F", "run": "1", "step": "s", "attempt": 0, "started_at": NOW, "outcome": "ok", **more}
