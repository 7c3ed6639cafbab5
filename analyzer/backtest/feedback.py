"""When a replay knows of the tasks that it has sized.

What comes in: the tasks of a file, as they are sized. What goes out: those of all steps that are known before the next
one is sized, in mode ``run`` those of its step; a batch for each step. A task comes out once, and never before it could
be known.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepsize.analyzer.backtest.records import Record
    from stepsize.analyzer.backtest.sizer import StepKey
    from stepsize.analyzer.sizing.memory.history import Finished

    Sized = tuple[Any, Finished]
    """What a policy had answered for a task, and what the task turned out to be."""
    Batches = dict[StepKey, list[Sized]]
    """What is known at once, step by step."""


class Mode(Enum):
    """When a policy learns of a task: before the next one, once it had ended by the recorded times, or when the next
    run of its step begins."""

    ONLINE = "online"
    CAUSAL = "causal"
    RUN = "run"


@dataclass(frozen=True, slots=True)
class Submitted:
    """A task and the instant at which it is sized: its own, or, where that is not recorded, the latest of those
    submitted before it; None while no task had one."""

    record: Record
    at_s: float | None


def in_order(tasks: Sequence[Record], mode: Mode) -> Iterator[Submitted]:
    """The tasks as they are sized: as they were submitted, in mode ``causal`` by their recorded instants.

    Tasks of one instant stay in the order of submission.
    """
    latest_s: float | None = None
    dated = []
    for record in tasks:
        at_s = record.submitted_at_s
        if at_s is not None:
            latest_s = at_s if latest_s is None else max(latest_s, at_s)
        dated.append(Submitted(record, latest_s if at_s is None else at_s))
    # Where instants go back against the order of submission, no order but theirs keeps the future out.
    yield from sorted(dated, key=_instant) if mode is Mode.CAUSAL else dated


def _instant(submitted: Submitted) -> float:
    return float("-inf") if submitted.at_s is None else submitted.at_s


class Feedback(Protocol):
    """The tasks of a file that were sized and are not known yet."""

    def add(self, record: Record, sized: Sized) -> None:
        """A task that was just sized."""
        ...

    def due(self, submitted: Submitted) -> Batches:
        """The tasks that are known before this one is sized."""
        ...


def feedback(mode: Mode) -> Feedback:
    """That of a file of which no task was sized yet."""
    kinds: dict[Mode, type[Feedback]] = {Mode.ONLINE: _AtOnce, Mode.CAUSAL: _OnceEnded, Mode.RUN: _BetweenRuns}
    return kinds[mode]()


class _AtOnce:
    """Before the next task."""

    def __init__(self) -> None:
        self._sized: Batches = {}

    def add(self, record: Record, sized: Sized) -> None:
        self._sized[record.step] = [sized]

    def due(self, submitted: Submitted) -> Batches:  # noqa: ARG002 -- whatever comes
        batches, self._sized = self._sized, {}
        return batches


@dataclass(slots=True)
class _OfRun:
    """A step's tasks of its newest run."""

    run: str | None
    sized: list[Sized]


class _BetweenRuns:
    """When the run of the step changes. A task without a run is a run of its own."""

    def __init__(self) -> None:
        self._newest: dict[StepKey, _OfRun] = {}

    def add(self, record: Record, sized: Sized) -> None:
        newest = self._newest.setdefault(record.step, _OfRun(record.run, []))
        newest.run = record.run
        newest.sized.append(sized)

    def due(self, submitted: Submitted) -> Batches:
        record = submitted.record
        newest = self._newest.get(record.step)
        if newest is None or (newest.run is not None and record.run == newest.run):
            return {}
        del self._newest[record.step]
        return {record.step: newest.sized}


class _OnceEnded:
    """Once it had ended, whichever step it is of; those that had by one instant are known in the order of their ends.

    A task with no instant of its own, neither of submission nor of its end, had been submitted when a later one was
    that has one: its end is counted from there. While no task has an instant, a task is known before the next.
    """

    def __init__(self) -> None:
        self._count = 0
        self._running: list[tuple[float, int, StepKey, Sized]] = []
        self._undated: list[tuple[Record, Sized]] = []

    def add(self, record: Record, sized: Sized) -> None:
        if record.ended_at_s is None:
            self._undated.append((record, sized))
        else:
            self._push(record.ended_at_s, record.step, sized)

    def due(self, submitted: Submitted) -> Batches:
        now_s = submitted.at_s
        batches: Batches = {}
        if now_s is None:
            for record, sized in self._undated:
                batches.setdefault(record.step, []).append(sized)
            self._undated = []
        elif submitted.record.submitted_at_s is not None:
            for record, sized in self._undated:
                self._push(submitted.record.submitted_at_s + record.runtime_s, record.step, sized)
            self._undated = []
        while self._running and (now_s is None or self._running[0][0] <= now_s):
            _, _, step, sized = heapq.heappop(self._running)
            batches.setdefault(step, []).append(sized)
        return batches

    def _push(self, ended_at_s: float, step: StepKey, sized: Sized) -> None:
        # The count keeps tasks that ended at once in their order, and spares comparing them.
        self._count += 1
        heapq.heappush(self._running, (ended_at_s, self._count, step, sized))
