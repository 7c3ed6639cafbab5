"""Folds the write-ahead log into the lake, a generation at a time.

What comes in: the log's records, and the time by our clock. What goes out: Parquet files, the roll-up of `tasks`, and
commits that name them together with the position up to which they are complete. Never acknowledges anything, and never
keeps in memory alone what a commit has claimed: whatever fails, a new sink that starts from the last commit ends in the
same lake.

Points of a commit go to files of their own; `stepsize.store.merge` keeps their number small. Attempts that may still
change lie in one snapshot, replaced by each commit that changes it. Points of an attempt that is final already (an
agent that was cut off for an hour) open it again: its row is taken out of its file, and the state kept beside it goes
on from where it was.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
from google.protobuf.message import DecodeError

from stepsize.collector.decode.arrow import partition, tables
from stepsize.collector.decode.decoder import Batch, Decoder
from stepsize.collector.rollup.attempt import Attempt
from stepsize.collector.rollup.table import AttemptTable
from stepsize.collector.sink.finals import take_back
from stepsize.collector.sink.recent import RecentRequests
from stepsize.collector.upkeep.upkeep import Upkeep
from stepsize.collector.wal.aside import keep_damage, keep_request
from stepsize.collector.wal.reader import delete_before, read_records, segments
from stepsize.store.manifest import WalPosition
from stepsize.store.merge import OPEN_PARTITION, due, merged
from stepsize.store.schema import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from stepsize.collector.limits import SinkLimits
    from stepsize.collector.wal.reader import Damage
    from stepsize.store.manifest import StoredFile
    from stepsize.store.writer import LakeWriter

MAX_BATCH_BYTES = 32 << 20


class Sink:
    """The one sink of a write-ahead log.

    Args:
        writer: where the rows go.
        wal: directory of the log's segments.
        limits: the bounds.
        now_ns: the time by our clock, at which this sink starts to listen.
    """

    def __init__(self, writer: LakeWriter, wal: Path, limits: SinkLimits, now_ns: int) -> None:
        self._writer = writer
        self._wal = wal
        self._limits = limits
        self._decoder = Decoder()
        self._recent = RecentRequests(writer.manifest.recent)
        self._attempts = AttemptTable(limits.rollup, now_ns, limits.clock)
        self._upkeep = Upkeep(writer, limits.upkeep)
        self._restore()
        self.position = writer.manifest.position

    def fold(self, durable: WalPosition, now_ns: int) -> int:
        """Bring what the log holds up to ``durable`` into the lake, in as many commits as it takes.

        Returns:
            How many points were stored. :attr:`position` is the position up to which everything is visible.
        """
        points = 0
        while True:
            batch, position, more = self._read(durable)
            if position > self.position:
                self._commit(batch, position, now_ns)
                points += batch.count
            if not more:
                # Nothing is left before `durable`, even where no record ends exactly there.
                self.position = max(self.position, durable)
                self._let_go()
                return points

    def tick(self, now_ns: int) -> None:
        """Close attempts that have been silent for too long, and let go of those that ended."""
        closed = self._attempts.close_silent(now_ns)
        final = self._attempts.take_final(now_ns)
        if closed or final:
            self._commit_attempts(final, (), self._writer.manifest.position, now_ns)
        self._upkeep.step(now_ns)
        self._writer.collect_garbage(now_ns / 1e9)

    def close(self) -> None:
        """End what goes on beside it."""
        self._upkeep.close()

    def _read(self, durable: WalPosition) -> tuple[Batch, WalPosition, bool]:
        batch, position, size_bytes = Batch(), self.position, 0
        for record, after in read_records(self._wal, self.position, durable, self._keep_damage):
            position = after
            if self._recent.is_repeated(record.request):
                continue
            try:
                self._decoder.add(batch, record.request, record.received_at_unix_nano)
            except (DecodeError, ValueError, OverflowError, RecursionError) as error:
                _say(keep_request(self._wal, after, record.request, error))
            size_bytes += len(record.request)
            if batch.count >= self._limits.commit.points or size_bytes >= MAX_BATCH_BYTES:
                return batch, position, True
        return batch, position, False

    def _commit(self, batch: Batch, position: WalPosition, now_ns: int) -> None:
        files = [
            self._writer.write(name, where, rows)
            for name, partitions in tables(batch, self._limits.clock).items()
            for where, rows in partitions.items()
        ]
        dropped = self._reopen(batch, files)
        self._attempts.fold(batch.numbers)
        self._commit_attempts([], files, position, now_ns, dropped)
        self.position = position
        delete_before(self._wal, position)

    def _commit_attempts(
        self,
        final: list[Attempt],
        added: Iterable[StoredFile],
        position: WalPosition,
        now_ns: int,
        dropped: frozenset[StoredFile] = frozenset(),
    ) -> None:
        files = [stored for stored in self._writer.manifest.files if stored not in dropped]
        files += [*added, *self._write_final(final, now_ns)]
        self._attempts.forget(final)
        files = [stored for stored in files if stored.partition != OPEN_PARTITION] + self._write_open()
        self._writer.commit(
            replace(
                self._writer.manifest,
                files=tuple(self._merge(files)),
                position=position,
                recent=self._recent.kept(),
            )
        )

    def _write_open(self) -> list[StoredFile]:
        attempts = self._attempts.attempts.values()
        if not attempts:
            return []
        rows = pa.Table.from_pylist(self._attempts.rows(attempts), schema=TASKS)
        return [self._writer.write("tasks", OPEN_PARTITION, rows)]

    def _write_final(self, final: list[Attempt], now_ns: int) -> list[StoredFile]:
        months: dict[str, list[Attempt]] = {}
        for attempt in final:
            ended_ns = attempt.ended_ns or attempt.last_ns
            day = self._limits.clock.day(ended_ns, attempt.arrived_ns or now_ns)
            months.setdefault(partition(day).replace("day=", "month=")[: len("month=YYYY-MM")], []).append(attempt)
        return [
            self._writer.write("tasks", month, pa.Table.from_pylist(self._attempts.rows(attempts), schema=TASKS))
            for month, attempts in months.items()
        ]

    def _merge(self, files: list[StoredFile]) -> list[StoredFile]:
        while groups := due(one for one in files if one not in self._upkeep.held):
            for group in groups:
                first = group[0]
                rows = merged(self._writer.read(group, first.table), first.table)
                larger = self._writer.write(first.table, first.partition, rows, level=first.level + 1)
                files = [stored for stored in files if stored not in group] + [larger]
        return files

    def _reopen(self, batch: Batch, files: list[StoredFile]) -> frozenset[StoredFile]:
        """Take attempts that are final but have points in ``batch`` back; returns the files that lose rows by it."""
        unknown = self._attempts.unknown(batch.numbers)
        stored = [
            one for one in self._writer.manifest.files if one.table == "tasks" and one.partition != OPEN_PARTITION
        ]
        if not unknown or not stored:
            return frozenset()
        taken = take_back(self._writer, stored, unknown)
        self._attempts.restore(taken.attempts)
        files += taken.rewritten
        return taken.dropped

    def _restore(self) -> None:
        stored = [one for one in self._writer.manifest.files if one.partition == OPEN_PARTITION]
        states = self._writer.read(stored, "tasks")["state"].to_pylist()
        self._attempts.restore(Attempt.from_json(json.loads(state)) for state in states)

    def _keep_damage(self, damage: Damage) -> None:
        _say(keep_damage(self._wal, damage))

    def _let_go(self) -> None:
        """Delete the segments that are done with, but for the last, which is the one being written."""
        if numbers := segments(self._wal):
            delete_before(self._wal, min(self.position, WalPosition(numbers[-1])))


def _say(line: str) -> None:
    print(f"stepsize collect: {line}", file=sys.stderr)  # noqa: T201 - the process's log
