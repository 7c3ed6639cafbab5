"""The finished tasks of one step, as columns that grow; what predictors read.

What comes in: finished tasks, a batch at a time, and attempts that were stopped. What goes out: views of the newest
tasks. A view is valid until the next batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.columns import Column
from stepsize.analyzer.sizing.memory.regime import Regime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stepsize.analyzer.sizing.memory.arrays import Floats

INPUT_BYTES = "input_bytes"
"""The number by which an input's size goes among the annotations of a task."""
ITEM = "item"
"""The word by which its foreach item goes."""
_SHORTEST_HOURS = 1e-7


@dataclass(frozen=True, slots=True)
class Task:
    """What is known of a task before it runs.

    ``requested_bytes`` is what its user asked for, or what the platform gives where ``request_known`` is False;
    ``largest_bytes`` the most that can be had, ``submitted_at_s`` an instant since the epoch. ``annotations`` are what
    its user said of it: numbers such as rows or bytes to read, and words.
    """

    requested_bytes: float
    input_bytes: float | None = None
    item: str | None = None
    run: str | None = None
    submitted_at_s: float | None = None
    largest_bytes: float = math.inf
    request_known: bool = True
    code_version: str | None = None
    annotations: Mapping[str, float | str] = field(default_factory=dict, hash=False)

    def number(self, name: str) -> float | None:
        """What was said to be so large; None where nothing was, or nothing above 0."""
        value = self.annotations.get(name) if name != INPUT_BYTES or self.input_bytes is None else self.input_bytes
        if value is None or isinstance(value, (str, bool)) or not 0 < value < math.inf:
            return None
        return value

    def word(self, name: str) -> str | None:
        """What was said in a word, its item among others; None where nothing was."""
        value = self.item if name == ITEM else self.annotations.get(name)
        return str(value) if isinstance(value, (str, bool)) else None


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that ended well: what it was, its peak, how long it ran, and the limits, rising, at which attempts before
    the one that did were killed."""

    task: Task
    peak_bytes: float
    hours: float
    killed_bytes: tuple[float, ...] = ()

    @property
    def used_byte_hours(self) -> float:
        """Its peak held for its run time: what an oracle would have allocated."""
        return self.peak_bytes * self.hours


@dataclass(frozen=True, slots=True)
class Stopped:
    """A task that never ended well: its peak would have been above ``at_least_bytes``.

    That is the limit at which it ``ran_out`` of memory; else, where it was killed or lost, what it had reached by then,
    which says less. One that ended well in a later attempt is a :class:`Finished` and nothing else.
    """

    task: Task
    at_least_bytes: float
    ran_out: bool = True


class History:
    """Tasks of one step in the order in which they became known. A batch is what became known at once."""

    def __init__(self, regime: Regime | None = None) -> None:
        self.count = 0
        self.largest_bytes = 0.0
        self.smallest_bytes = math.inf
        self.numbers: dict[str, Column] = {}
        self.words: dict[str, Words] = {}
        self.stopped: list[tuple[int, Stopped]] = []
        """Each with how many tasks were known before it."""
        self._regime = Regime() if regime is None else regime
        self._batch_starts: list[int] = []
        self._last_of_item: dict[str, float] = {}
        self._reached_since: dict[str, float] = {}
        self._log_peaks, self._hours, self._log_changes = Column(), Column(), Column()

    def add(self, batch: Sequence[Finished]) -> None:
        """A batch of finished tasks."""
        self._batch_starts.append(self.count)
        lowest, highest = math.inf, 0.0
        for finished in batch:
            self._add(finished)
            lowest, highest = min(lowest, finished.peak_bytes), max(highest, finished.peak_bytes)
        self.smallest_bytes, self.largest_bytes = min(self.smallest_bytes, lowest), max(self.largest_bytes, highest)
        self._regime.add(math.log(lowest), math.log(highest), batch[-1].task.code_version)

    def add_stopped(self, stopped: Stopped) -> None:
        """A task that never ended well; one of which nothing was read tells nothing."""
        if stopped.at_least_bytes <= 0:
            return
        self.stopped.append((self.count, stopped))
        item = stopped.task.item
        if item is not None:
            self._reached_since[item] = max(stopped.at_least_bytes, self._reached_since.get(item, 0.0))

    @property
    def batches(self) -> int:
        """How often something was learned."""
        return len(self._batch_starts)

    @property
    def alike_batches(self) -> int:
        """How many of the newest batches came after the last change that was seen."""
        return len(self._batch_starts) - self._regime.start

    @property
    def log_highs(self) -> Sequence[float]:
        """The natural logarithm of each batch's largest peak in bytes, oldest first."""
        return self._regime.highs

    @property
    def changes(self) -> Sequence[int]:
        """The first batch after each change that was seen, in the order in which they were."""
        return self._regime.changes

    def starts(self, newest_batches: int) -> tuple[int, ...]:
        """Where each of the newest batches begins among their tasks."""
        starts = self._batch_starts[-newest_batches:]
        return tuple(start - starts[0] for start in starts)

    def tasks_in(self, newest_batches: int) -> int:
        """How many tasks the newest batches hold."""
        return self.count - self._batch_starts[max(0, self.batches - newest_batches)]

    def log_peaks(self, newest: int) -> Floats:
        """Natural logarithms of the newest peaks in bytes, oldest first."""
        return self._log_peaks.newest(newest)

    def hours(self, newest: int) -> Floats:
        """Run times of the newest tasks."""
        return self._hours.newest(newest)

    def log_changes(self, newest: int) -> Floats:
        """Logarithms of each newest task's peak over that of the last one with its item; NaN where there was none."""
        return self._log_changes.newest(newest)

    def number(self, name: str, newest: int) -> Floats:
        """What the newest tasks were said to be so large in; NaN where not known or not above 0."""
        column = self.numbers[name]
        column.fill(self.count)
        return column.newest(newest)

    def word(self, name: str, newest: int) -> Floats:
        """The number of each newest task's word among all that were said; NaN where none was."""
        column = self.words[name].column
        column.fill(self.count)
        return column.newest(newest)

    def last_of_item(self, item: str) -> tuple[float, float] | None:
        """The last peak of this item, and what a task with it has reached since that never ended well, or that peak
        where that is more; None where none ended well."""
        last = self._last_of_item.get(item)
        return None if last is None else (last, max(last, self._reached_since.get(item, 0.0)))

    def stopped_among(self, newest: int) -> Iterator[Stopped]:
        """Tasks that never ended well, no older than the newest tasks."""
        return (stopped for before, stopped in self.stopped if before >= self.count - newest)

    def _add(self, finished: Finished) -> None:
        task = finished.task
        self._log_peaks.add(math.log(finished.peak_bytes))
        self._hours.add(max(finished.hours, _SHORTEST_HOURS))
        before = None if task.item is None else self._last_of_item.get(task.item)
        self._log_changes.add(math.nan if before is None else math.log(finished.peak_bytes / before))
        if task.item is not None:
            self._last_of_item[task.item] = finished.peak_bytes
            self._reached_since.pop(task.item, None)
        if task.input_bytes is not None or task.item is not None or task.annotations:
            self._add_said(task)
        self.count += 1

    def _add_said(self, task: Task) -> None:
        for name in {INPUT_BYTES: None, ITEM: None, **task.annotations}:
            number, word = task.number(name), task.word(name)
            if number is not None:
                column = self.numbers.setdefault(name, Column())
                column.fill(self.count)
                column.add(number)
            if word is not None:
                self.words.setdefault(name, Words()).add(word, self.count)


class Words:
    """What tasks were said to be, in a word, as numbers from 0 in the order in which the words were first said."""

    def __init__(self) -> None:
        self.column = Column()
        self.number_of: dict[str, int] = {}

    def add(self, word: str, before: int) -> None:
        """The word of a task that so many were ``before``."""
        self.column.fill(before)
        self.column.add(self.number_of.setdefault(word, len(self.number_of)))
