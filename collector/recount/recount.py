"""Counts `tasks` of a lake anew from its points, into a lake of their own.

What comes in: a lake with points, an engine, a directory. What goes out: a lake in that directory that holds these
rows of `tasks` and nothing else; whoever reads it sees all of the roll-up before or all of this one. Never changes the
lake that it reads, and never more of it is in memory than the engine is given and a few batches.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from stepsize.collector.recount.rows import Rules
from stepsize.collector.recount.stored_rows import by_month, stored
from stepsize.errors import LakeError, UsageError
from stepsize.store.lake import Lake
from stepsize.store.layout import check_version
from stepsize.store.manifest import manifest_path, read_manifests
from stepsize.store.order import in_order
from stepsize.store.writer import GRACE_S, LakeWriter, writer_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from stepsize.collector.recount.engine import Engine
    from stepsize.store.manifest import StoredFile

WRITER = str(uuid.uuid5(uuid.NAMESPACE_URL, "https://stepsize.dev/rollup"))
_MERGED = 1
_ROWS = 200_000
_LOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Recounted:
    """What was done: ``attempts`` from ``points`` in ``files``."""

    attempts: int
    points: int
    files: int


def recount(data: Path, out: Path, engine: Engine, now_ns: int) -> Recounted:
    """Have the lake in ``out`` hold the attempts of the lake in ``data``, as its points tell them at ``now_ns``.

    Raises:
        LakeError: there is no lake, or it cannot be read.
        UsageError: ``out`` is somebody else's lake.
        UnavailableError: somebody else rolls up to it just now.
    """
    files = _points(data)
    _check_own(data, out)
    Lake(out).create()
    with writer_lock(out, WRITER).held(_LOCK_TIMEOUT_S):
        writer = LakeWriter(out, WRITER)
        _forget(writer)
        rows = engine.task_rows([str(data / one.path) for one in files], Rules(until_ns=now_ns))
        written = tuple(_written(writer, rows))
        writer.commit(replace(writer.manifest, files=written))
    return Recounted(sum(one.rows for one in written), sum(one.rows for one in files), len(files))


def _points(data: Path) -> Sequence[StoredFile]:
    if check_version(data) is None:
        raise LakeError(f"no data in {data} yet; run a flow with STEPSIZE=1, or give another --data")
    files = [one for manifest in read_manifests(data) for one in manifest.files if one.table == "points"]
    if not files:
        raise LakeError(f"no points in {data}: there is nothing to roll up")
    return files


def _check_own(data: Path, out: Path) -> None:
    if not out.is_dir():
        return
    if out.resolve() == data.resolve() or any(one.writer != WRITER for one in read_manifests(out)):
        raise UsageError(f"{out} holds what collectors have written; give --out a directory of its own")


def _forget(writer: LakeWriter) -> None:
    """Delete the files that the roll-up before has replaced: who had them open then has had time to read them."""
    manifest = manifest_path(writer.data, WRITER)
    if manifest.exists() and time.time() - manifest.stat().st_mtime >= GRACE_S:
        writer.collect_garbage(time.time(), grace_s=0.0)


def _written(writer: LakeWriter, batches: Iterable[pa.RecordBatch]) -> Iterator[StoredFile]:
    """The batches in files, a few for each month."""
    waiting: list[pa.Table] = []
    for batch in batches:
        waiting.append(stored(batch))
        if sum(map(len, waiting)) >= _ROWS:
            yield from _files(writer, waiting)
            waiting = []
    yield from _files(writer, waiting)


def _files(writer: LakeWriter, waiting: list[pa.Table]) -> Iterator[StoredFile]:
    if waiting:
        for partition, rows in by_month(pa.concat_tables(waiting)):
            yield writer.write("tasks", partition, in_order(rows, "tasks"), level=_MERGED)
