"""Tovar's first allocations: the smallest expected waste, or the highest expected throughput, over the peaks seen.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: Tovar, da Silva, Juve, Deelman, Allcock, Thain, Livny, "A job sizing strategy for high-throughput scientific
workflows", IEEE TPDS 29(2), 2018, equations 1 and 3, and ``FirstAllocation.py`` of
cooperative-computing-lab/efficient-resource-allocations at 18866ef (resolution 1, its default). An attempt that was too
small is repeated with the largest peak seen; where that is not more, with what the user allows and then with the whole
machine, as in ``category_next_label`` of cctools. Work Queue gives whole machines to the first 25 tasks of a category;
here the formulas count from the first task on, to the rule's favour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.backtest.baselines.samples import Refit, Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Finished, Task


def least_waste(peaks: Floats, hours: Floats) -> float:
    """The peak seen which as first allocation has the smallest expected waste (equation 1), or the larger equal."""
    allocations, _, hours_above = _distinct(peaks, hours)
    expected = allocations * (hours.sum() / len(hours)) + allocations[0] * hours_above
    return float(allocations[np.argmin(expected)])


def most_throughput(peaks: Floats, hours: Floats) -> float:
    """The peak seen which as first allocation has the highest expected throughput (equation 3), or the larger equal."""
    allocations, share_above, hours_above = _distinct(peaks, hours)
    tasks = allocations[0] / allocations * (1 - share_above) + share_above
    return float(allocations[np.argmax(tasks / (hours.sum() / len(hours) + hours_above))])


def _distinct(peaks: Floats, hours: Floats) -> tuple[Floats, Floats, Floats]:
    """The distinct peaks, highest first; for each the share of tasks above it, and their hours over all tasks."""
    order = np.argsort(-peaks, kind="stable")
    falling = peaks[order]
    first = np.flatnonzero(np.concatenate(([True], np.diff(falling) != 0)))
    hours_before = np.concatenate(([0.0], np.cumsum(hours[order])))
    return falling[first], first / len(peaks), hours_before[first] / len(peaks)


class Tovar:
    """One of the two formulas at work on one step."""

    def __init__(self, formula: Callable[[Floats, Floats], float]) -> None:
        self._formula = formula
        self._samples = Samples()
        self._refit = Refit()
        self._allocation_bytes = 0.0

    def size(self, task: Task) -> float:
        """What the formula allocates."""
        return self._allocation_bytes or task.requested_bytes

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:
        """The largest peak seen, the user's request, the machine: the first of them that is more."""
        ladder = (self._samples.largest_bytes, task.requested_bytes)
        return next((rung for rung in ladder if rung > killed_bytes[-1]), task.largest_bytes)

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        self._samples.add(finished)
        if self._refit.due(self._samples.count):
            self._allocation_bytes = self._formula(self._samples.peaks(), self._samples.hours())
