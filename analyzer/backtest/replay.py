"""The replay: the tasks of a file in order, each sized before it is seen, every attempt charged.

What comes in: records, a sizer, when evidence arrives, and when attempts that are too small fail. What goes out: one
:class:`Attempt` after another. The rules are the same for every policy: allocations are clipped to [128 MiB, the
largest of the file]; an allocation below the peak fails after its share of the run time and the policy proposes a
larger one; what a task was is learned after it was sized, never before.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.backtest.records import DEFAULT_REQUEST_BYTES
from stepsize.analyzer.sizing.memory.history import Finished, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.analyzer.backtest.records import Record, Records
    from stepsize.analyzer.backtest.sizer import Sizer, StepKey

SMALLEST_BYTES = 128 * 2**20
_LEAST_GROWTH = 1.01
_MOST_ATTEMPTS = 60


class Mode(Enum):
    """When a policy learns of a task: before the next one of its step, once it had ended by the recorded times, or when
    the next run of its workflow begins."""

    ONLINE = "online"
    CAUSAL = "causal"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a recorded task: what it was given, and whether that was too small. Counted from 0."""

    record: Record
    attempt: int
    allocated_bytes: float
    failed: bool


def replay(records: Records, sizer: Sizer, mode: Mode, *, knows_peaks: bool = False) -> Iterator[Attempt]:
    """Every attempt of every task, in the order of submission. ``knows_peaks`` sizes by the true peak: the oracle."""
    waiting: dict[StepKey, _Waiting] = {}
    for record in records.tasks:
        known = waiting.setdefault(record.step, _Waiting(mode))
        batch = known.due(record)
        if batch:
            sizer.learn(record.step, batch)
        task = _task(record, records.largest_bytes)
        request = sizer.size(record.step, task)
        first = record.peak_bytes if knows_peaks else request.request_bytes
        yield from _attempts(record, records.largest_bytes, sizer, request, first)
        known.add(record, (request, Finished(task, record.peak_bytes, record.hours)))


def _attempts(record: Record, largest_bytes: float, sizer: Sizer, request: Any, first: float) -> Iterator[Attempt]:
    allocated = min(max(first, SMALLEST_BYTES), largest_bytes)
    attempt = 0
    while allocated < record.peak_bytes and allocated < largest_bytes:
        yield Attempt(record, attempt, allocated, failed=True)
        attempt += 1
        more = sizer.retry(record.step, request, allocated, attempt)
        if attempt >= _MOST_ATTEMPTS:
            more = largest_bytes
        allocated = min(max(more, allocated * _LEAST_GROWTH), largest_bytes)
    yield Attempt(record, attempt, allocated, failed=False)


def _task(record: Record, largest_bytes: float) -> Task:
    return Task(
        requested_bytes=min(record.requested_bytes or DEFAULT_REQUEST_BYTES, largest_bytes),
        input_bytes=record.input_bytes,
        item=record.item,
        run=record.run,
        submitted_at_s=record.submitted_at_s,
        largest_bytes=largest_bytes,
        request_known=record.requested_bytes is not None,
    )


class _Waiting:
    """Tasks of one step that were sized and are not known yet."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._run: str | None = None
        self._tasks: list[tuple[Any, Finished]] = []
        self._running: list[tuple[float, int, tuple[Any, Finished]]] = []
        self._count = 0

    def add(self, record: Record, sized: tuple[Any, Finished]) -> None:
        """A task that was just sized."""
        self._run = record.run
        self._count += 1
        if self._mode is Mode.CAUSAL and record.ended_at_s is not None:
            heapq.heappush(self._running, (record.ended_at_s, self._count, sized))
        else:
            self._tasks.append(sized)

    def due(self, record: Record) -> list[tuple[Any, Finished]]:
        """The tasks that are known before ``record`` is sized; they are not waiting any more."""
        if self._mode is Mode.RUN and self._run is not None and record.run == self._run:
            return []
        batch, self._tasks = self._tasks, []
        while self._running and (record.submitted_at_s is None or self._running[0][0] <= record.submitted_at_s):
            batch.append(heapq.heappop(self._running)[2])
        return batch
