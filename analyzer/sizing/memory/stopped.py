"""What tasks that never ended well add to the cost of asking for little: censored observations.

What comes in: a :class:`Predictive` distribution from tasks that ended well, prices, and the cells above which the
peaks of the others lie. What goes out: a cost for each cell of the grid, which never rises from cell to cell. Pure.

Of a task that was stopped with ``c`` bytes only P(peak > c) is known, so its peak is redistributed over what lies above
c (Efron, "The Two Sample Problem with Censored Data", Proc. 5th Berkeley Symp., 1967; for Kaplan's and Meier's
estimator): over the peaks seen there, and over the tail that is expected above c itself, which counts as one task. What
is charged are its failures only, not memory that it would hold where the request is enough; and where P(peak > c) was
high anyway it is charged for next to nothing. As the charge falls from cell to cell, and is added to a cost that knows
nothing of it, one task more that was stopped never lowers the cheapest request, whatever was seen before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.arrays import counted
from stepsize.analyzer.sizing.memory.expected_cost import mass_above, summed_over_doublings
from stepsize.analyzer.sizing.memory.grid import CELLS, MULTIPLIERS, ZERO, cells

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.expected_cost import Prices
    from stepsize.analyzer.sizing.memory.predictive import Predictive

NONE: Floats = np.empty(0)
"""Nothing was stopped."""


def charge(log_ratios: Floats, predictive: Predictive, excess: Floats, tasks: int, prices: Prices) -> Floats:
    """What these add to the expected cost of each cell, shape (CELLS,).

    ``log_ratios``: what each reached, over the reference. ``excess``: how far peaks go above the largest before, on the
    grid. ``tasks``: how many tasks ``predictive`` stands on.
    """
    above = mass_above(predictive.tasks)
    total = np.zeros(CELLS)
    where = np.minimum(cells(log_ratios), CELLS - 2)
    reach = np.flatnonzero(excess)
    for cell, times in zip(*np.unique(where, return_counts=True), strict=True):
        beyond = counted(np.clip(reach - ZERO, 1, CELLS - 1 - cell) + cell, excess[reach] / (tasks + 1), CELLS)
        beyond[cell + 1 :] += predictive.tasks[cell + 1 :]
        failing = mass_above(beyond)
        share = times * (1 - above[cell]) / (failing[cell] * tasks)
        held = MULTIPLIERS[cell] * prices.reference_cost * prices.time_to_failure
        failures = held * failing + prices.failure * summed_over_doublings(failing)
        failures[:cell] = failures[cell]
        total += max(share, 0.0) * failures
    falling: Floats = np.minimum.accumulate(total)
    return falling
