"""Counts `tasks` of a lake anew from its points, into a lake of their own.

What comes in: a lake with points, an engine, a directory. What goes out: a lake in that directory that holds these
rows of `tasks` and nothing else; whoever reads it sees all of the roll-up before or all of this one. Never changes the
lake that it reads, and never more of it is in memory than the engine is given and a few batches.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from stepsize.collector.recount.rows import Rules
from stepsize.collector.recount.sources import points_here, points_in
from stepsize.collector.recount.stored_rows import by_month, stored
from stepsize.errors import UsageError
from stepsize.store.lake import Lake
from stepsize.store.manifest import manifest_path, read_manifests
from stepsize.store.order import in_order
from stepsize.store.writer import GRACE_S, LakeWriter, writer_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stepsize.collector.recount.engine import Engine
    from stepsize.store.manifest import StoredFile
    from stepsize.store.objects import ObjectLake

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


def recount(source: Path | ObjectLake, out: Path, engine: Engine, now_ns: int) -> Recounted:
    """Have the lake in ``out`` hold the attempts of the lake in ``source``, as its points tell them at ``now_ns``.

    Raises:
        LakeError: there is no lake, or it cannot be read.
        UsageError: ``out`` is somebody else's lake.
        UnavailableError: somebody else rolls up to it just now.
    """
    points = points_here(source) if isinstance(source, Path) else points_in(source)
    _check_own(source, out)
    Lake(out).create()
    with writer_lock(out, WRITER).held(_LOCK_TIMEOUT_S):
        writer = LakeWriter(out, WRITER)
        _forget(writer)
        rows = engine.task_rows(points, Rules(until_ns=now_ns))
        written = tuple(_written(writer, rows))
        writer.commit(replace(writer.manifest, files=written))
    return Recounted(sum(one.rows for one in written), points.count, len(points.files))


def _check_own(source: Path | ObjectLake, out: Path) -> None:
    if not out.is_dir():
        return
    is_same = isinstance(source, Path) and out.resolve() == source.resolve()
    if is_same or any(one.writer != WRITER for one in read_manifests(out)):
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
