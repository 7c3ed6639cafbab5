"""Columns that grow: what a history keeps of its tasks.

What comes in: one value a task. What goes out: views of the newest of them, valid until the next value.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats

_FIRST_ROOM = 8


class Column:
    """Numbers, one a task; NaN where a task has none. ``count`` tasks had none before the column began."""

    __slots__ = ("_count", "_values")

    def __init__(self, count: int = 0) -> None:
        self._values = np.full(max(2 * count, _FIRST_ROOM), math.nan)
        self._count = count

    def add(self, value: float) -> None:
        """The next task's."""
        if self._count == len(self._values):
            grown = np.full(2 * self._count, math.nan)
            grown[: self._count] = self._values
            self._values = grown
        self._values[self._count] = value
        self._count += 1

    def fill(self, count: int) -> None:
        """Tasks up to the ``count``-th had none."""
        while self._count < count:
            self.add(math.nan)

    def newest(self, count: int) -> Floats:
        """The newest ``count`` of them, oldest first, or all."""
        return self._values[max(0, self._count - count) : self._count]
