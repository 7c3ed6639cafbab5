"""Which files of the lake have had their time, by age or by the room they take.

What comes in: the files that manifests name, bounds, today. What goes out: those that are to be named no more. Never
does I/O. Standard library only. Whole partitions go: days of points, months of tasks. What is of today is never
dropped, nor is an attempt that may still change, nor is a row of `tasks` for the room it takes: it is what advice is
made of, and small.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.store.manifest import StoredFile


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows are kept, None for ever.

    Attributes:
        points_s: seconds that a day of points (of every type) is kept after its end.
        tasks_s: seconds that a month of `tasks` is kept after its end.
        max_bytes: room that all files of the lake may take; the oldest days of points give way.
    """

    points_s: float | None = None
    tasks_s: float | None = None
    max_bytes: int | None = None


def expired(files: Iterable[StoredFile], retention: Retention, now: dt.datetime) -> frozenset[StoredFile]:
    """Those of ``files`` whose rows are older than they are kept."""
    return frozenset(stored for stored in files if _is_old(stored, retention, now))


def over_budget(lake: Iterable[StoredFile], max_bytes: int | None, today: dt.date) -> frozenset[str]:
    """The days of points that have to go, as partitions, so that the files of the whole ``lake`` fit."""
    if max_bytes is None:
        return frozenset()
    days: dict[str, int] = {}
    total_bytes = 0
    for stored in lake:
        total_bytes += stored.size_bytes
        if stored.table != "tasks":
            days[stored.partition] = days.get(stored.partition, 0) + stored.size_bytes
    dropped = []
    for partition in sorted(days):
        if total_bytes <= max_bytes or partition >= f"day={today}":
            break
        total_bytes -= days[partition]
        dropped.append(partition)
    return frozenset(dropped)


def end_of(partition: str) -> dt.datetime | None:
    """When the day or month of a partition is over; None for one that is neither."""
    kind, _, text = partition.partition("=")
    try:
        if kind == "day":
            return dt.datetime.fromisoformat(text).replace(tzinfo=dt.timezone.utc) + dt.timedelta(days=1)
        if kind == "month":
            first = dt.datetime.fromisoformat(f"{text}-01").replace(tzinfo=dt.timezone.utc)
            return (first + dt.timedelta(days=32)).replace(day=1)
    except (ValueError, OverflowError):
        pass
    return None


def _is_old(stored: StoredFile, retention: Retention, now: dt.datetime) -> bool:
    kept_s = retention.tasks_s if stored.table == "tasks" else retention.points_s
    end = end_of(stored.partition)
    if kept_s is None or end is None:
        return False
    return (now - end).total_seconds() > kept_s
