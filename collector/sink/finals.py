"""Takes rows of attempts that were final back out of their files.

What comes in: the files of final rows, and keys of attempts that have new points. What goes out: the states of those
that are there, and the files rewritten without them. Never deletes a file: the commit does, by not naming it.

Every new attempt is looked for here, so that finding must not cost more the more there are: a file is opened only where
it holds rows that began about when the attempt says that it began (its sums say so with every point), and its column of
tasks is read once. Of attempts that do not say when they began, files are opened as far back as a clock is believed.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stepsize.collector.rollup.attempt import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.collector.rollup.attempt import AttemptKey
    from stepsize.store.manifest import StoredFile
    from stepsize.store.writer import LakeWriter

_SLACK_NS = 3600 * 10**9
"""Beginnings of one attempt that differ by less may be of one attempt: samples may tell of it before its sums do."""
_MAX_CACHED_ROWS = 2_000_000


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Attempts that are open again, the files that held their rows, and those files without them."""

    attempts: tuple[Attempt, ...]
    dropped: frozenset[StoredFile]
    rewritten: tuple[StoredFile, ...]


class Finals:
    """Looks for rows in files of final rows; remembers what it has read of files, which never change."""

    def __init__(self, writer: LakeWriter) -> None:
        self._writer = writer
        self._began: dict[str, tuple[int, int] | None] = {}
        self._tasks: dict[str, pa.Array] = {}

    def take_back(self, files: Iterable[StoredFile], starts: Mapping[AttemptKey, int]) -> TakenBack:
        """Take the rows of attempts out of ``files``.

        Args:
            files: the files of final rows.
            starts: key → when the attempt began, in nanoseconds since 1970; 0 where that is not known.
        """
        attempts: list[Attempt] = []
        dropped: list[StoredFile] = []
        rewritten: list[StoredFile] = []
        stored_files = list(files)
        self._forget({stored.path for stored in stored_files})
        for stored in stored_files:
            keys = self._sought(stored, starts)
            if not keys:
                continue
            tasks = pa.array(sorted({key.task for key in keys}))
            if not pc.any(pc.is_in(self._tasks_in(stored), value_set=tasks)).as_py():
                continue
            rows = self._writer.read([stored], "tasks")
            states = [Attempt.from_json(json.loads(state)) if state else None for state in rows["state"].to_pylist()]
            found = [state is not None and state.key in keys for state in states]
            if not any(found):
                continue
            attempts += [state for state, wanted in zip(states, found, strict=True) if state is not None and wanted]
            dropped.append(stored)
            rest = rows.filter(pa.array([not wanted for wanted in found]))
            if rest.num_rows:
                rewritten.append(self._writer.write("tasks", stored.partition, rest, level=stored.level))
        return TakenBack(tuple(attempts), frozenset(dropped), tuple(rewritten))

    def _sought(self, stored: StoredFile, starts: Mapping[AttemptKey, int]) -> set[AttemptKey]:
        """The attempts that may be in a file."""
        began = self._began_in(stored)
        if began is None:
            return set(starts)
        earliest, latest = began[0] - _SLACK_NS, began[1] + _SLACK_NS
        return {key for key, start in starts.items() if not start or earliest <= start <= latest}

    def _began_in(self, stored: StoredFile) -> tuple[int, int] | None:
        """Between when the attempts in a file began, None where that is not known of all."""
        if stored.path not in self._began:
            self._began[stored.path] = _bounds(pq.read_metadata(self._writer.data / stored.path))
        return self._began[stored.path]

    def _tasks_in(self, stored: StoredFile) -> pa.Array:
        found = self._tasks.get(stored.path)
        if found is None:
            if sum(map(len, self._tasks.values())) > _MAX_CACHED_ROWS:
                self._tasks.clear()
            column = pq.ParquetFile(self._writer.data / stored.path).read(columns=["task"])["task"]
            found = self._tasks[stored.path] = pc.unique(column)
        return found

    def _forget(self, there: set[str]) -> None:
        """Drop what is known of files that are gone."""
        for path in self._began.keys() - there:
            del self._began[path]
            self._tasks.pop(path, None)


def _bounds(metadata: pq.FileMetaData) -> tuple[int, int] | None:
    least: list[dt.datetime] = []
    most: list[dt.datetime] = []
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        columns = (row_group.column(index) for index in range(row_group.num_columns))
        found = [column.statistics for column in columns if column.path_in_schema == "started_at"]
        if not found or found[0] is None or not found[0].has_min_max or found[0].null_count:
            return None
        least.append(found[0].min)
        most.append(found[0].max)
    return (_unix_nano(min(least)), _unix_nano(max(most))) if least else None


def _unix_nano(time: dt.datetime) -> int:
    since = time - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    return since // dt.timedelta(microseconds=1) * 1000
