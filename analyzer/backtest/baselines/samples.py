"""What a rule remembers of a step's finished tasks, and when one that is costly to fit is fitted again.

What comes in: finished tasks, one at a time. What goes out: arrays of their peaks, input sizes and hours, oldest first.
A view is valid until the next task is added. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_FIRST_ROOM = 16
_SHORTEST_HOURS = 1e-7


def input_of(task: Task) -> float:
    """The size of the task's input in bytes; 0 where it is not known, which makes a rule by input a constant one."""
    return task.input_bytes or 0.0


class Samples:
    """The finished tasks of one step."""

    def __init__(self) -> None:
        self.count = 0
        self.largest_bytes = 0.0
        self._rows: Floats = np.empty((_FIRST_ROOM, 3))

    def add(self, finished: Finished) -> None:
        """A task that ended."""
        if self.count == len(self._rows):
            self._rows = np.concatenate((self._rows, np.empty_like(self._rows)))
        hours = max(finished.hours, _SHORTEST_HOURS)
        self._rows[self.count] = finished.peak_bytes, input_of(finished.task), hours
        self.count += 1
        self.largest_bytes = max(self.largest_bytes, finished.peak_bytes)

    def peaks(self, newest: int | None = None) -> Floats:
        """Peaks in bytes."""
        return self._column(0, newest)

    def inputs(self, newest: int | None = None) -> Floats:
        """Sizes of the inputs in bytes."""
        return self._column(1, newest)

    def hours(self, newest: int | None = None) -> Floats:
        """Run times."""
        return self._column(2, newest)

    def _column(self, column: int, newest: int | None) -> Floats:
        first = 0 if newest is None else max(0, self.count - newest)
        return self._rows[first : self.count, column]


class Refit:
    """Says when a fit is due: when there are more tasks than at the last, by the share ``growth`` and by one at least.

    The originals fit with each task. In between, what was fitted last answers; with so many tasks one more changes it
    by less than the rules differ, and a replay takes a minute instead of an hour.
    """

    def __init__(self, growth: float = 0.05) -> None:
        self._growth = growth
        self._fitted_at = 0

    def due(self, count: int) -> bool:
        """Whether to fit now that there are ``count`` tasks; the caller then does."""
        if count < self._fitted_at + max(1, int(self._fitted_at * self._growth)):
            return False
        self._fitted_at = count
        return True
