"""The predictive distribution of the next task's peak: what was seen, smoothed, and a tail above the largest.

What comes in: log peaks seen (over the largest of them), their run times, and how likely and how far new tasks go above
the largest (:class:`Tail`). What goes out: a :class:`Predictive` on the grid. Pure.

Smoothing: each peak seen is spread over three points, at itself and at √3 bandwidths to either side (masses 2/3, 1/6,
1/6, which keep mean and variance of a normal kernel). Its bandwidth is the distance to a near neighbour among the
peaks, shrunk to a prior of 3 % where few were seen: a step that repeats itself to 0.1 % gets a narrow one, soon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.arrays import counted
from stepsize.analyzer.sizing.memory.grid import CELLS, cells

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats

_PRIOR_BANDWIDTH = 0.03
_PRIOR_TASKS = 1.0
_NEIGHBOUR_SHARE = 0.75
_NARROWEST, _WIDEST = 0.006, 0.07
_ROOT_3 = math.sqrt(3.0)


@dataclass(frozen=True, slots=True)
class Predictive:
    """Masses on the grid, each summing to one: ``tasks`` counts tasks, ``hours`` weighs them with their run time."""

    tasks: Floats
    hours: Floats

    def share_above(self, cell: int) -> float:
        """The share of next tasks whose peak is expected above a cell; -1 is below the first."""
        return float(self.tasks[cell + 1 :].sum())


@dataclass(frozen=True, slots=True)
class Tail:
    """What lies above the largest peak seen: the ``probability`` that the next task's does, and how far (``excess``, a
    mass on the grid that sums to one)."""

    probability: float
    excess: Floats


def predict(log_ratios: Floats, hours: Floats, tail: Tail) -> Predictive:
    """The distribution after tasks with these log peaks over the largest, and these run times; shape (n,) each."""
    order = np.argsort(log_ratios, kind="stable")
    seen, weights = log_ratios[order], hours[order] / hours.sum()
    spread = _ROOT_3 * _bandwidths(seen)
    where = cells(np.concatenate([seen - spread, seen, seen + spread]))
    kept = 1.0 - tail.probability
    each = kept / len(seen)
    sixth = np.full(len(seen), each / 6)
    tasks = counted(where, np.concatenate([sixth, 4 * sixth, sixth]), CELLS)
    sixths = weights * (kept / 6)
    weighed = counted(where, np.concatenate([sixths, 4 * sixths, sixths]), CELLS)
    above = tail.probability * tail.excess
    return Predictive(tasks=tasks + above, hours=weighed + above)


def _bandwidths(seen: Floats) -> Floats:
    """A bandwidth for each of the sorted log peaks, shape (n,)."""
    count = len(seen)
    distances = _near_neighbours(seen)
    shrunk = (_NEIGHBOUR_SHARE * distances) ** 2 * count + _PRIOR_BANDWIDTH**2 * _PRIOR_TASKS
    widths = np.sqrt(shrunk / (count + _PRIOR_TASKS))
    bounded: Floats = np.minimum(np.maximum(widths, _NARROWEST), _WIDEST)
    return bounded


def _near_neighbours(seen: Floats) -> Floats:
    """How far the k-th neighbour of each sorted value is: below, above, or half of them on either side."""
    count = len(seen)
    if count < 3:
        return np.full(count, seen[-1] - seen[0])
    k = 2 if count < 30 else max(2, int(math.sqrt(count) / 3))
    nearest = np.full(count, math.inf)
    if k < count:
        apart = seen[k:] - seen[:-k]
        nearest[k:] = apart
        nearest[:-k] = np.minimum(nearest[:-k], apart)
    half = (k + 1) // 2
    middle = np.maximum(seen[half:-half] - seen[: -2 * half], seen[2 * half :] - seen[half:-half])
    nearest[half:-half] = np.minimum(nearest[half:-half], middle)
    return np.where(np.isfinite(nearest), nearest, seen[-1] - seen[0])
