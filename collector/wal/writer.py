"""Appends requests to the write-ahead log and says when they are durable.

What comes in: requests, from the event loop. What goes out: awaitables that end when ``fdatasync`` has returned
(``fsync`` where a system has no other).
One thread writes what has gathered since its last turn and syncs it once (group commit), so that many small requests
share the cost of one. Never acknowledges what is not on disk: a failed write or sync refuses every request of the
group, cuts what was written of it away and goes on in a new segment, since after a failed sync nobody knows what the
kernel still holds of the old one. Never grows beyond its bounds: what would is refused until the sink has caught up.
Never leaves anybody waiting: a failure that is not the disk's ends the writer, refuses what waits and what comes, and
is reported to whoever made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.collector.wal.format import HEADER, encode_record, segment_name
from stepsize.collector.wal.limits import WalLimits
from stepsize.collector.wal.reader import segments
from stepsize.collector.wal.space import Room, look
from stepsize.discovery import sync_directory
from stepsize.errors import UnavailableError
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_GROUP_BYTES = 8 << 20
"""More is not joined into one write: it would lie in memory twice."""
_LOOK_S = 0.5
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


@dataclass(slots=True)
class WalCounters:
    """What a log has done since it was opened; only ever grows. Written by its thread, read by anybody.

    Attributes:
        requests, request_bytes: what is durable, records' heads included.
        syncs, sync_s: groups that were made durable, and how long the disk took.
        failed_syncs: groups that were refused because they could not be written.
        refused: requests that were not taken because of a bound.
    """

    requests: int = 0
    request_bytes: int = 0
    syncs: int = 0
    sync_s: float = 0.0
    failed_syncs: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Group:
    """Requests that wait for the same sync."""

    records: list[bytes] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, record: bytes, future: asyncio.Future[None]) -> None:
        """One more."""
        self.records.append(record)
        self.waiting.append(future)
        self.size_bytes += len(record)

    def first(self, size_bytes: int) -> _Group:
        """Take the first requests out: as many as ``size_bytes`` hold, at least one of those that are there."""
        if self.size_bytes <= size_bytes:
            taken = _Group(self.records, self.waiting, self.size_bytes)
            self.records, self.waiting, self.size_bytes = [], [], 0
            return taken
        taken, count = _Group(), 0
        while count < len(self.records) and (not count or taken.size_bytes + len(self.records[count]) <= size_bytes):
            taken.add(self.records[count], self.waiting[count])
            count += 1
        del self.records[:count], self.waiting[:count]
        self.size_bytes -= taken.size_bytes
        return taken


class WalWriter:
    """The one writer of the segments in ``directory``; use it from the event loop that made it.

    Args:
        directory: where the segments lie.
        first_segment: number below which no segment is written; existing ones are never appended to.
        on_durable: called on the event loop with the position after the last durable record.
        on_failure: called on the event loop, once, with what ended the writer before it was closed.
        limits: its bounds.
    """

    def __init__(
        self,
        directory: Path,
        *,
        first_segment: int,
        on_durable: Callable[[WalPosition], None],
        on_failure: Callable[[Exception], None] = lambda _: None,
        limits: WalLimits | None = None,
    ) -> None:
        self._directory = directory
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._limits = limits or WalLimits()
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._group = _Group()
        self._in_flight_bytes = 0
        self._closing = False
        self._next_segment = max([first_segment - 1, *segments(directory)]) + 1
        self._descriptor = -1
        self._offset = 0
        self._room = look(directory, self._limits)
        self._left_bytes = self._room.left_bytes
        self._looked_s = time.monotonic()
        self._is_full = False
        self._is_to_seal = False
        self.durable = WalPosition(self._next_segment, 0)
        self.counters = WalCounters()
        self._thread = threading.Thread(target=self._run, name="wal", daemon=True)
        self._thread.start()

    @property
    def stored_bytes(self) -> int:
        """How much the log held when it was last looked at, half a second ago where it is in use."""
        return self._room.stored_bytes

    async def append(self, request: bytes) -> None:
        """Return once ``request`` is durable.

        Raises:
            UnavailableError: it is not: the disk is full or fails, or too much waits for it, or for the sink. Sending
                it again is safe.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        record = encode_record(request, time.time_ns())
        with self._wake:
            self._check(len(record))
            self._group.add(record, future)
            self._left_bytes -= len(record)
            self._wake.notify()
        await future

    def seal(self) -> None:
        """Go on in a new segment soon, so that what is written can be deleted as soon as the sink is done with it."""
        with self._wake:
            self._is_to_seal = True
            self._wake.notify()

    async def close(self) -> None:
        """Make what was accepted durable and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def _check(self, size_bytes: int) -> None:
        if self._closing:
            raise UnavailableError("the collector is stopping; send again")
        if self._in_flight_bytes + self._group.size_bytes + size_bytes > self._limits.max_pending_bytes:
            self.counters.refused += 1
            raise UnavailableError("the collector's disk cannot keep up; send again later")
        if size_bytes > self._left_bytes:
            self.counters.refused += 1
            self._is_full = True
            self._wake.notify()  # the thread looks whether there is room by now
            raise UnavailableError(f"{self._room.reason}; send again later")

    # the thread

    def _run(self) -> None:
        group: _Group | None = None
        try:
            while (group := self._next_group()) is not None:
                self._look()
                if group.records:
                    self._take(group)
                if self._is_to_seal:
                    self._is_to_seal = False
                    if self._offset > len(HEADER) or (self._descriptor < 0 and segments(self._directory)):
                        self._end_segment()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for a thread that is gone
            self._give_up(group, error)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _next_group(self) -> _Group | None:
        """The next requests to write; none of them where somebody was refused for want of room."""
        with self._wake:
            self._wake.wait_for(lambda: self._group.records or self._closing or self._is_full or self._is_to_seal)
            if self._closing and not self._group.records:
                return None
            group = self._group.first(_GROUP_BYTES) if self._group.records else _Group()
            self._in_flight_bytes = group.size_bytes
            return group

    def _look(self) -> None:
        now_s = time.monotonic()
        was_full, self._is_full = self._is_full, False
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        with contextlib.suppress(OSError):  # writing there will say so
            room = look(self._directory, self._limits)
            self._set_room(room)
        if was_full and self._offset > len(HEADER):
            self._end_segment()

    def _set_room(self, room: Room) -> None:
        with self._wake:
            self._room = room
            self._left_bytes = room.left_bytes - self._in_flight_bytes - self._group.size_bytes

    def _end_segment(self) -> None:
        """Go on in a new segment, so that the sink can delete the one that is written when it is done with it."""
        try:
            self._rotate()
        except OSError:  # there is no room even for that: the next group will say so
            self._abandon_segment()
        else:
            self._call(self._finish, _Group(), None, WalPosition(self._next_segment - 1, self._offset))

    def _take(self, group: _Group) -> None:
        try:
            self._write(group)
        except OSError as error:
            self._abandon_segment()
            self.counters.failed_syncs += 1
            reason = UnavailableError(f"the write-ahead log cannot be written ({error.strerror}); send again later")
            self._settle(group, reason, None)
        else:
            self._settle(group, None, WalPosition(self._next_segment - 1, self._offset))

    def _give_up(self, group: _Group | None, error: Exception) -> None:
        with self._wake:
            self._closing = True
            late, self._group = self._group, _Group()
        self._abandon_segment()
        reason = UnavailableError(f"the write-ahead log failed ({error!r}) and the collector is ending; send again")
        for refused in (group, late):
            if refused is not None:
                self._settle(refused, reason, None)
        self._call(self._on_failure, error)

    def _write(self, group: _Group) -> None:
        if self._descriptor < 0 or self._offset >= self._limits.segment_bytes:
            self._rotate()
        started_s = time.monotonic()
        _write_all(self._descriptor, b"".join(group.records))
        _sync(self._descriptor)
        if os.fstat(self._descriptor).st_nlink == 0:
            raise OSError(errno.ENOENT, "its file was deleted")
        self._offset += group.size_bytes
        counters = self.counters
        counters.syncs += 1
        counters.sync_s += time.monotonic() - started_s
        counters.requests += len(group.records)
        counters.request_bytes += group.size_bytes

    def _rotate(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._offset = 0
        path = self._directory / segment_name(self._next_segment)
        # The number is used up even if this fails, so that no segment is ever written twice.
        self._next_segment += 1
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        _write_all(self._descriptor, HEADER)
        os.fsync(self._descriptor)
        sync_directory(self._directory)
        self._offset = len(HEADER)

    def _abandon_segment(self) -> None:
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._offset)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = -1
        if self._offset <= len(HEADER):  # nothing durable in it: a full disk must not fill with empty segments
            with contextlib.suppress(OSError):
                (self._directory / segment_name(self._next_segment - 1)).unlink(missing_ok=True)

    def _settle(self, group: _Group, error: UnavailableError | None, durable: WalPosition | None) -> None:
        with self._wake:
            self._in_flight_bytes = 0
            if error is not None:
                self._left_bytes += group.size_bytes
        self._call(self._finish, group, error, durable)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everybody who waited
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _finish(self, group: _Group, error: UnavailableError | None, durable: WalPosition | None) -> None:
        try:
            if durable is not None:
                self.durable = durable
                self._on_durable(durable)
        finally:  # what is durable is, whoever could not be told
            _answer(group.waiting, error)


def _answer(waiting: list[asyncio.Future[None]], error: UnavailableError | None) -> None:
    for future in waiting:
        if future.done():  # its client went away
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
