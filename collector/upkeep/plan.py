"""What of a writer's files is to be compacted next.

What comes in: the files that manifests name, how long each has lain there, the time. What goes out: one group of files
that belong together, or none. Never does I/O.

A day that is past is compacted once nothing has come to it for a while. What comes later makes it due again: soon
where that is much, else a day after, so that a trickle of late points does not have a large day written anew every
hour. Of the day that goes on, what merging has made as large as it may is compacted every hour.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.store.merge import DAY, FAN_IN, HOUR, MAX_ROWS
from stepsize.store.retention import end_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from stepsize.store.manifest import Manifest, StoredFile

_MANY_FILES = 64
_LATE_SHARE = 100
"""Late points are much where they are more than a hundredth of what is compacted already."""
_LONGEST_WAIT_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Group:
    """Files of one writer, table and partition that become few.

    Attributes:
        files: they, to be replaced.
        elsewhere: files of other writers that keep their points: what of ours is there too is dropped.
        level: of what is made of them.
    """

    table: str
    partition: str
    files: tuple[StoredFile, ...]
    elsewhere: tuple[StoredFile, ...]
    level: int


def next_group(
    writer: str,
    manifests: Iterable[Manifest],
    age_s: Callable[[StoredFile], float],
    now: dt.datetime,
    quiet_s: float,
    passed_over: Container[tuple[str, str]] = (),
) -> Group | None:
    """What ``writer`` should compact now, the oldest day first; None where nothing is due.

    Args:
        writer: whose files.
        manifests: of every writer of the lake.
        age_s: how long a file has been there, in seconds.
        now: the time by our clock.
        quiet_s: how long nothing has to have come to a day that is past; 0 has every such day compacted at once.
        passed_over: partitions and tables that are let be.
    """
    ours: dict[tuple[str, str], list[StoredFile]] = {}
    others: dict[tuple[str, str], list[StoredFile]] = {}
    for manifest in manifests:
        # Of two writers that hold the same point the one with the lesser name keeps it, or both might let it go.
        place = ours if manifest.writer == writer else others if manifest.writer < writer else {}
        for stored in manifest.files:
            if stored.table != "tasks":
                place.setdefault((stored.partition, stored.table), []).append(stored)
    for key in sorted(ours):
        partition, table = key
        end = end_of(partition)
        if end is None or key in passed_over:
            continue
        if now < end + dt.timedelta(seconds=quiet_s):
            due = _of_the_hour(ours[key], age_s)
            if due:
                return Group(table, partition, due, (), HOUR)
        elif _is_due(ours[key], others.get(key, ()), age_s, quiet_s):
            return Group(table, partition, tuple(ours[key]), tuple(others.get(key, ())), DAY)
    return None


def _is_due(
    files: Iterable[StoredFile], others: Iterable[StoredFile], age_s: Callable[[StoredFile], float], quiet_s: float
) -> bool:
    fresh = [stored for stored in files if stored.level < DAY]
    if not fresh or quiet_s == 0:
        return bool(fresh)
    if max(map(age_s, fresh)) >= max(_LONGEST_WAIT_S, quiet_s):
        return True
    compacted_rows = sum(stored.rows for stored in files if stored.level >= DAY)
    is_much = sum(stored.rows for stored in fresh) * _LATE_SHARE >= compacted_rows
    newest_s = min(age_s(stored) for stored in (*fresh, *others) if stored.level < DAY)
    return is_much and newest_s >= quiet_s


def _of_the_hour(files: Iterable[StoredFile], age_s: Callable[[StoredFile], float]) -> tuple[StoredFile, ...]:
    full = [stored for stored in files if stored.level < HOUR and stored.rows > MAX_ROWS // FAN_IN]
    if len(full) >= _MANY_FILES or (len(full) > 1 and max(map(age_s, full)) >= 3600.0):
        return tuple(full)
    return ()
