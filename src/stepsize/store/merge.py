"""Which of a writer's files to merge, so that a file a second does not become a thousand.

What comes in: the files of a generation. What goes out: groups to merge, or the merged rows. Never does I/O.

New rows are written to a file of level 0 at each commit. Eight files of a level in one partition are merged into one of
the next level, sorted by series (a log-structured merge): a row is written again once for each level, so a handful of
times whatever the rate, and a partition holds at most seven files of each level. A merged file holds at
most :data:`MAX_ROWS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.store.manifest import StoredFile

FAN_IN = 8
MAX_ROWS = 500_000
OPEN_PARTITION = "open"
"""Partition of `tasks` that holds the snapshot of attempts which may still change; it is replaced, never merged."""

_POINT_ORDER = ("metric", "flow", "step", "run", "task", "attributes", "time_unix_nano")
_TASK_ORDER = ("flow", "step", "run", "task", "attempt")


def due(files: Iterable[StoredFile]) -> list[tuple[StoredFile, ...]]:
    """Groups of files to merge, each of one table, partition and level; lower levels first."""
    groups: dict[tuple[int, str, str], list[StoredFile]] = {}
    for stored in files:
        if stored.partition != OPEN_PARTITION and stored.rows <= MAX_ROWS // FAN_IN:
            groups.setdefault((stored.level, stored.table, stored.partition), []).append(stored)
    return [tuple(group[:FAN_IN]) for _, group in sorted(groups.items()) if len(group) >= FAN_IN]


def merged(rows: pa.Table, table: str) -> pa.Table:
    """The rows of a group in the order in which they compress best."""
    whole = rows.unify_dictionaries().combine_chunks()
    order = _TASK_ORDER if table == "tasks" else _POINT_ORDER
    keys = pa.table({name: _sortable(whole[name]) for name in order})
    return whole.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in order]))


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Arrow sorts no dictionaries: the rank of each value among the dictionary's stands for it."""
    if not pa.types.is_dictionary(column.type) or column.num_chunks == 0:
        return column
    chunk = column.chunk(0)  # the only one, after combine_chunks
    rank = pc.sort_indices(pc.sort_indices(chunk.dictionary))
    return pa.chunked_array([rank.take(chunk.indices)])
