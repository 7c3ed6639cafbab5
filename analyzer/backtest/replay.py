"""The replay: the tasks of a file in order, each sized before it is seen, every attempt charged.

What comes in: records, a sizer, when evidence arrives, and when attempts that are too small fail. What goes out: one
:class:`Attempt` after another. The rules are the same for every policy: allocations are clipped to [128 MiB, the
largest of the file]; an allocation below the peak fails after its share of the run time and the policy proposes a
larger one; what a task was, its failed attempts included, is learned after it was sized, never before.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.backtest.feedback import Mode, feedback, in_order
from stepsize.analyzer.backtest.records import DEFAULT_REQUEST_BYTES
from stepsize.analyzer.sizing.memory.history import Finished, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.analyzer.backtest.records import Record, Records
    from stepsize.analyzer.backtest.sizer import Request, Sizer, StepKey

SMALLEST_BYTES = 128 * 2**20
_LEAST_GROWTH = 1.01
_MOST_ATTEMPTS = 60
_MOST_STANDING = 4096


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a recorded task: what it was given, and whether that was too small. Counted from 0."""

    record: Record
    attempt: int
    allocated_bytes: float
    failed: bool


def replay(records: Records, sizer: Sizer, mode: Mode, *, knows_peaks: bool = False) -> Iterator[Attempt]:
    """Every attempt of every task, in the order in which they are sized. ``knows_peaks`` sizes by the true peak: the
    oracle."""
    waiting = feedback(mode)
    standing = _Standing(sizer) if mode is Mode.RUN and not sizer.by_task else None
    for submitted in in_order(records.tasks, mode):
        record = submitted.record
        for step, batch in waiting.due(submitted).items():
            sizer.learn(step, batch)
        task = _task(record, records.largest_bytes)
        request = standing.size(record, task) if standing else sizer.size(record.step, task)
        first = record.peak_bytes if knows_peaks else request.request_bytes
        tried = _tried(record, task, sizer, request, first)
        for number, allocated in enumerate(tried):
            yield Attempt(record, number, allocated, failed=number < len(tried) - 1)
        waiting.add(record, (request, Finished(task, record.peak_bytes, record.hours, tuple(tried[:-1]))))


def _tried(record: Record, task: Task, sizer: Sizer, request: Request, first: float) -> list[float]:
    """The allocations of a task's attempts; the last one was enough."""
    largest_bytes = task.largest_bytes
    tried = [min(max(first, SMALLEST_BYTES), largest_bytes)]
    while tried[-1] < record.peak_bytes and tried[-1] < largest_bytes:
        more = sizer.retry(record.step, request, task, tuple(tried))
        if len(tried) >= _MOST_ATTEMPTS:
            more = largest_bytes
        tried.append(min(max(more, tried[-1] * _LEAST_GROWTH), largest_bytes))
    return tried


class _Standing:
    """One request for all tasks of a step and run, as ``@resources`` carries it: that of the first of them.

    The newest few thousand are kept, so that a run whose tasks come between those of others keeps its own.
    """

    def __init__(self, sizer: Sizer) -> None:
        self._sizer = sizer
        self._requests: OrderedDict[tuple[StepKey, str], Request] = OrderedDict()

    def size(self, record: Record, task: Task) -> Request:
        """The request that stands for this task's step and run."""
        if record.run is None:
            return self._sizer.size(record.step, task)
        key = record.step, record.run
        request = self._requests.get(key)
        if request is None:
            request = self._requests[key] = self._sizer.size(record.step, task)
            if len(self._requests) > _MOST_STANDING:
                self._requests.popitem(last=False)
        self._requests.move_to_end(key)
        return request


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
