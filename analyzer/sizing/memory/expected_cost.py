"""What a first request is expected to cost, and the cheapest one.

What comes in: a :class:`Predictive` distribution of the next peak, what memory and failures cost. What goes out: a cell
of the grid. Pure.

A task that is given ``a`` pays ``a`` for its run time. Where its peak lies above ``a`` the attempt fails after a share
of the run time, is paid nevertheless, costs the price of a failure, and goes again with twice as much. The expectation
over the distribution is summed for every cell at once; the cheapest wins, the larger one where two cost the same. The
sum of expected failures falls from cell to cell, so that a higher price of failures never lowers the request.

Source: the strategy of choosing a first allocation by expected cost over the observed distribution is that of Tovar et
al., "A Job Sizing Strategy for High-Throughput Scientific Workflows", IEEE TPDS 29(2), 2018; the price of a failure,
the smoothing and the tail are ours (``docs/sizing.md``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.grid import CELLS, DOUBLING, MULTIPLIERS

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats, Integers
    from stepsize.analyzer.sizing.memory.predictive import Predictive

_ROUNDS = -(-CELLS // DOUBLING)
_DOUBLED: Integers = np.minimum(np.arange(CELLS) + DOUBLING, CELLS - 1)
"""The cell of twice as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What an allocation and a failure cost, in one unit (GB·h here; any will do).

    ``reference_cost``: holding the reference for the mean run time of a task. ``failure``: one failed attempt, on top
    of the memory it held. ``time_to_failure``: the share of the run time after which an attempt that is too small
    fails.
    """

    reference_cost: float
    failure: float
    time_to_failure: float = 1.0


def cheapest(predictive: Predictive, prices: Prices, charged: Floats | float = 0.0, least: int = 0) -> int:
    """The cell, ``least`` or above, whose request is expected to cost least, with what is ``charged`` for each
    besides."""
    total = (_expected_costs(predictive, prices) + charged)[least:]
    return CELLS - 1 - int(np.argmin(total[::-1]))


def cheapest_retry(predictive: Predictive, prices: Prices, failed: int, charged: Floats | float = 0.0) -> int:
    """The cell to try after the attempt in cell ``failed`` was too small; at least the next one."""
    above = failed + 1
    if above >= CELLS - 1:
        return CELLS - 1
    tasks, hours = predictive.tasks.copy(), predictive.hours.copy()
    tasks[:above], hours[:above] = 0.0, 0.0
    if not tasks.any() or not hours.any():
        return min(failed + DOUBLING, CELLS - 1)
    known = type(predictive)(tasks=tasks, hours=hours)
    total = (_expected_costs(known, prices) + charged)[above:]
    return CELLS - 1 - int(np.argmin(total[::-1]))


def _expected_costs(predictive: Predictive, prices: Prices) -> Floats:
    """Expected cost of a first request in each cell, shape (CELLS,)."""
    allocated = MULTIPLIERS * prices.reference_cost
    tasks_above, hours_above = mass_above(predictive.tasks), mass_above(predictive.hours)
    first = allocated * _charged(hours_above, hours_above[0] + predictive.hours[0], prices.time_to_failure)
    again = allocated[_DOUBLED] * _charged(hours_above[_DOUBLED], hours_above, prices.time_to_failure)
    again += tasks_above * prices.failure
    again[-1] = 0.0
    total: Floats = first + summed_over_doublings(again)
    return total


def _charged(hours_failing: Floats, hours_trying: Floats | float, time_to_failure: float) -> Floats:
    """The share of run time that an attempt is charged for: all of it where it is enough."""
    charged: Floats = hours_trying - hours_failing + time_to_failure * hours_failing
    return charged


def mass_above(mass: Floats) -> Floats:
    """The mass in the cells above each cell."""
    above = np.zeros(CELLS)
    above[:-1] = np.cumsum(mass[:0:-1])[::-1]
    return above


def summed_over_doublings(term: Floats) -> Floats:
    """``term[i] + term[i + DOUBLING] + term[i + 2 * DOUBLING] + …`` for every cell."""
    padded = np.zeros(_ROUNDS * DOUBLING)
    padded[:CELLS] = term
    rounds = padded.reshape(_ROUNDS, DOUBLING)
    summed: Floats = np.cumsum(rounds[::-1], axis=0)[::-1].reshape(-1)[:CELLS]
    return summed
