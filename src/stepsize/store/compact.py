"""Many files of points to few large ones: in their order, each point once, in bounded memory.

What comes in: files of one table and partition, of any age and order, and where new ones may be written. What goes out:
files, which nothing names yet. Never changes or deletes what it reads.

An external merge sort: files that lie in their order are runs; the others, which merges have kept small, are sorted in
memory into runs of :data:`_RUN_ROWS` rows. At most :data:`FAN_IN` runs are merged at once, a batch of each in memory;
where there are more, the smallest are merged into one first. What a batch of each run begins with, up to the least of
the batches' ends, is all that can come next: it is sorted in one go, and written.

Memory: a batch and the pages of a row group of each run, and a row group to be written: below 1 GiB.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from stepsize.errors import LakeError
from stepsize.store.duplicates import ELSEWHERE, without_duplicates
from stepsize.store.order import in_order, order_of, trimmed
from stepsize.store.parquet import (
    QUICK,
    ROW_GROUP_ROWS,
    SMALL,
    ParquetWriter,
    is_ordered,
    read_batches,
    smallest_deltas,
)
from stepsize.store.schema import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

FAN_IN = 8
MAX_FILE_ROWS = 64 << 20
"""Some 200 MB: few files for whoever reads a day, and small enough to be copied about."""
_RUN_ROWS = 1 << 20
_BATCH_ROWS = 1 << 15
_MAX_EQUAL_ROWS = 4 << 20
"""More points of one series and time than this (a sender without times) are told apart in parts."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """A file that was written, of so many rows and bytes."""

    path: Path
    rows: int
    size_bytes: int


class _Source(NamedTuple):
    """A file to read, and whether its rows are another writer's."""

    file: pq.ParquetFile
    elsewhere: bool


def compact(table: str, files: Sequence[Path], elsewhere: Sequence[Path], into: Path) -> list[Compacted]:
    """Write the points in ``files``, each once and none that is in ``elsewhere`` too, to files in directory ``into``.

    ``elsewhere`` are files of the same table and partition that another writer keeps; nothing of them is written.

    Raises:
        LakeError: a file cannot be read or written; what was written stays in ``into``.
    """
    try:
        return _compact(table, files, elsewhere, into)
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())
        raise LakeError(f"cannot compact {files[0].parent}: {said}; restore the file, or make room") from None


def _compact(table: str, files: Sequence[Path], elsewhere: Sequence[Path], into: Path) -> list[Compacted]:
    with contextlib.ExitStack() as opened:
        # All are opened now: whoever keeps those elsewhere may delete them while this goes on.
        sources = [
            _Source(opened.enter_context(pq.ParquetFile(path)), other)
            for paths, other in ((files, False), (elsewhere, True))
            for path in paths
        ]
        runs = _runs(table, sources, into, opened)
        while len(runs) > FAN_IN:
            runs.sort(key=lambda run: run.rows)
            first, runs = runs[:FAN_IN], runs[FAN_IN:]
            runs.append(_written_run(table, _merge(table, first), into, opened))
        return _write(table, (without_duplicates(rows, table) for rows in _merge(table, runs)), into)


def _runs(table: str, sources: Iterable[_Source], into: Path, opened: contextlib.ExitStack) -> list[_Run]:
    """Each source as a run, those without an order sorted into runs of their own."""
    runs = []
    waiting: list[pa.Table] = []

    def sort() -> None:
        if waiting:
            rows = in_order(pa.concat_tables(waiting), table)
            waiting.clear()
            runs.append(_written_run(table, iter([rows]), into, opened))

    for source in sources:
        if is_ordered(source.file, table):
            runs.append(_Run(table, _marked(source, table), source.file.metadata.num_rows))
            continue
        for rows in _marked(source, table):
            waiting.append(rows)
            if sum(one.num_rows for one in waiting) >= _RUN_ROWS:
                sort()
    sort()
    return runs


def _marked(source: _Source, table: str) -> Iterator[pa.Table]:
    """The rows of a source, and of each whether it is another writer's."""
    for rows in read_batches(source.file, table, _BATCH_ROWS):
        flag = pa.repeat(pa.scalar(source.elsewhere), rows.num_rows)
        yield rows.append_column(ELSEWHERE, flag)


def _written_run(table: str, parts: Iterator[pa.Table], into: Path, opened: contextlib.ExitStack) -> _Run:
    """Rows in their order, set down on disk as a run, which is deleted when all is done."""
    path = into / f"run-{uuid.uuid4().hex}.parquet"
    schema = SCHEMAS[table].append(pa.field(ELSEWHERE, pa.bool_()))
    opened.callback(path.unlink, missing_ok=True)
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=QUICK) as writer:
        for part in parts:
            writer.write_table(trimmed(part).cast(schema), row_group_size=ROW_GROUP_ROWS)
            rows += part.num_rows
    file = opened.enter_context(pq.ParquetFile(path))
    batches = (pa.Table.from_batches([one]) for one in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False))
    return _Run(table, batches, rows)


_Key = tuple[tuple[bool, object], ...]


class _Run:
    """Rows in their order, of which as many are in memory as are being compared; none before it is being merged."""

    def __init__(self, table: str, batches: Iterator[pa.Table], rows: int) -> None:
        self.rows = rows
        self._batches = batches
        self._by = order_of(table)
        self._held: pa.Table | None = None
        self.ended = False

    def more(self) -> None:
        """Take another batch into memory, if there is one."""
        batch = next((one for one in self._batches if one.num_rows), None)
        if batch is None:
            self.ended = True
        else:
            self._held = batch if self._held is None else pa.concat_tables([self._held, batch])

    @property
    def held_rows(self) -> int:
        """How many rows are in memory."""
        return 0 if self._held is None else self._held.num_rows

    def last(self) -> _Key:
        """By what the last row in memory compares."""
        return self._key(self.held_rows - 1)

    def take_below(self, bound: _Key | None) -> pa.Table | None:
        """The rows in memory that come before ``bound`` (None: all of them), which are let go of; None if none do."""
        if self._held is None:
            return None
        low, high = 0, self._held.num_rows
        while bound is not None and low < high:
            middle = (low + high) // 2
            if self._key(middle) < bound:
                low = middle + 1
            else:
                high = middle
        count = self._held.num_rows if bound is None else low
        taken = self._held.slice(0, count) if count else None
        self._held = self._held.slice(count) if count < self._held.num_rows else None
        return taken

    def _key(self, row: int) -> _Key:
        assert self._held is not None
        values = [self._held[name][row].as_py() for name in self._by]
        return tuple((value is None, "" if value is None else value) for value in values)


def _merge(table: str, runs: Sequence[_Run]) -> Iterator[pa.Table]:
    """The rows of all runs in their order, those of one series and time always in the same part."""
    while True:
        for run in runs:
            if not run.held_rows and not run.ended:
                run.more()
        going_on = [run for run in runs if not run.ended]
        bound = min((run.last() for run in going_on), default=None)
        rows = _taken_below(table, runs, bound)
        if rows is None and bound is not None:
            tied = [run for run in going_on if run.last() == bound]
            # All that is in memory of them is of one series and time: read on in them, or let go of too much.
            if sum(run.held_rows for run in tied) > _MAX_EQUAL_ROWS:
                rows = _taken_below(table, tied, None)
            for run in tied:
                run.more()
        if rows is not None:
            yield rows
        elif bound is None:
            return


def _taken_below(table: str, runs: Sequence[_Run], bound: _Key | None) -> pa.Table | None:
    """What is in memory of the runs and comes before ``bound``, in its order; None where that is nothing."""
    parts = [part for run in runs if (part := run.take_below(bound)) is not None]
    return in_order(pa.concat_tables(parts), table) if parts else None


def _write(table: str, parts: Iterable[pa.Table], into: Path) -> list[Compacted]:
    """Parts in their order to files of whole row groups."""
    made: list[Compacted] = []
    groups = _regrouped(parts, ROW_GROUP_ROWS)
    group = next(groups, None)
    while group is not None:
        path = into / f"{uuid.uuid4().hex}.parquet"
        deltas = smallest_deltas(group, table)
        with ParquetWriter(path, table, ordered=True, level=SMALL, deltas=deltas) as writer:
            while group is not None and writer.rows < MAX_FILE_ROWS:
                writer.write(group)
                group = None  # not in memory beside the next one
                group = next(groups, None)
        made.append(Compacted(path, writer.rows, writer.size_bytes))
    return made


def _regrouped(parts: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of ``rows`` each, the last one aside."""
    waiting: list[pa.Table] = []
    count = 0
    for part in map(trimmed, parts):
        waiting.append(part)
        count += part.num_rows
        while count >= rows:
            whole = pa.concat_tables(waiting)
            waiting, count = [trimmed(whole.slice(0, rows)), trimmed(whole.slice(rows))], count - rows
            del whole
            yield waiting.pop(0)
    if count:
        yield trimmed(pa.concat_tables(waiting))
