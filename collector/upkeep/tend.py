"""Looks after the files of writers whose collector is gone: nobody else would drop or compact them.

What comes in: the data directory. What goes out: commits in the name of each writer that nobody else commits for, under
its lock. Its write-ahead log and its position there stay as they are: a collector that comes back goes on from them.
A writer that keeps no file any more is retired, so that nobody has to look at thousands of them with each commit. What
cannot be done for one day or one writer keeps nobody from the rest.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.collector.upkeep.staging import clear_staging, cleared_staging, tending_directory, tending_lock
from stepsize.collector.upkeep.work import MadeFile
from stepsize.collector.upkeep.writer_upkeep import WriterUpkeep
from stepsize.errors import LakeError
from stepsize.store.compact import compact
from stepsize.store.database import rebuild
from stepsize.store.manifest import manifest_path, read_manifest, read_manifests, retire
from stepsize.store.writer import GRACE_S, LakeWriter, writer_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.collector.upkeep.plan import Group
    from stepsize.store.retention import Retention


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done: files dropped for their age or room, files compacted and what became of them, writers left alone
    because their collector lives; and what could not be done, a line each."""

    dropped: int = 0
    compacted: int = 0
    made: int = 0
    living: int = 0
    failed: tuple[str, ...] = ()

    def __add__(self, other: Tended) -> Tended:
        return Tended(
            self.dropped + other.dropped,
            self.compacted + other.compacted,
            self.made + other.made,
            self.living + other.living,
            self.failed + other.failed,
        )

    def raise_failed(self) -> None:
        """Raise what could not be done.

        Raises:
            LakeError: names the first of it, and how much more there is.
        """
        if self.failed:
            first, *more = self.failed
            raise LakeError(f"{first} (and {len(more)} more)" if more else first)


def tend(data: Path, retention: Retention, quiet_s: float) -> Tended:
    """Do all that is due for every writer that nobody commits for; returns what that was, and what failed.

    Args:
        data: the lake.
        retention: how long rows are kept.
        quiet_s: how long nothing has to have come to a day that is past; 0 has every such day compacted.

    Raises:
        LakeError: a manifest is damaged: nobody can tell what the lake is.
    """
    done = Tended()
    for writer in [manifest.writer for manifest in read_manifests(data)]:
        lock = tending_lock(data, writer)
        if lock.try_acquire():  # else another process is at it
            try:
                done += _tend_writer(data, writer, retention, quiet_s)
                if _retired(data, writer):
                    lock.remove()
            except (LakeError, OSError) as error:
                done += Tended(failed=(_said(writer, error),))
            finally:
                clear_staging(data, tending_directory(writer))
                lock.release()
    return done


def _tend_writer(data: Path, writer: str, retention: Retention, quiet_s: float) -> Tended:
    """The writer's own lock is held for moments: its collector may come back, and must not wait for a compaction."""
    done = Tended()
    passed_over: set[tuple[str, str]] = set()
    while True:
        with _standing_in(data, writer) as found:
            if found is None:
                return done + Tended(living=1)
            _swept(found)
            upkeep = WriterUpkeep(found, retention, quiet_s)
            done += Tended(dropped=upkeep.drop_old(time.time_ns()))
            group = upkeep.next_group(time.time_ns(), passed_over)
            if group is None:
                return done
        try:
            done += _compact(data, writer, upkeep, group)
        except (LakeError, OSError) as error:
            passed_over.add((group.partition, group.table))
            done += Tended(failed=(_said(writer, error),))


def _compact(data: Path, writer: str, upkeep: WriterUpkeep, group: Group) -> Tended:
    """Compact a group that ``upkeep`` has found; nothing of it is used where the collector has come back meanwhile."""
    job = upkeep.job(group, cleared_staging(data, tending_directory(writer)))
    made = compact(job.table, list(map(Path, job.files)), list(map(Path, job.elsewhere)), Path(job.into))
    with _standing_in(data, writer) as found:
        # As it is now: its collector may have been there for a while.
        if found is not None and upkeep.of(found).replace(group, [MadeFile(one.path, one.rows) for one in made]):
            return Tended(compacted=len(group.files), made=len(made))
    return Tended()


def _retired(data: Path, writer: str) -> bool:
    """Retire a writer that is gone, names no files and has left none, if it is one; whether it was."""
    if read_manifest(data, writer).files:
        return False
    lock = writer_lock(data, writer)
    if not lock.try_acquire():
        return False
    try:
        found = LakeWriter(data, writer)
        if found.manifest.files or not _swept(found):
            return False
        clear_staging(data, writer)
        retire(data, writer)
        lock.remove()
        return True
    finally:
        lock.release()


def _said(writer: str, error: LakeError | OSError) -> str:
    if isinstance(error, LakeError):
        return str(error)
    where = error.filename or f"the files of {writer}"
    return f"cannot tend {where}: {error.strerror or error}; make room, or see that it can be written"


@contextlib.contextmanager
def _standing_in(data: Path, writer: str) -> Iterator[LakeWriter | None]:
    """The writer as it is now, its lock held; None where its collector lives."""
    lock = writer_lock(data, writer)
    if not lock.try_acquire():
        yield None
        return
    try:
        yield LakeWriter(data, writer)
    finally:
        lock.release()


def _swept(writer: LakeWriter) -> bool:
    """Delete what no manifest has named for the grace (since the last commit at least, and nobody else commits);
    whether it was time for that."""
    try:
        committed_s = manifest_path(writer.data, writer.manifest.writer).stat().st_mtime
    except FileNotFoundError:
        return False
    if time.time() - committed_s < GRACE_S:
        return False
    if writer.unnamed():
        rebuild(writer.data)  # whoever was killed after a commit has left views that name what is deleted now
        writer.collect_garbage(time.time(), grace_s=0.0)
    return True
