"""Folds the write-ahead log into the lake, a generation at a time.

What comes in: the log's records, and the time by our clock. What goes out: Parquet files, the roll-up of `tasks`, and
commits that name them together with the position up to which they are complete. Never acknowledges anything, and never
keeps in memory alone what a commit has claimed: whatever fails, a new sink that starts from the last commit ends in the
same lake.

Points of a commit go to files of their own; `stepsize.store.merge` keeps their number small. They are rolled up with
the same commit or, where the caller says so, with a later one: a commit names a position for either, and the log is
kept from the earlier one on, so that a new sink reads again what was not rolled up. Attempts that may still change lie
in pages, of which those are replaced that have news. Points of an attempt that is final already (an agent that was cut
off for an hour) open it again: its row is taken out of its file, and its state goes on from where it was.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
from google.protobuf.message import DecodeError

from stepsize.collector.decode.arrow import partition, tables
from stepsize.collector.decode.decoder import Decoder
from stepsize.collector.rollup.table import AttemptTable
from stepsize.collector.sink.finals import Finals
from stepsize.collector.sink.open_files import OpenFiles
from stepsize.collector.sink.recent import RecentRequests
from stepsize.collector.upkeep.upkeep import Upkeep
from stepsize.collector.wal.aside import keep_damage, keep_request
from stepsize.collector.wal.reader import delete_before, read_records, segments
from stepsize.store.manifest import WalPosition
from stepsize.store.merge import OPEN_PARTITION, due, merged
from stepsize.store.schema import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from stepsize.collector.decode.batch import Batch
    from stepsize.collector.limits import SinkLimits
    from stepsize.collector.rollup.attempt import Attempt, AttemptKey
    from stepsize.collector.wal.reader import Damage
    from stepsize.store.manifest import StoredFile
    from stepsize.store.writer import LakeWriter

MAX_BATCH_BYTES = 32 << 20
"""Of requests in one commit: with what is made of them, about eight times as much memory."""
_DECODED_BYTES = 4 << 20
"""Of requests that are decoded at a time."""
_SHOW_S = 1.0
"""Of many commits in a row the views show one in so many seconds, and the last: making them costs as much as writing
a file."""
_UNDECODABLE = (DecodeError, ValueError, OverflowError, RecursionError, pa.ArrowException)
MAX_UNFOLDED = 4_000_000
"""Points that are not rolled up at most; a new sink reads so many again."""
MAX_REPEATED = 1_000
"""Requests among them that had been taken before, each of which the manifest names."""


class _Chunk(NamedTuple):
    """Records of the log that follow each other.

    Attributes:
        requests: those that were not taken before.
        arrivals: when they arrived, in nanoseconds since 1970.
        after: the position after the records.
        read_bytes: of all requests among them, those that had been taken before included.
    """

    requests: list[bytes]
    arrivals: list[int]
    after: WalPosition
    read_bytes: int


class Sink:
    """The one sink of a write-ahead log.

    Args:
        writer: where the rows go.
        wal: directory of the log's segments.
        limits: the bounds.
        now_ns: the time by our clock, at which this sink starts to listen.

    Attributes:
        position: everything before it is in the views of points.
        folded: everything before it is in the view of tasks too.
        folding_s: how long the last roll-up took.
    """

    def __init__(self, writer: LakeWriter, wal: Path, limits: SinkLimits, now_ns: int) -> None:
        self._writer = writer
        self._wal = wal
        self._limits = limits
        self._decoder = Decoder()
        self._recent = RecentRequests(writer.manifest.recent)
        self._repeated = list(writer.manifest.repeated)
        self._attempts = AttemptTable(limits.rollup, now_ns, limits.clock, self._reopen)
        self._open_files = OpenFiles(writer)
        self._attempts.restore(self._open_files.restore())
        self._attempts.take_changed()
        self._finals = Finals(writer)
        self._taken_from: set[StoredFile] = set()
        self._left_over: list[StoredFile] = []
        self._unfolded = 0
        self._upkeep = Upkeep(writer, limits.upkeep)
        self.position = writer.manifest.position
        self.folded = writer.manifest.settled
        self.folding_s = 0.0
        self._is_caught_up = self.folded >= self.position

    def fold(self, durable: WalPosition, now_ns: int, *, roll_up: bool = True) -> int:
        """Bring what the log holds up to ``durable`` into the lake, in as many commits as it takes.

        Args:
            durable: where to end.
            now_ns: the time by our clock.
            roll_up: whether `tasks` has to show it too when this returns.

        Returns:
            How many points were stored. :attr:`position` is the position up to which everything is visible.
        """
        self._catch_up()
        points, shown_s = 0, time.monotonic()
        while True:
            batch, position, more = self._read(durable)
            is_last = roll_up and not more
            if position > self.position:
                self._commit(batch, position, now_ns, roll_up=is_last or self._must_roll_up(batch))
                points += batch.count
            elif is_last and self._is_behind:
                self._commit_rolled_up([], now_ns)
            if not more or time.monotonic() - shown_s >= _SHOW_S:
                self._writer.show()
                shown_s = time.monotonic()
            if not more:
                # Nothing is left before `durable`, even where no record ends exactly there.
                is_level = self.folded == self.position
                self.position = max(self.position, durable)
                self.folded = self.position if is_level else self.folded
                self._let_go()
                return points

    def tick(self, now_ns: int, *, roll_up: bool = True) -> None:
        """Do what is due beside commits: close attempts that have been silent too long, let go of old ends, upkeep.

        Args:
            now_ns: the time by our clock.
            roll_up: whether to bring `tasks` up to date; else attempts stay as they are.
        """
        if roll_up:
            self._catch_up()
            self._commit_rolled_up([], now_ns)
            self._writer.show()
        if not self._taken_from:  # upkeep sees the manifest alone, which names files that rows were taken back from
            self._upkeep.step(now_ns)
        self._writer.collect_garbage(time.monotonic())  # a clock that is set must not take files from under readers

    def clock_was_set(self, now_ns: int) -> None:
        """Our clock was put forward or back, to ``now_ns``: no attempt is closed and no day dropped by it."""
        self._attempts.clock_was_set(now_ns)
        self._upkeep.clock_was_set()

    def close(self) -> None:
        """End what goes on beside it."""
        self._upkeep.close()

    @property
    def _is_behind(self) -> bool:
        return self.folded < self.position

    def _must_roll_up(self, batch: Batch) -> bool:
        return self._unfolded + batch.count > MAX_UNFOLDED or len(self._repeated) > MAX_REPEATED

    def _catch_up(self) -> None:
        """Gather what the sink before this one had stored but not rolled up."""
        if self._is_caught_up:
            return
        self._is_caught_up = True
        repeated = set(self._repeated)
        end = self._writer.manifest.position
        requests: list[bytes] = []
        arrivals: list[int] = []
        size_bytes = 0
        for record, after in read_records(self._wal, self.folded, end):
            if after in repeated:
                continue
            requests.append(record.request)
            arrivals.append(record.received_at_unix_nano)
            size_bytes += len(record.request)
            if size_bytes >= _DECODED_BYTES:
                self._gather_again(requests, arrivals)
                requests, arrivals, size_bytes = [], [], 0
        self._gather_again(requests, arrivals)

    def _gather_again(self, requests: list[bytes], arrivals: list[int]) -> None:
        batch = self._decoder.begin()
        self._decode(batch, requests, arrivals, self.folded)
        self._attempts.gather(batch)
        self._unfolded += batch.count

    def _read(self, durable: WalPosition) -> tuple[Batch, WalPosition, bool]:
        """The next points of the log, the position after them, and whether there may be more."""
        batch, position = self._decoder.begin(), self.position
        read_bytes = 0
        for chunk in self._chunks(durable):
            position = chunk.after
            self._decode(batch, chunk.requests, chunk.arrivals, position)
            read_bytes += chunk.read_bytes
            if batch.count >= self._limits.commit.points or read_bytes >= MAX_BATCH_BYTES:
                return batch, position, True
        return batch, position, False

    def _chunks(self, durable: WalPosition) -> Iterator[_Chunk]:
        """What follows in the log, as much at a time as is decoded at a time."""
        requests: list[bytes] = []
        arrivals: list[int] = []
        read_bytes, position = 0, self.position
        for record, after in read_records(self._wal, self.position, durable, self._keep_damage):
            position = after
            read_bytes += len(record.request)
            if self._recent.is_repeated(record.request):
                self._repeated.append(after)
            else:
                requests.append(record.request)
                arrivals.append(record.received_at_unix_nano)
            if read_bytes >= _DECODED_BYTES:
                yield _Chunk(requests, arrivals, position, read_bytes)
                requests, arrivals, read_bytes = [], [], 0
        if position > self.position:
            yield _Chunk(requests, arrivals, position, read_bytes)

    def _decode(self, batch: Batch, requests: list[bytes], arrivals: list[int], after: WalPosition) -> None:
        try:
            self._decoder.add(batch, requests, arrivals)
        except _UNDECODABLE as error:
            if len(requests) == 1:
                _say(keep_request(self._wal, after, requests[0], error))
                return
            for request, arrival in zip(requests, arrivals, strict=True):  # all but those that cannot be
                self._decode(batch, [request], [arrival], after)

    def _commit(self, batch: Batch, position: WalPosition, now_ns: int, *, roll_up: bool) -> None:
        files = [
            self._writer.write(name, where, rows)
            for name, partitions in tables(batch, self._limits.clock).items()
            for where, rows in partitions.items()
        ]
        self._attempts.gather(batch)
        self._unfolded += batch.count
        self.position = position
        if roll_up:
            self._commit_rolled_up(files, now_ns)
            return
        points = self._merge([*self._stored_points(), *files])
        self._write_manifest(points + [one for one in self._writer.manifest.files if one.table == "tasks"])

    def _commit_rolled_up(self, added: list[StoredFile], now_ns: int) -> None:
        """Commit files of points, and `tasks` as of :attr:`position`."""
        started_s = time.monotonic()
        self._attempts.fold()
        self._attempts.close_silent(now_ns)
        final = self._attempts.take_final(now_ns)
        changed = self._attempts.take_changed()
        if changed or added or self._is_behind:
            finals = self._final_files() + self._write_final(final, now_ns)
            open_files = self._open_files.write(self._attempts, changed)
            self.folded, self._unfolded, self._repeated = self.position, 0, []
            self._write_manifest(self._merge([*self._stored_points(), *added, *finals]) + open_files)
            self._taken_from, self._left_over = set(), []
        self._attempts.rest(now_ns)
        self.folding_s = time.monotonic() - started_s

    def _stored_points(self) -> list[StoredFile]:
        return [one for one in self._writer.manifest.files if one.table != "tasks"]

    def _write_manifest(self, files: list[StoredFile]) -> None:
        self._writer.commit(
            replace(
                self._writer.manifest,
                files=tuple(files),
                position=self.position,
                recent=self._recent.kept(),
                folded=self.folded if self._is_behind else None,
                repeated=tuple(self._repeated),
            ),
            show=False,
        )
        self._let_go()

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

    def _reopen(self, starts: Mapping[AttemptKey, int]) -> Iterable[Attempt]:
        """Attempts that are final but have new points; their rows leave their files with the next commit."""
        taken = self._finals.take_back(self._final_files(), starts)
        self._taken_from |= taken.dropped
        self._left_over = [one for one in self._left_over if one not in taken.dropped] + list(taken.rewritten)
        return taken.attempts

    def _final_files(self) -> list[StoredFile]:
        """The files of final rows, without those that were taken back since the last commit of `tasks`."""
        stored = self._writer.manifest.files
        named = [one for one in stored if one.table == "tasks" and one.partition != OPEN_PARTITION]
        return [one for one in named if one not in self._taken_from] + self._left_over

    def _keep_damage(self, damage: Damage) -> None:
        _say(keep_damage(self._wal, damage))

    def _let_go(self) -> None:
        """Delete the segments that are done with, but for the last, which is the one being written."""
        if numbers := segments(self._wal):
            delete_before(self._wal, min(self.folded, WalPosition(numbers[-1])))


def _say(line: str) -> None:
    print(f"stepsize collect: {line}", file=sys.stderr)  # noqa: T201 - the process's log
