"""Upkeep: days that are past become few files, old ones go, and readers see every point once all the while."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from stepsize.collector.limits import UpkeepLimits
from stepsize.collector.upkeep.plan import next_group
from stepsize.collector.upkeep.tend import Tended, tend
from stepsize.collector.upkeep.upkeep import Upkeep
from stepsize.collector.upkeep.work import TendJob, Work
from stepsize.errors import LakeError
from stepsize.store.lake import Lake
from stepsize.store.manifest import Manifest, StoredFile, WalPosition, announce, read_manifest, read_manifests
from stepsize.store.merge import DAY, HOUR
from stepsize.store.retention import Retention
from stepsize.store.writer import LakeWriter, writer_lock
from tests.collector.running import wait_for
from tests.store.points import points
from tests.upkeep.lake import DAY_NS, FIRST, SECOND_WRITER, commit, day_start, levels, partition, samples, seen

HOUR_S = 3600.0


class Planned:
    """Files of a day with their ages in hours."""

    def __init__(self, days_ago: int) -> None:
        self.partition = partition(day_start(days_ago))
        self.ages_h: dict[str, float] = {}
        self.files: dict[str, list[StoredFile]] = {}

    def file(self, writer: str, age_h: float, level: int = 0, rows: int = 100_000) -> StoredFile:
        name = str(len(self.ages_h))
        self.ages_h[name] = age_h
        made = StoredFile("points", self.partition, name, rows, rows, level)
        self.files.setdefault(writer, []).append(made)
        return made

    def next(self, now: dt.datetime, quiet_s: float = HOUR_S) -> tuple[set[str], set[str], int] | None:
        manifests = [Manifest(writer, files=tuple(files)) for writer, files in self.files.items()]
        group = next_group(SECOND_WRITER, manifests, lambda one: self.ages_h[one.name] * HOUR_S, now, quiet_s)
        names = ({one.name for one in files} for files in (group.files, group.elsewhere)) if group else None
        return None if group is None or names is None else (*names, group.level)  # type: ignore[return-value]  # two sets


def noon() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc).replace(hour=12)


def test_a_day_is_compacted_when_it_is_past_and_quiet() -> None:
    """Not before nothing has come for an hour, to any writer whose points are compared, and once."""
    day = Planned(1)
    day.file(SECOND_WRITER, 5.0)
    day.file(SECOND_WRITER, 0.5)
    assert day.next(noon()) is None
    day.ages_h["1"] = 1.5
    day.file(FIRST, 0.5)
    assert day.next(noon()) is None
    day.ages_h["2"] = 1.5
    day.file(FIRST, 0.1, DAY)  # compacted just now, which says nothing of when its points came
    assert day.next(noon()) == ({"0", "1"}, {"2", "3"}, DAY)
    done = Planned(1)
    done.file(SECOND_WRITER, 9.0, DAY)
    assert done.next(noon()) is None


def test_late_points_have_a_day_compacted_again() -> None:
    """Soon where they are many; few wait for a day, so that a large day is not written anew for each of them."""
    day = Planned(3)
    day.file(SECOND_WRITER, 50.0, DAY, rows=1_000_000)
    day.file(SECOND_WRITER, 2.0, rows=500)
    assert day.next(noon()) is None
    assert day.next(noon(), quiet_s=0.0) == ({"0", "1"}, set(), DAY)
    day.file(SECOND_WRITER, 2.0, rows=10_000)
    assert day.next(noon()) == ({"0", "1", "2"}, set(), DAY)
    few = Planned(3)
    few.file(SECOND_WRITER, 50.0, DAY, rows=1_000_000)
    few.file(SECOND_WRITER, 25.0, rows=1)
    assert few.next(noon()) == ({"0", "1"}, set(), DAY)


def test_the_day_that_goes_on_is_compacted_by_the_hour() -> None:
    """Of what merging has finished with; another writer's files are left out of it, and small ones to merging."""
    day = Planned(0)
    day.file(FIRST, 5.0)
    day.file(SECOND_WRITER, 5.0, rows=10)
    day.file(SECOND_WRITER, 0.9)
    day.file(SECOND_WRITER, 0.1)
    day.file(SECOND_WRITER, 9.0, HOUR)
    assert day.next(noon()) is None
    day.ages_h["2"] = 1.0
    assert day.next(noon()) == ({"2", "3"}, set(), HOUR)


def upkeep_of(data: Path, retention: Retention | None = None) -> tuple[LakeWriter, Upkeep]:
    writer = LakeWriter(data, FIRST)
    clock = itertools.count(0.0, 100.0)  # every look finds the time for the next one come
    return writer, Upkeep(writer, UpkeepLimits(retention or Retention(), quiet_s=0.0), lambda: next(clock))


def until(upkeep: Upkeep, condition: object, now_ns: int | None = None) -> None:
    def step() -> bool:
        upkeep.step(now_ns or time.time_ns())
        return bool(condition())  # type: ignore[operator]  # a callable

    wait_for(step, "upkeep")
    upkeep.close()


def test_past_days_become_one_file_while_the_sink_goes_on(tmp_path: Path) -> None:
    """Points that were there twice are there once, a reader from before goes on, and what came meanwhile is kept."""
    every = samples(2, 100)
    for start in range(0, 100, 10):
        commit(tmp_path, FIRST, *every[start : start + 10])
    commit(tmp_path, FIRST, *every[20:60])
    commit(tmp_path, FIRST, *samples(0, 5))
    with Lake(tmp_path).connect() as reader:
        writer, upkeep = upkeep_of(tmp_path)
        upkeep.step(time.time_ns())
        late = writer.write("points", partition(day_start(2)), points(samples(2, 1, task="late")))
        assert len(upkeep.held) == 11
        writer.commit(replace(writer.manifest, files=(*writer.manifest.files, late)))
        until(upkeep, lambda: DAY in levels(tmp_path, FIRST) and not upkeep.held)
        assert reader.execute("SELECT count(*) FROM points").fetchone() == (145,)
    assert len(seen(tmp_path)) == 100 + 5 + 1
    # and then the late one, with what is there already
    writer, upkeep = upkeep_of(tmp_path)
    until(upkeep, lambda: levels(tmp_path, FIRST) == [0, DAY])
    assert len(seen(tmp_path)) == 106


def test_what_became_of_a_replaced_file_is_not_used(tmp_path: Path) -> None:
    """Where files of a group have changed meanwhile (rows were erased), what was made of them is dropped."""
    commit(tmp_path, FIRST, *samples(2, 10))
    writer, upkeep = upkeep_of(tmp_path)
    upkeep.step(time.time_ns())
    assert upkeep.held
    writer.commit(replace(writer.manifest, files=()))
    wait_for(lambda: (upkeep.step(time.time_ns()), not upkeep.held)[1], "the end of the work")
    assert read_manifest(tmp_path, FIRST).files == ()
    assert seen(tmp_path) == []


def test_a_failure_is_no_end(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A file that cannot be read is said in one line; its day stays as it is, and other days are compacted."""
    commit(tmp_path, FIRST, *samples(2, 10))
    (stored,) = read_manifest(tmp_path, FIRST).files
    (tmp_path / stored.path).write_bytes(b"junk")
    commit(tmp_path, FIRST, *samples(1, 10))
    _, upkeep = upkeep_of(tmp_path)
    until(upkeep, lambda: DAY in levels(tmp_path, FIRST))
    assert capfd.readouterr().err.count("upkeep failed") == 1
    assert stored in read_manifest(tmp_path, FIRST).files


def test_what_others_left_is_tried_again_in_an_hour(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A manifest that cannot be read is said, and when it will be looked at again."""
    commit(tmp_path, FIRST, *samples(2, 10))
    (tmp_path / "manifests" / f"{FIRST}.json").write_bytes(b"junk")
    work = Work(TendJob(str(tmp_path), asdict(Retention()), 0.0))
    wait_for(work.is_done, "the end of the work")
    assert work.made() is None
    said = capfd.readouterr().err
    assert f"{FIRST}.json is damaged" in said
    assert said.endswith("it is tried again in an hour\n")


def test_the_work_ends_with_its_sink(tmp_path: Path) -> None:
    """A process that was started for a sink that is gone ends by itself."""
    commit(tmp_path, FIRST, *samples(2, 10))
    _, upkeep = upkeep_of(tmp_path)
    before = {child.pid for child in psutil.Process().children()}
    upkeep.step(time.time_ns())
    (work,) = [child for child in psutil.Process().children() if child.pid not in before]
    upkeep.close()
    wait_for(lambda: not work.is_running(), "the end of the work")


def test_no_process_where_there_is_nothing_to_do(tmp_path: Path) -> None:
    """A lake of one writer with nothing to compact: collectors that come and go start none."""
    commit(tmp_path, FIRST, *samples(0, 10))
    _, upkeep = upkeep_of(tmp_path)
    before = {child.pid for child in psutil.Process().children()}
    upkeep.step(time.time_ns())
    assert {child.pid for child in psutil.Process().children()} <= before
    commit(tmp_path, SECOND_WRITER, *samples(0, 10))
    for _ in range(50):  # more than an hour by the clock of the test
        upkeep.step(time.time_ns())
    assert {child.pid for child in psutil.Process().children()} > before
    upkeep.close()


def test_retention_drops_whole_days(tmp_path: Path) -> None:
    """By age, and then the oldest days until the rest fits; their files go after the grace."""
    for days_ago in (40, 20, 3, 0):
        commit(tmp_path, FIRST, *samples(days_ago, 10))
    writer, upkeep = upkeep_of(tmp_path, Retention(points_s=30 * 86_400.0))
    upkeep.step(time.time_ns())
    upkeep.close()
    assert len(seen(tmp_path)) == 30
    size_bytes = sum(one.size_bytes for one in writer.manifest.files)
    writer, upkeep = upkeep_of(tmp_path, Retention(max_bytes=size_bytes - 1))
    upkeep.step(time.time_ns())
    upkeep.close()
    days = seen(tmp_path, "SELECT DISTINCT day::VARCHAR FROM points ORDER BY 1")
    assert days == [(partition(day_start(ago)).removeprefix("day="),) for ago in (3, 0)]
    assert len(list((tmp_path / "points").glob(f"*/{FIRST}-*"))) == 4
    assert writer.collect_garbage(0.0) == 0
    assert writer.collect_garbage(601.0) == 2


def test_a_clock_that_was_set_drops_nothing(tmp_path: Path) -> None:
    """What looks old all of a sudden is kept for a day, in which the clock can be set back."""
    commit(tmp_path, FIRST, *samples(3, 10))
    writer, upkeep = upkeep_of(tmp_path, Retention(points_s=30 * 86_400.0))
    next_year_ns = time.time_ns() + 365 * DAY_NS
    upkeep.clock_was_set()
    until(upkeep, lambda: DAY in levels(tmp_path, FIRST), next_year_ns)
    assert len(seen(tmp_path)) == 10
    writer, upkeep = upkeep_of(tmp_path, Retention(points_s=30 * 86_400.0))
    upkeep.step(next_year_ns)
    upkeep.close()
    assert writer.manifest.files == ()


def test_writers_that_are_gone_are_tended(tmp_path: Path) -> None:
    """What they left is compacted and expires; of points that two of them hold one stays. One that lives is let be."""
    for writer in (FIRST, SECOND_WRITER):
        for start in range(0, 40, 10):
            commit(tmp_path, writer, *samples(2, 40)[start : start + 10])
        commit(tmp_path, writer, *samples(60, 1))
    commit(tmp_path, SECOND_WRITER, *samples(2, 1, task="2"))
    before = seen(tmp_path, "SELECT DISTINCT time_unix_nano, value_double, task FROM exact_points ORDER BY ALL")
    lock = writer_lock(tmp_path, FIRST)
    with lock.held(1.0):
        assert tend(tmp_path, Retention(points_s=50 * 86_400.0), 0.0) == Tended(
            dropped=1, compacted=5, made=1, living=1
        )
    assert levels(tmp_path, FIRST) == [0] * 5
    assert tend(tmp_path, Retention(points_s=50 * 86_400.0), 0.0) == Tended(dropped=1, compacted=4, made=1)
    assert seen(tmp_path) == [row for row in before if row[0] >= day_start(3)]
    assert tend(tmp_path, Retention(), 0.0) == Tended()
    assert [one.rows for one in read_manifest(tmp_path, SECOND_WRITER).files] == [1]


def made_long_ago(data: Path) -> None:
    """As if nobody had committed for a day."""
    for path in (data / "manifests").glob("*.json"):
        os.utime(path, (0, time.time() - 86_400))


def test_writers_without_files_are_retired(tmp_path: Path) -> None:
    """Of a writer that is gone and whose rows have had their time nothing is left that others look at, but its place in
    its log is kept: it goes on from there. One that lives, that has files or has just committed is let be."""
    old = Retention(points_s=50 * 86_400.0)
    for writer in (FIRST, SECOND_WRITER):
        commit(tmp_path, writer, *samples(60, 1))
    commit(tmp_path, SECOND_WRITER, *samples(0, 3))
    position = WalPosition(7, 70)
    gone = LakeWriter(tmp_path, FIRST)
    gone.commit(replace(gone.manifest, position=position))
    tend(tmp_path, old, 0.0)
    assert [one.writer for one in read_manifests(tmp_path)] == [FIRST, SECOND_WRITER]
    made_long_ago(tmp_path)
    with writer_lock(tmp_path, FIRST).held(1.0):
        tend(tmp_path, old, 0.0)
        assert [one.writer for one in read_manifests(tmp_path)] == [FIRST, SECOND_WRITER]
    with Lake(tmp_path).connect() as reader:
        tend(tmp_path, old, 0.0)
        assert reader.execute("SELECT count(*) FROM points").fetchone() == (3,)
    assert [one.writer for one in read_manifests(tmp_path)] == [SECOND_WRITER]
    assert not [path for path in tmp_path.rglob(f"*{FIRST}*") if path.parent.name != "retired"]
    assert read_manifest(tmp_path, FIRST).position == position
    commit(tmp_path, FIRST, *samples(0, 2, task="2"))
    assert [one.writer for one in read_manifests(tmp_path)] == [FIRST, SECOND_WRITER]
    assert read_manifest(tmp_path, FIRST).position == position
    assert len(seen(tmp_path)) == 5


def test_a_writer_is_known_before_it_commits(tmp_path: Path) -> None:
    """Whoever asks all writers asks it too; what it had committed stays as it was."""
    Lake(tmp_path).create()
    announce(tmp_path, FIRST)
    assert read_manifests(tmp_path) == (Manifest(FIRST),)
    commit(tmp_path, FIRST, *samples(1, 2))
    before = read_manifests(tmp_path)
    announce(tmp_path, FIRST)
    assert read_manifests(tmp_path) == before


def test_one_failure_keeps_nobody_from_the_rest(tmp_path: Path) -> None:
    """A file that cannot be read leaves its day as it is; other days of its writer and other writers are tended, what
    is too old goes, and what failed is told."""
    for writer in (FIRST, SECOND_WRITER):
        for days_ago in (60, 2):
            commit(tmp_path, writer, *samples(days_ago, 10, task=writer))
    commit(tmp_path, FIRST, *samples(3, 10))
    (damaged,) = (one for one in read_manifest(tmp_path, FIRST).files if one.partition == partition(day_start(3)))
    (tmp_path / damaged.path).write_bytes(b"junk")
    done = tend(tmp_path, Retention(points_s=50 * 86_400.0), 0.0)
    assert (done.dropped, done.compacted, done.made) == (2, 2, 2)
    (failed,) = done.failed
    assert damaged.partition in failed
    assert damaged in read_manifest(tmp_path, FIRST).files
    assert levels(tmp_path, FIRST) == [0, DAY]
    assert levels(tmp_path, SECOND_WRITER) == [DAY]
    with pytest.raises(LakeError, match="cannot compact"):
        done.raise_failed()


def test_a_writer_that_cannot_be_tended_keeps_nobody_from_the_rest(tmp_path: Path) -> None:
    """Something in the way of its work fails it, and the next writer is tended."""
    for writer in (FIRST, SECOND_WRITER):
        commit(tmp_path, writer, *samples(2, 10, task=writer))
    (tmp_path / ".upkeep").mkdir()
    (tmp_path / ".upkeep" / f"{FIRST}.tended").write_bytes(b"in the way")
    done = tend(tmp_path, Retention(), 0.0)
    assert (done.compacted, len(done.failed)) == (1, 1)
    assert f"{FIRST}.tended" in done.failed[0]
    assert levels(tmp_path, FIRST) == [0]
    assert levels(tmp_path, SECOND_WRITER) == [DAY]


@pytest.mark.parametrize("damaged", [1, 2])
def test_the_command_tells_what_failed(tmp_path: Path, damaged: int) -> None:
    """In one line and with exit code 1, once all else is done and counted."""
    data = tmp_path / "lake"
    for days_ago in (4, 3, 2):
        commit(data, FIRST, *samples(days_ago, 10))
    for stored in sorted(read_manifest(data, FIRST).files, key=lambda one: one.partition)[:damaged]:
        (data / stored.path).write_bytes(b"junk")
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL_", "STEPSIZE"))}
    done = subprocess.run(
        [sys.executable, "-m", "stepsize", "compact", "--data", str(data)],
        env={**clean, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout.startswith(f"{3 - damaged} files compacted")
    assert done.stderr.count("\n") == 1
    assert partition(day_start(4)) in done.stderr
    assert ("(and 1 more)" in done.stderr) == (damaged == 2)
