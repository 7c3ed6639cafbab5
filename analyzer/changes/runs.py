"""Whether a version's runs lie above those before it by more than runs of one version lie apart.

What comes in: peaks of tasks, run by run. What goes out: a probability. Pure. Tasks of a run share its data: a hundred
of them that hold more than usual may be one large input. The model is the report's for the next run
(:mod:`stepsize.analyzer.sizing.memory.between_runs`): log peaks are a level, plus the run's, plus the task's own, and
the variance between runs is shrunk to a prior (Searle, Casella, McCulloch, *Variance Components*, 1992, chapters 3
and 9). It is taken from runs that follow each other (J. von Neumann, "Distribution of the Ratio of the Mean Square
Successive Difference to the Variance", 1941), so that a level that changed once makes no later change look usual.
"""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PRIOR_FREEDOM = 2.0
_PRIOR_SCALE = 0.1
_OF_STEPS = 2 / 3
"""What a step from one run to the next is worth of a degree of freedom."""


def chance_of_runs(runs: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """How likely ``runs`` would lie so far above ``others``, or farther, were all of one version: 0 … 1.

    Each run is the peaks of its tasks, above 0, and ``others`` are in the order of time; neither is empty.
    """
    means, means_others = ([statistics.fmean(map(math.log, run)) for run in side] for side in (runs, others))
    tasks, tasks_others = ([len(run) for run in side] for side in (runs, others))
    within = _within([*runs, *others], [*means, *means_others])
    between = 0.0
    if len(others) > 1:
        steps = statistics.fmean((after - before) ** 2 / 2 for before, after in pairwise(means_others))
        between = max(0.0, steps - within * statistics.fmean(1 / count for count in tasks_others))
    own_freedom = _OF_STEPS * (len(others) - 1)
    freedom = _PRIOR_FREEDOM + own_freedom
    variance = (_PRIOR_FREEDOM * _PRIOR_SCALE**2 + own_freedom * between) / freedom
    whole = variance * (1 / len(runs) + 1 / len(others)) + within * (_of_mean(tasks) + _of_mean(tasks_others))
    return _t_above((statistics.fmean(means) - statistics.fmean(means_others)) / math.sqrt(whole), freedom)


def _within(runs: Sequence[Sequence[float]], means: Sequence[float]) -> float:
    """The variance of tasks around their run's mean."""
    squares = [(math.log(peak) - mean) ** 2 for run, mean in zip(runs, means, strict=True) for peak in run]
    freedom = len(squares) - len(runs)
    return math.fsum(squares) / freedom if freedom else 0.0


def _of_mean(tasks: Sequence[int]) -> float:
    """What of a task's variance is left in the mean of its runs' means."""
    return math.fsum(1 / count for count in tasks) / len(tasks) ** 2


def _t_above(distance: float, freedom: float) -> float:
    """P(t > distance) by Wallace's approximation (Ann. Math. Statist. 30(4), 1959), within 0.002 from 2 degrees on."""
    normal = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(distance**2 / freedom))
    return 0.5 * math.erfc(math.copysign(normal, distance) / math.sqrt(2))
