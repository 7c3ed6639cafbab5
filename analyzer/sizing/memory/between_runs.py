"""How far a step's runs differ as wholes, and what that leaves to expect of the next one.

What comes in: log peaks of the tasks of some runs. What goes out: :class:`BetweenRuns`. Pure.

Tasks of a run share its data, so that a hundred of them in one run say little of the next run. The model is the random
effect of a one-way analysis of variance: a task's log peak is the step's level, plus its run's, plus its own, which
lies as it lay so far. The variance between runs is estimated from their means, less what the tasks' own adds to them,
and shrunk to a prior, so that the next run's level has Student's t distribution (Searle, Casella, McCulloch, *Variance
Components*, 1992, chapters 3 and 9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.memory.arrays import Floats

_CELL = 0.01
_PRIOR_FREEDOM = 2.0
_PRIOR_SCALE, _TAUGHT_SCALE = 0.10, 0.03
"""How far runs lie apart, in the logarithm, where nothing says; and where what other steps' next runs did is counted
elsewhere, so that only the step's own runs add to it."""


@dataclass(frozen=True, slots=True)
class BetweenRuns:
    """What the next run's tasks may take.

    Attributes:
        level: the mean log peak of a run.
        scale, freedom: of the t distribution of the next run's mean around it.
        own: how far tasks lay from their run's mean, in the logarithm; shape (n,).
        shares: of all tasks, those that lay so far; shape (n,).
    """

    level: float
    scale: float
    freedom: float
    own: Floats
    shares: Floats

    def share_above(self, size_bytes: float) -> float:
        """Of the next run's tasks, those expected to need more."""
        far = (math.log(size_bytes) - self.level - self.own) / self.scale
        above = [share * _t_above(distance, self.freedom) for distance, share in zip(far, self.shares, strict=True)]
        return math.fsum(above)


def between_runs(log_peaks: Floats, starts: Sequence[int], *, taught: bool) -> BetweenRuns:
    """From the log peaks of all tasks, run after run, shape (n,), and where each run begins among them.

    ``taught``: what other steps' next runs did is known, and counted elsewhere.
    """
    tasks = np.diff([*starts, len(log_peaks)])
    means = np.add.reduceat(log_peaks, starts) / tasks
    own = log_peaks - np.repeat(means, tasks)
    runs, of_tasks = len(means), len(log_peaks) - len(means)
    within = float(own @ own) / of_tasks if of_tasks else 0.0
    between = 0.0
    if runs > 1:
        between = max(0.0, float(means.var(ddof=1)) - within * float((1 / tasks).mean()))
    prior = _TAUGHT_SCALE if taught else _PRIOR_SCALE
    freedom = _PRIOR_FREEDOM + runs - 1
    variance = (_PRIOR_FREEDOM * prior**2 + (runs - 1) * between) / freedom * (1 + 1 / runs)
    cells = np.ceil(own / _CELL - 1e-9).astype(np.int64)
    lowest = int(cells.min())
    counts = np.bincount(cells - lowest)
    where = np.flatnonzero(counts)
    return BetweenRuns(
        level=float(means.mean()),
        scale=math.sqrt(variance),
        freedom=freedom,
        own=np.asarray((where + lowest) * _CELL, dtype=np.float64),
        shares=counts[where] / len(log_peaks),
    )


def _t_above(distance: float, freedom: float) -> float:
    """P(t > distance) by Wallace's approximation (Ann. Math. Statist. 30(4), 1959), within 0.002 from 2 degrees on."""
    normal = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(distance**2 / freedom))
    return 0.5 * math.erfc(math.copysign(normal, distance) / math.sqrt(2))
