"""Erases what is meant from one writer's part of the lake, and finds what is left anywhere in it.

What comes in: a writer whose lock is held, or the data directory. What goes out: a commit without those rows, and
counts. A row that is not meant stays as it is, in its order and in a file of its own writer.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.collector.upkeep.raw import count_in_log, erase_aside
from stepsize.collector.upkeep.requests import answer, open_requests
from stepsize.collector.upkeep.staging import (
    clear_staging,
    cleared_staging,
    staged_files,
    tending_directory,
    tending_lock,
)
from stepsize.errors import DataError, LakeError
from stepsize.store.database import rebuild
from stepsize.store.erasure import count_rows, write_others
from stepsize.store.manifest import read_manifests
from stepsize.store.schema import SCHEMAS
from stepsize.store.writer import LakeWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stepsize.collector.upkeep.requests import EraseRequest
    from stepsize.store.erasure import Matcher
    from stepsize.store.manifest import StoredFile


def obey(data: Path, state: Path, writer: str, failed: set[str]) -> None:
    """Do what ``writer`` is asked to erase. Its lock is held, and its write-ahead log has been folded.

    Where somebody is still compacting for the writer, from when it was gone, the requests stay open. So does one that
    cannot be done, whose name is added to ``failed`` and not tried again: storing what comes in must go on.
    """
    lock = tending_lock(data, writer)
    if not lock.try_acquire():
        return
    try:
        for request in open_requests(data, writer, failed):
            if not _is_done(data, state, writer, request):
                failed.add(request.name)
    finally:
        lock.release()


def _is_done(data: Path, state: Path, writer: str, request: EraseRequest) -> bool:
    try:
        rows = erase_from(LakeWriter(data, writer), request.matcher(), now=request.now)
        erase_aside(state, request.matcher())
    except (OSError, LakeError) as error:
        print(f"stepsize collect: erasing failed: {error}; erase again when it is mended", file=sys.stderr)  # noqa: T201 - the process's log
        return False
    answer(data, request, writer, rows)
    return True


def erase_from(writer: LakeWriter, matcher: Matcher, *, now: bool) -> int:
    """Erase what is meant from the files of ``writer``, in one commit; how many rows that were.

    Its lock and its `tending_lock` are held: nothing is made of files that hold such rows meanwhile.
    Files that held some are deleted after the grace that readers have, or at once with ``now``.
    """
    clear_staging(writer.data, tending_directory(writer.manifest.writer))
    staging = cleared_staging(writer.data, writer.manifest.writer)
    kept: list[StoredFile] = []
    erased = 0
    for stored in writer.manifest.files:
        rows = count_rows(writer.data / stored.path, stored.table, matcher)
        erased += rows
        if not rows:
            kept.append(stored)
            continue
        others = staging / "others.parquet"
        left, _ = write_others(writer.data / stored.path, stored.table, matcher, others)
        if left:
            kept.append(writer.adopt(others, stored.table, stored.partition, left, stored.level))
    if erased:
        writer.commit(replace(writer.manifest, files=tuple(kept)))
    clear_staging(writer.data, writer.manifest.writer)
    if now:
        rebuild(writer.data)  # whoever was killed after a commit has left views that name what is deleted now
        writer.collect_garbage(time.time(), grace_s=0.0)
    return erased


def count_named(data: Path, matcher: Matcher) -> Mapping[str, int]:
    """Table → rows that are meant and that readers of the lake see."""
    found: Counter[str] = Counter()
    for manifest in read_manifests(data):
        for stored in manifest.files:
            found[stored.table] += count_rows(data / stored.path, stored.table, matcher)
    return found


def remaining(data: Path, state: Path, matcher: Matcher) -> list[Path]:
    """Files of the lake, named or not, and the log's directory, that hold anything that is meant.

    Raises:
        DataError: a file cannot be read, so that nobody can tell what is in it.
    """
    found = [path for table, path in _parquet_files(data) if _holds(path, table, matcher)]
    for path in staged_files(data):  # those that cannot be read are being made, of what was searched before
        with contextlib.suppress(OSError, LakeError):
            if count_rows(path, "points", matcher):
                found.append(path)
    if state.is_dir() and count_in_log(state, matcher):
        found.append(state)
    return found


def _holds(path: Path, table: str, matcher: Matcher) -> bool:
    try:
        return count_rows(path, table, matcher) > 0
    except FileNotFoundError:  # it is gone by now
        return False
    except (OSError, LakeError) as error:
        with contextlib.suppress(OSError):
            if path.name.endswith(".tmp") or path.stat().st_size == 0:
                return True  # it is being written, or was when its writer was killed: it will be gone soon
        raise DataError(f"nobody can tell what is in {path}: {error}") from None


def _parquet_files(data: Path) -> Iterator[tuple[str, Path]]:
    """Every file with rows, whether a manifest names it or not: earlier generations, temporary ones."""
    for table in SCHEMAS:
        for path in (data / table).glob("*/*.parquet*"):
            yield table, path
