"""Sends a log's requests on, each until an answer settles it, and remembers how far it has come.

What comes in: a log, a sender, the bounds. What goes out: requests to another collector; positions beside the log, so
that nothing acknowledged is lost over a kill. What will never be taken is counted and passed over, so is what was tried
for too long (``max_elapsed_time``). A batch's end is written down before it is sent: made again after a kill, it is the
same bytes, which a receiver that drops repetitions takes once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.collector.pipelines.batches import points_of, requests_of
from stepsize.collector.pipelines.following import Following
from stepsize.collector.pipelines.outcome import FAILED, SENT, Outcome, Verdict
from stepsize.collector.pipelines.retry import Retries
from stepsize.collector.wal.positions import ReaderPosition, read_position, release, write_position
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stepsize.collector.components.sending import QueueBatchConfig, QueueConfig, RetryConfig
    from stepsize.collector.pipelines.outcome import Sender

_MAX_BATCH_BYTES = 2 << 20
"""A batch of small requests stays below what gRPC servers take by default, 4 MiB."""


@dataclass(slots=True)
class _Batch:
    """Requests that go together, and where the last of them ends."""

    end: WalPosition
    parts: list[bytes]
    settled: bool = False


class Forwarder:
    """One exporter's way through one log.

    Args:
        name: the exporter's.
        directory: where the log lies.
        sender: sends.
        queue, retry: the exporter's bounds.
        batch: what is put together; None: each request goes as it came.
        log: takes a line for the operator.
        count: takes what happened to how many points.
        until: it ends there and lets go of the log: a log that nothing is written to any more.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        sender: Sender,
        *,
        queue: QueueConfig,
        retry: RetryConfig,
        batch: QueueBatchConfig | None,
        log: Callable[[str], None],
        count: Callable[[str, int], None],
        until: WalPosition | None = None,
    ) -> None:
        self._name = name
        self._directory = directory
        self._sender = sender
        self._retry = retry
        self._batch = queue.batch or batch
        self._log = log
        self._count = count
        self._until = until
        saved = read_position(directory, name) or ReaderPosition(WalPosition())
        self._done = saved.done
        self._again = deque(saved.sealed)
        self._following = Following(directory, saved.done)
        self._under_way: deque[_Batch] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(queue.num_consumers)
        self._threads = ThreadPoolExecutor(queue.num_consumers, thread_name_prefix=name)
        self._stopping = asyncio.Event()
        self._is_gathering = False
        self._is_forgetful = False
        self._finishing = until is not None
        self._failing_since_s: float | None = None
        if until is not None:
            self._following.advance(until)

    @property
    def done(self) -> WalPosition:
        """Everything before it is settled."""
        return self._done

    def advance(self, durable: WalPosition) -> None:
        """The log can be read up to ``durable``."""
        self._following.advance(durable)

    def tidy(self) -> None:
        """Let go of what holds no request: the end of a segment that another one follows."""
        if not self._under_way and not self._is_gathering and self._done < self._following.position:
            self._done = self._following.position
            self._remember()

    async def run(self) -> None:
        """Send until :meth:`stop`, or :meth:`finish` and nothing is left."""
        while not self._stopping.is_set():
            await self._slots.acquire()
            batch = await self._next_batch()
            if batch is None:
                break
            self._under_way.append(batch)
            self._is_gathering = False
            self._remember()
            task = asyncio.create_task(self._deliver(batch))
            self._tasks.add(task)
            task.add_done_callback(self._delivered)
        while self._tasks and not self._stopping.is_set():
            await asyncio.wait(self._tasks)
        if self._until is not None and not self._under_way and not self._stopping.is_set():
            release(self._directory, self._name)

    def finish(self) -> None:
        """Have :meth:`run` return once all that is durable is settled."""
        self._finishing = True
        self._following.wake()

    async def stop(self, grace_s: float) -> None:
        """Have :meth:`run` return soon; requests that are being sent may end within ``grace_s``."""
        self._stopping.set()
        self._following.wake()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._sender.close()

    async def _next_batch(self) -> _Batch | None:
        """What goes next; None where nothing will."""
        parts: list[bytes] = []
        points = size_bytes = 0
        deadline_s = 0.0
        while not self._stopping.is_set():
            request = self._following.next()
            if request is None:
                left_s = deadline_s - time.monotonic() if parts else None
                if parts and (self._finishing or self._again or (left_s is not None and left_s <= 0)):
                    self._again.clear()
                    break
                if self._finishing:
                    return None
                await self._following.wait(left_s)
                continue
            parts.append(request)
            self._is_gathering = True
            if self._again:  # a batch that was under way when the last process ended is made again as it was
                if self._following.position >= self._again[0]:
                    self._again.popleft()
                    break
                continue
            if self._batch is None:
                break
            deadline_s = deadline_s or time.monotonic() + self._batch.flush_timeout_s
            points += points_of(request)
            size_bytes += len(request)
            if points >= self._batch.min_size or size_bytes >= _MAX_BATCH_BYTES:
                break
        return _Batch(self._following.position, parts) if parts else None

    async def _deliver(self, batch: _Batch) -> None:
        for request, points in requests_of(batch.parts, self._batch.max_size if self._batch else 0):
            outcome = await self._send(request)
            if outcome is None:
                return
            rejected = points if outcome.verdict is not Verdict.TAKEN else min(max(0, outcome.rejected_points), points)
            if rejected:
                self._count(FAILED, rejected)
                self._log(f"{self._name}: {rejected} points were not taken and are dropped: {outcome.reason}")
            self._count(SENT, points - rejected)
        batch.settled = True

    async def _send(self, request: bytes) -> Outcome | None:
        """Send until it is settled or given up; None where there was no time for that."""
        loop = asyncio.get_running_loop()
        retries = Retries(self._retry, random.random)
        started_s = time.monotonic()
        while not self._stopping.is_set():
            try:
                outcome = await loop.run_in_executor(self._threads, self._sender.send, request)
            except RuntimeError:
                if self._stopping.is_set():  # its threads are gone
                    return None
                raise
            if outcome.verdict is not Verdict.AGAIN:
                self._recovered()
                return outcome
            self._failed(outcome.reason)
            wait_s = retries.wait_s(time.monotonic() - started_s, outcome.retry_after_s)
            if wait_s is None:
                return outcome
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait_s)
        return None

    def _failed(self, reason: str) -> None:
        if self._failing_since_s is None:  # once, however many requests wait
            self._failing_since_s = time.monotonic()
            self._log(f"{self._name}: {reason}; trying again")

    def _recovered(self) -> None:
        if self._failing_since_s is not None:
            self._log(f"{self._name}: it answers again after {time.monotonic() - self._failing_since_s:.0f} s")
            self._failing_since_s = None

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        moved = False
        while self._under_way and self._under_way[0].settled:
            self._done = self._under_way.popleft().end
            moved = True
        if moved:
            self._remember()
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error  # a defect: the process ends over it, and another one goes on from the position

    def _remember(self) -> None:
        position = ReaderPosition(self._done, tuple(batch.end for batch in self._under_way))
        try:
            write_position(self._directory, self._name, position)
        except OSError as error:  # an older position repeats and loses nothing: a full disk must not stop sending
            if not self._is_forgetful:
                self._log(f"{self._name}: cannot write down how far it has come: {error.strerror}; it goes on")
            self._is_forgetful = True
        else:
            self._is_forgetful = False
