"""The first request of a step that never ran: from the first peaks of the other steps, never above what was asked for.

What comes in: the first finished task of each other step. What goes out: a proposal, or None while there are too few.
Steps differ by orders of magnitude, so each first peak is spread widely, and beyond the largest a tail reaches 6 times
further. The caller keeps the user's request where that is smaller.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.arrays import counted
from stepsize.analyzer.sizing.memory.expected_cost import Prices, cheapest
from stepsize.analyzer.sizing.memory.grid import CELLS, cells
from stepsize.analyzer.sizing.memory.predictive import Predictive
from stepsize.analyzer.sizing.memory.proposal import Proposal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.memory.history import Finished
    from stepsize.analyzer.sizing.memory.proposal import Terms

_FEWEST_STEPS = 5
_NEWEST_STEPS = 200
_SPREAD = np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
_SPREAD_MASSES = np.array([0.1, 0.2, 0.4, 0.2, 0.1])
_BEYOND = np.array([0.35, 0.85, 1.35, 1.85])


def first_request(first: Sequence[Finished], terms: Terms) -> Proposal | None:
    """The cheapest request for a step like any of these; None where fewer than five are known."""
    if len(first) < _FEWEST_STEPS:
        return None
    newest = first[-_NEWEST_STEPS:]
    log_peaks = np.log(np.array([finished.peak_bytes for finished in newest]))
    hours = sum(finished.hours for finished in newest) / len(newest)
    largest = float(log_peaks.max())
    beyond = 1.0 / (len(newest) + 1)
    where = cells(((log_peaks - largest)[:, None] + _SPREAD).ravel())
    masses = np.tile(_SPREAD_MASSES * (1 - beyond) / len(newest), len(newest))
    mass = counted(where, masses, CELLS) + counted(cells(_BEYOND), np.full(4, beyond / 4), CELLS)
    predictive = Predictive(tasks=mass, hours=mass)
    reference = math.exp(largest)
    prices = Prices(
        reference_cost=reference * hours, failure=terms.failure_byte_hours, time_to_failure=terms.time_to_failure
    )
    return Proposal(reference, predictive, prices, cheapest(predictive, prices))
