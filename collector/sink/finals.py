"""Takes rows of attempts that were final back out of their files.

What comes in: the files of final rows, and keys of attempts that have new points. What goes out: the states of those
that are there, and the files rewritten without them. Never deletes a file: the commit does, by not naming it.

Finding them reads only the column of keys, and only where a batch has attempts that the roll-up does not know.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stepsize.collector.rollup.attempt import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.collector.rollup.attempt import AttemptKey
    from stepsize.store.manifest import StoredFile
    from stepsize.store.writer import LakeWriter


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Attempts that are open again, the files that held their rows, and those files without them."""

    attempts: tuple[Attempt, ...]
    dropped: frozenset[StoredFile]
    rewritten: tuple[StoredFile, ...]


def take_back(writer: LakeWriter, files: Iterable[StoredFile], keys: set[AttemptKey]) -> TakenBack:
    """Take the rows of ``keys`` out of ``files``."""
    tasks = pa.array(sorted({key.task for key in keys}))
    attempts: list[Attempt] = []
    dropped: list[StoredFile] = []
    rewritten: list[StoredFile] = []
    for stored in files:
        column = pq.ParquetFile(writer.data / stored.path).read(columns=["task"])["task"]
        if not pc.any(pc.is_in(column, value_set=tasks)).as_py():
            continue
        rows = writer.read([stored], "tasks")
        states = [Attempt.from_json(json.loads(state)) if state else None for state in rows["state"].to_pylist()]
        found = [state is not None and state.key in keys for state in states]
        if not any(found):
            continue
        attempts += [state for state, wanted in zip(states, found, strict=True) if state is not None and wanted]
        dropped.append(stored)
        rest = rows.filter(pa.array([not wanted for wanted in found]))
        if rest.num_rows:
            rewritten.append(writer.write("tasks", stored.partition, rest, level=stored.level))
    return TakenBack(tuple(attempts), frozenset(dropped), tuple(rewritten))
