"""Writes attempts that other programs recorded into a lake: each once, however often it is imported.

What comes in: a data directory, and attempts one after another. What goes out: one generation of a writer that imports
alone have, with the attempts that the lake had not; and what became of all of them. Whoever reads the lake sees all of
an import or none of it. Never changes a row that is there, whoever wrote it.

An attempt is there already where a row has its flow, run, step, task, attempt, project, branch and user. Two executions
of one import with the same of all these (`Attempt.native` tells them apart) stay two: the later one's task is named by
its own word too. What was read is set down on disk, put in order and compared there: in memory are a batch, and what
DuckDB is given.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from stepsize.collector.imports.attempts import STAGED, staged_table
from stepsize.errors import LakeError
from stepsize.store.bounds import bound, quiet_connection
from stepsize.store.lake import Lake
from stepsize.store.layout import DATABASE
from stepsize.store.locks import Lock
from stepsize.store.manifest import manifest_path, read_manifests
from stepsize.store.merge import due, merged
from stepsize.store.order import in_order
from stepsize.store.schema import TASKS
from stepsize.store.writer import GRACE_S, LakeWriter, writer_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stepsize.collector.imports.attempts import Attempt
    from stepsize.store.manifest import StoredFile

WRITER = str(uuid.uuid5(uuid.NAMESPACE_URL, "https://stepsize.dev/import"))
_BATCH = 20_000
_FILE_ROWS = 200_000
_MERGED = 1
_LOCK_TIMEOUT_S = 60.0
_MEMORY_BYTES = 512 << 20
_STAGED, _LOCK = "stepsize-import-", ".lock"


@dataclass(frozen=True, slots=True)
class ImportedStep:
    """What an import added of one step."""

    flow: str
    step: str
    runs: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the attempts that were given.

    Attributes:
        attempts: they.
        repeated: of these, those that are another of them read twice.
        known: those that the lake had.
        added: those that are new in it, or would be.
        steps: whose they are.
    """

    attempts: int
    repeated: int
    known: int
    added: int
    steps: tuple[ImportedStep, ...]


def import_attempts(data: Path, attempts: Iterable[Attempt], *, dry_run: bool = False) -> Imported:
    """Add to the lake in ``data`` what it has not of ``attempts``; with ``dry_run`` only say what that would be.

    Raises:
        LakeError: the directory cannot be a lake, be read or be written.
        UnavailableError: somebody else imports into it just now.
        StepsizeError: what ``attempts`` raises; nothing is added then.
    """
    with _staging() as (directory, connection):
        count = _stage(attempts, directory)
        if dry_run:
            return _compared(connection, data, directory, count)
        Lake(data).create()
        with writer_lock(data, WRITER).held(_LOCK_TIMEOUT_S):
            done = _compared(connection, data, directory, count)
            if done.added:
                _commit(data, connection)
        return done


@contextlib.contextmanager
def _staging() -> Iterator[tuple[Path, duckdb.DuckDBPyConnection]]:
    """A directory of this import alone, and a connection; both are gone afterwards."""
    connection = quiet_connection()
    try:
        with _directory() as directory:
            bound(connection, _MEMORY_BYTES)
            yield directory, connection
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as error:
        said = " ".join(str(error).split())
        raise LakeError(f"cannot import: {said}; make room for temporary files (TMPDIR) and in the lake") from None
    finally:
        connection.close()


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    """A temporary directory that is locked while it is used: what is not is what an import left that was killed."""
    parent = Path(tempfile.gettempdir())
    for left in parent.glob(f"{_STAGED}*"):
        lock = Lock(left / _LOCK)
        with contextlib.suppress(OSError, LakeError):
            if _is_mine(left) and (left / _LOCK).is_file() and lock.try_acquire():
                shutil.rmtree(left, ignore_errors=True)
        lock.release()
    directory = Path(tempfile.mkdtemp(prefix=_STAGED, dir=parent))
    lock = Lock(directory / _LOCK)
    try:
        lock.acquire(_LOCK_TIMEOUT_S)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        lock.release()


def _is_mine(directory: Path) -> bool:
    return sys.platform == "win32" or directory.lstat().st_uid == os.getuid()


def _stage(attempts: Iterable[Attempt], directory: Path) -> int:
    """Set ``attempts`` down; how many there are."""
    count = 0
    waiting = iter(attempts)
    with pq.ParquetWriter(directory / "staged.parquet", STAGED, compression="zstd", compression_level=1) as writer:
        while batch := list(islice(waiting, _BATCH)):
            writer.write_table(staged_table(batch, count))
            count += len(batch)
    return count


def _compared(connection: duckdb.DuckDBPyConnection, data: Path, directory: Path, count: int) -> Imported:
    """Leave what is new in a table ``fresh`` of ``connection``; what there is of everything."""
    connection.execute(_query("once"), {"staged": str(directory / "staged.parquet")})
    with _known_tasks(connection, data):
        connection.execute(_query("fresh"))
    steps = tuple(ImportedStep(*row) for row in connection.execute(_query("counts")).fetchall())
    ((once, added),) = connection.execute("SELECT (SELECT count(*) FROM once), (SELECT count(*) FROM fresh)").fetchall()
    return Imported(count, count - once, once - added, added, steps)


def _query(name: str) -> str:
    return (resources.files("stepsize.collector.imports") / f"{name}.sql").read_text("utf-8")


@contextlib.contextmanager
def _known_tasks(connection: duckdb.DuckDBPyConnection, data: Path) -> Iterator[None]:
    """Have the rows of the lake be ``known`` in ``connection``; none where there is no lake yet, or no task in it."""
    if not (data / DATABASE).is_file() or not _has_tasks(data):
        connection.register("known", TASKS.empty_table())
        yield
        return
    with Lake(data).reading(_MEMORY_BYTES) as lake:
        query = 'SELECT flow, run, step, task, attempt, project, branch, "user" FROM tasks'
        connection.register("known_rows", lake.sql(query).to_arrow_reader(100_000))
        connection.execute("CREATE TEMP TABLE known AS SELECT * FROM known_rows")
        connection.unregister("known_rows")
        yield


def _has_tasks(data: Path) -> bool:
    return any(stored.table == "tasks" for manifest in read_manifests(data) for stored in manifest.files)


def _commit(data: Path, connection: duckdb.DuckDBPyConnection) -> None:
    writer = LakeWriter(data, WRITER)
    _forget(writer)
    files = [*writer.manifest.files, *_written(writer, connection)]
    while groups := due(files):
        for group in groups:
            rows = merged(writer.read(group, "tasks"), "tasks")
            made = writer.write("tasks", group[0].partition, rows, level=group[0].level + 1)
            files = [*(one for one in files if one not in group), made]
    writer.commit(replace(writer.manifest, files=tuple(files)))


def _forget(writer: LakeWriter) -> None:
    """Delete files of earlier states that merging has replaced: who had them open then has had time to read them."""
    manifest = manifest_path(writer.data, WRITER)
    if manifest.exists() and time.time() - manifest.stat().st_mtime >= GRACE_S:
        writer.collect_garbage(time.time(), grace_s=0.0)


def _written(writer: LakeWriter, connection: duckdb.DuckDBPyConnection) -> Iterator[StoredFile]:
    """What is new in files, of a month each."""
    months = connection.execute("SELECT DISTINCT month FROM fresh ORDER BY month").fetchall()
    names = ", ".join(f'"{name}"' for name in TASKS.names if name != "state")
    for (month,) in months:
        query = f"SELECT {names} FROM fresh WHERE month = $month ORDER BY flow, step, run, task, attempt"  # noqa: S608 -- names of ours
        waiting: list[pa.RecordBatch] = []
        for batch in connection.sql(query, params={"month": month}).to_arrow_reader(_BATCH):
            waiting.append(batch)
            if sum(map(len, waiting)) >= _FILE_ROWS:
                yield _file(writer, month, waiting)
                waiting = []
        if waiting:
            yield _file(writer, month, waiting)


def _file(writer: LakeWriter, month: str, batches: list[pa.RecordBatch]) -> StoredFile:
    rows = pa.Table.from_batches(batches)
    rows = rows.append_column(TASKS.field("state"), pa.nulls(rows.num_rows, pa.string())).select(TASKS.names)
    return writer.write("tasks", f"month={month}", in_order(rows.cast(TASKS), "tasks"), level=_MERGED)
