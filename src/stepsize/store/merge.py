"""Which of a writer's files to merge, so that a file a second does not become a thousand.

What comes in: the files of a generation. What goes out: groups to merge, or the merged rows. Never does I/O.

New rows are written to a file of level 0 at each commit. Eight files of a level in one partition are merged into one of
the next level, sorted by series, points that are there twice once (a log-structured merge): a row is written again once
for each level, so a handful of times whatever the rate, and a partition holds at most seven files of each level. A
merged file holds at most :data:`MAX_ROWS`. What is larger, and days that are past, are compacted elsewhere
(:mod:`stepsize.store.compact`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.store.duplicates import without_duplicates
from stepsize.store.order import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from stepsize.store.manifest import StoredFile

FAN_IN = 8
MAX_ROWS = 500_000
HOUR, DAY = 32, 64
"""Levels of files that were compacted: of a day that goes on, and of one that is past."""
OPEN_PARTITION = "open"
"""Partition of `tasks` that holds the snapshot of attempts which may still change; it is replaced, never merged."""


def due(files: Iterable[StoredFile]) -> list[tuple[StoredFile, ...]]:
    """Groups of files to merge, each of one table, partition and level; lower levels first."""
    groups: dict[tuple[int, str, str], list[StoredFile]] = {}
    for stored in files:
        if stored.partition != OPEN_PARTITION and stored.rows <= MAX_ROWS // FAN_IN:
            groups.setdefault((stored.level, stored.table, stored.partition), []).append(stored)
    return [tuple(group[:FAN_IN]) for _, group in sorted(groups.items()) if len(group) >= FAN_IN]


def merged(rows: pa.Table, table: str) -> pa.Table:
    """The rows of a group in their order; points that repeat another are dropped."""
    sorted_rows = in_order(rows, table)
    return sorted_rows if table == "tasks" else without_duplicates(sorted_rows, table)
