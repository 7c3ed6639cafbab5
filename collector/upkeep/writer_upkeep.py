"""What is done to one writer's part of the lake: what has had its time is dropped, many files become few.

What comes in: a `LakeWriter` whose lock is held. What goes out: commits. Never touches another writer's files.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.collector.upkeep.plan import next_group
from stepsize.collector.upkeep.work import CompactJob
from stepsize.store.manifest import read_manifests
from stepsize.store.retention import expired, over_budget

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from stepsize.collector.upkeep.plan import Group
    from stepsize.collector.upkeep.work import MadeFile
    from stepsize.store.manifest import StoredFile
    from stepsize.store.retention import Retention
    from stepsize.store.writer import LakeWriter


class WriterUpkeep:
    """The upkeep of one writer, a piece at a time.

    Args:
        writer: its files.
        retention: how long rows are kept.
        quiet_s: how long nothing has to have come to a day that is past before it is compacted.
    """

    def __init__(self, writer: LakeWriter, retention: Retention, quiet_s: float) -> None:
        self._writer = writer
        self._retention = retention
        self._quiet_s = quiet_s

    def of(self, writer: LakeWriter) -> WriterUpkeep:
        """The same upkeep, of ``writer``."""
        return WriterUpkeep(writer, self._retention, self._quiet_s)

    def drop_old(self, now_ns: int) -> int:
        """Have the files whose time is over be named no more; returns how many."""
        now, manifest = _time(now_ns), self._writer.manifest
        dropped = expired(manifest.files, self._retention, now)
        if self._retention.max_bytes is not None:
            lake = [one for other in read_manifests(self._writer.data) for one in other.files if one not in dropped]
            days = over_budget(lake, self._retention.max_bytes, now.date())
            dropped |= {one for one in manifest.files if one.table != "tasks" and one.partition in days}
        if dropped:
            kept = tuple(one for one in manifest.files if one not in dropped)
            self._writer.commit(replace(manifest, files=kept))
        return len(dropped)

    def is_alone(self) -> bool:
        """Whether nobody else has ever written to the lake."""
        return all(manifest.writer == self._writer.manifest.writer for manifest in read_manifests(self._writer.data))

    def next_group(self, now_ns: int, passed_over: Container[tuple[str, str]] = ()) -> Group | None:
        """What is to be compacted now, but for partitions and tables that are to be passed over."""

        def age_s(stored: StoredFile) -> float:
            try:
                return now_ns / 1e9 - (self._writer.data / stored.path).stat().st_mtime
            except FileNotFoundError:  # another writer's, replaced since we looked
                return 0.0

        manifests = read_manifests(self._writer.data)
        return next_group(self._writer.manifest.writer, manifests, age_s, _time(now_ns), self._quiet_s, passed_over)

    def job(self, group: Group, into: Path) -> CompactJob:
        """How ``group`` is compacted to files in directory ``into``."""
        data = self._writer.data
        return CompactJob(
            group.table,
            [str(data / one.path) for one in group.files],
            [str(data / one.path) for one in group.elsewhere],
            str(into),
        )

    def replace(self, group: Group, made: list[MadeFile]) -> bool:
        """Commit what was ``made`` in place of the group's files; whether it could be: they may have changed since."""
        manifest = self._writer.manifest
        if not set(group.files) <= set(manifest.files):
            return False
        adopted = [self._writer.adopt(one.path, group.table, group.partition, one.rows, group.level) for one in made]
        kept = [one for one in manifest.files if one not in group.files]
        self._writer.commit(replace(manifest, files=(*kept, *adopted)))
        return True


def _time(now_ns: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(now_ns / 1e9, dt.timezone.utc)
