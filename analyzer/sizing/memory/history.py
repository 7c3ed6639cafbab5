"""The finished tasks of one step, as arrays that grow; what predictors read.

What comes in: finished tasks, a batch at a time. What goes out: views of the newest of them. A view is valid until the
next batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.memory.arrays import Floats

_FIRST_ROOM = 8
_SHORTEST_HOURS = 1e-7


@dataclass(frozen=True, slots=True)
class Task:
    """What is known of a task before it runs.

    ``requested_bytes`` is what its user asked for, or what the platform gives where ``request_known`` is False;
    ``largest_bytes`` the most that can be had, ``submitted_at_s`` an instant since the epoch.
    """

    requested_bytes: float
    input_bytes: float | None = None
    item: str | None = None
    run: str | None = None
    submitted_at_s: float | None = None
    largest_bytes: float = math.inf
    request_known: bool = True


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


class History:
    """Tasks of one step in the order in which they became known. A batch is what became known at once."""

    def __init__(self) -> None:
        self.count = 0
        self._batch_starts: list[int] = []
        self.largest_bytes = 0.0
        self.smallest_bytes = math.inf
        self.used_byte_hours = 0.0
        self.last_of_item: dict[str, float] = {}
        self._log_peaks = np.empty(_FIRST_ROOM)
        self._hours = np.empty(_FIRST_ROOM)
        self._inputs = np.empty(_FIRST_ROOM)
        self._log_changes = np.empty(_FIRST_ROOM)

    def add(self, batch: Sequence[Finished]) -> None:
        """A batch of finished tasks."""
        self._make_room(self.count + len(batch))
        self._batch_starts.append(self.count)
        for finished in batch:
            self._add(finished)

    @property
    def batches(self) -> int:
        """How often something was learned."""
        return len(self._batch_starts)

    def tasks_in(self, newest_batches: int) -> int:
        """How many tasks the newest batches hold."""
        return self.count - self._batch_starts[max(0, self.batches - newest_batches)]

    def log_peaks(self, newest: int) -> Floats:
        """Natural logarithms of the newest peaks in bytes, oldest first."""
        return self._log_peaks[max(0, self.count - newest) : self.count]

    def hours(self, newest: int) -> Floats:
        """Run times of the newest tasks."""
        return self._hours[max(0, self.count - newest) : self.count]

    def inputs(self, newest: int) -> Floats:
        """Input sizes of the newest tasks in bytes; NaN where not known or not positive."""
        return self._inputs[max(0, self.count - newest) : self.count]

    def log_changes(self, newest: int) -> Floats:
        """Logarithms of each newest task's peak over that of the last one with its item; NaN where there was none."""
        return self._log_changes[max(0, self.count - newest) : self.count]

    def _add(self, finished: Finished) -> None:
        at, task = self.count, finished.task
        self._log_peaks[at] = math.log(finished.peak_bytes)
        self._hours[at] = max(finished.hours, _SHORTEST_HOURS)
        known_input = task.input_bytes is not None and task.input_bytes > 0
        self._inputs[at] = task.input_bytes if known_input and task.input_bytes is not None else math.nan
        before = None if task.item is None else self.last_of_item.get(task.item)
        self._log_changes[at] = math.nan if before is None else math.log(finished.peak_bytes / before)
        if task.item is not None:
            self.last_of_item[task.item] = finished.peak_bytes
        self.count += 1
        self.largest_bytes = max(self.largest_bytes, finished.peak_bytes)
        self.smallest_bytes = min(self.smallest_bytes, finished.peak_bytes)
        self.used_byte_hours += finished.used_byte_hours

    def _make_room(self, count: int) -> None:
        room = len(self._hours)
        if count <= room:
            return
        larger = max(count, 2 * room)
        for name in ("_log_peaks", "_hours", "_inputs", "_log_changes"):
            grown = np.empty(larger)
            grown[: self.count] = getattr(self, name)[: self.count]
            setattr(self, name, grown)
