"""Looks after the files of writers whose collector is gone: nobody else would drop or compact them.

What comes in: the data directory. What goes out: commits in the name of each writer that nobody else commits for, under
its lock. Its write-ahead log and its position there stay as they are: a collector that comes back goes on from them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.collector.upkeep.work import MadeFile
from stepsize.collector.upkeep.writer_upkeep import WriterUpkeep
from stepsize.store.compact import compact
from stepsize.store.manifest import manifest_path, read_manifests
from stepsize.store.writer import GRACE_S, LakeWriter, writer_lock

if TYPE_CHECKING:
    from stepsize.store.retention import Retention


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done: files dropped for their age or room, files compacted and what became of them, writers left alone
    because their collector lives."""

    dropped: int = 0
    compacted: int = 0
    made: int = 0
    living: int = 0

    def __add__(self, other: Tended) -> Tended:
        return Tended(
            self.dropped + other.dropped,
            self.compacted + other.compacted,
            self.made + other.made,
            self.living + other.living,
        )


def tend(data: Path, retention: Retention, quiet_s: float) -> Tended:
    """Do all that is due for every writer that nobody commits for; returns what that was.

    Args:
        data: the lake.
        retention: how long rows are kept.
        quiet_s: how long nothing has to have come to a day that is past; 0 has every such day compacted.

    Raises:
        LakeError: the directory cannot be used, or a manifest is damaged.
        OSError, pa.ArrowException: a file cannot be read or written.
    """
    done = Tended()
    for writer in [manifest.writer for manifest in read_manifests(data)]:
        lock = writer_lock(data, writer)
        if not lock.try_acquire():
            done += Tended(living=1)
            continue
        try:
            done += _tend_writer(LakeWriter(data, writer), retention, quiet_s)
        finally:
            lock.release()
    return done


def _tend_writer(writer: LakeWriter, retention: Retention, quiet_s: float) -> Tended:
    _collect_garbage(writer)
    upkeep = WriterUpkeep(writer, retention, quiet_s)
    done = Tended(dropped=upkeep.drop_old(time.time_ns()))
    while (group := upkeep.next_group(time.time_ns())) is not None:
        job = upkeep.job(group)
        made = compact(job.table, list(map(Path, job.files)), list(map(Path, job.elsewhere)), Path(job.into))
        upkeep.replace(group, [MadeFile(one.path, one.rows) for one in made])
        done += Tended(compacted=len(group.files), made=len(made))
    return done


def _collect_garbage(writer: LakeWriter) -> None:
    """Delete what no manifest has named for the grace: since the last commit at least, and nobody else commits."""
    try:
        committed_s = manifest_path(writer.data, writer.manifest.writer).stat().st_mtime
    except FileNotFoundError:
        return
    if time.time() - committed_s >= GRACE_S:
        writer.collect_garbage(time.time(), grace_s=0.0)
