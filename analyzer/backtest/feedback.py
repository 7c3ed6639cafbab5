"""When a replay knows of the tasks that it has sized.

What comes in: the tasks of one step, as they are sized. What goes out: those known before the next one of the step is
sized, a batch at a time. A task comes out once, and never before it could be known.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepsize.analyzer.backtest.records import Record
    from stepsize.analyzer.sizing.memory.history import Finished

    Sized = tuple[Any, Finished]
    """What a policy had answered for a task, and what the task turned out to be."""


class Mode(Enum):
    """When a policy learns of a task: before the next one of its step, once it had ended by the recorded times, or when
    the next run of its workflow begins."""

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
    """The tasks of one step that were sized and are not known yet."""

    def add(self, record: Record, sized: Sized) -> None:
        """A task that was just sized."""
        ...

    def due(self, submitted: Submitted) -> list[Sized]:
        """The tasks that are known before this one is sized."""
        ...


def feedback(mode: Mode) -> Feedback:
    """That of a step of which no task was sized yet."""
    kinds: dict[Mode, type[Feedback]] = {Mode.ONLINE: _AtOnce, Mode.CAUSAL: _OnceEnded, Mode.RUN: _BetweenRuns}
    return kinds[mode]()


class _AtOnce:
    """Before the next task."""

    def __init__(self) -> None:
        self._sized: list[Sized] = []

    def add(self, record: Record, sized: Sized) -> None:  # noqa: ARG002 -- whatever it was
        self._sized.append(sized)

    def due(self, submitted: Submitted) -> list[Sized]:  # noqa: ARG002 -- whatever comes
        batch, self._sized = self._sized, []
        return batch


class _BetweenRuns:
    """When the run changes. A task without a run is a run of its own."""

    def __init__(self) -> None:
        self._run: str | None = None
        self._sized: list[Sized] = []

    def add(self, record: Record, sized: Sized) -> None:
        self._run = record.run
        self._sized.append(sized)

    def due(self, submitted: Submitted) -> list[Sized]:
        if self._run is not None and submitted.record.run == self._run:
            return []
        batch, self._sized = self._sized, []
        return batch


class _OnceEnded:
    """Once it had ended.

    A task with no instant of its own, neither of submission nor of its end, had been submitted when a later one was
    that has one: its end is counted from there. While no task has an instant, a task is known before the next.
    """

    def __init__(self) -> None:
        self._count = 0
        self._running: list[tuple[float, int, Sized]] = []
        self._undated: list[tuple[float, Sized]] = []

    def add(self, record: Record, sized: Sized) -> None:
        if record.ended_at_s is None:
            self._undated.append((record.runtime_s, sized))
        else:
            self._push(record.ended_at_s, sized)

    def due(self, submitted: Submitted) -> list[Sized]:
        now_s = submitted.at_s
        if submitted.record.submitted_at_s is not None:
            for runtime_s, sized in self._undated:
                self._push(submitted.record.submitted_at_s + runtime_s, sized)
            self._undated = []
        batch = [] if now_s is not None else [sized for _, sized in self._undated]
        if now_s is None:
            self._undated = []
        while self._running and (now_s is None or self._running[0][0] <= now_s):
            batch.append(heapq.heappop(self._running)[2])
        return batch

    def _push(self, ended_at_s: float, sized: Sized) -> None:
        # The count keeps tasks that ended at once in their order, and spares comparing them.
        self._count += 1
        heapq.heappush(self._running, (ended_at_s, self._count, sized))
