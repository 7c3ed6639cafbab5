"""Appends requests to the write-ahead log and says when they are durable.

What comes in: requests, from the event loop. What goes out: awaitables that end when ``fdatasync`` has returned
(``fsync`` where a system has no other).
One thread writes what has gathered since its last turn and syncs it once (group commit), so that many small requests
share the cost of one. Never acknowledges what is not on disk: a failed write or sync refuses every request of the
group, cuts what was written of it away and goes on in a new segment, so that a reader never passes over bytes that
change under it. Never leaves anybody waiting: a failure that is not the disk's ends the writer, refuses what waits and
what comes, and is reported to whoever made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.collector.wal.format import HEADER, encode_record, segment_name
from stepsize.collector.wal.reader import segments
from stepsize.discovery import sync_directory
from stepsize.errors import UnavailableError
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEGMENT_BYTES = 64 << 20
MAX_PENDING_BYTES = 256 << 20
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


@dataclass(slots=True)
class _Group:
    """Requests that wait for the same sync."""

    records: list[bytes] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    size_bytes: int = 0


class WalWriter:
    """The one writer of the segments in ``directory``; use it from the event loop that made it.

    Args:
        directory: where the segments lie.
        first_segment: number below which no segment is written; existing ones are never appended to.
        on_durable: called on the event loop with the position after the last durable record.
        on_failure: called on the event loop, once, with what ended the writer before it was closed.
        segment_bytes: a segment that is longer is followed by the next.
        max_pending_bytes: requests beyond so many bytes not yet on disk are refused.
    """

    def __init__(
        self,
        directory: Path,
        *,
        first_segment: int,
        on_durable: Callable[[WalPosition], None],
        on_failure: Callable[[Exception], None] = lambda _: None,
        segment_bytes: int = SEGMENT_BYTES,
        max_pending_bytes: int = MAX_PENDING_BYTES,
    ) -> None:
        self._directory = directory
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._segment_bytes = segment_bytes
        self._max_pending_bytes = max_pending_bytes
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._group = _Group()
        self._in_flight_bytes = 0
        self._closing = False
        self._next_segment = max([first_segment - 1, *segments(directory)]) + 1
        self._descriptor = -1
        self._offset = 0
        self.durable = WalPosition(self._next_segment, 0)
        self._thread = threading.Thread(target=self._run, name="wal", daemon=True)
        self._thread.start()

    async def append(self, request: bytes) -> None:
        """Return once ``request`` is durable.

        Raises:
            UnavailableError: it is not: the disk is full or fails, or too much waits for it. Sending it again is safe.
        """
        future: asyncio.Future[None] = self._loop.create_future()
        record = encode_record(request, time.time_ns())
        with self._wake:
            if self._closing:
                raise UnavailableError("the collector is stopping; send again")
            if self._in_flight_bytes + self._group.size_bytes + len(record) > self._max_pending_bytes:
                raise UnavailableError("the collector's disk cannot keep up; send again later")
            self._group.records.append(record)
            self._group.waiting.append(future)
            self._group.size_bytes += len(record)
            self._wake.notify()
        await future

    async def close(self) -> None:
        """Make what was accepted durable and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        group: _Group | None = None
        try:
            while group := self._next_group():
                self._take(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for a thread that is gone
            self._give_up(group, error)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _take(self, group: _Group) -> None:
        try:
            self._write(group)
        except OSError as error:
            self._abandon_segment()
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

    def _next_group(self) -> _Group | None:
        with self._wake:
            self._wake.wait_for(lambda: self._group.records or self._closing)
            if not self._group.records:
                return None
            group, self._group = self._group, _Group()
            self._in_flight_bytes = group.size_bytes
            return group

    def _write(self, group: _Group) -> None:
        if self._descriptor < 0 or self._offset >= self._segment_bytes:
            self._rotate()
        content = b"".join(group.records)
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]
        _sync(self._descriptor)
        self._offset += len(content)

    def _rotate(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._offset = 0
        path = self._directory / segment_name(self._next_segment)
        # The number is used up even if this fails, so that no segment is ever written twice.
        self._next_segment += 1
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(self._descriptor, HEADER)
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
        self._call(self._finish, group, error, durable)

    def _call(self, callback: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it everybody who waited
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _finish(self, group: _Group, error: UnavailableError | None, durable: WalPosition | None) -> None:
        if durable is not None:
            self.durable = durable
            self._on_durable(durable)
        for future in group.waiting:
            if future.done():  # its client went away
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
