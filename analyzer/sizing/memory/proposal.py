"""One predictor's answer for one task: how much to ask for, and what to try when that was not enough.

What comes in: peaks seen as logarithms over a location, their run times, a tail, what memory and failures cost. What
goes out: a :class:`Proposal`. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.expected_cost import Prices, cheapest, cheapest_retry
from stepsize.analyzer.sizing.memory.grid import CELLS, MULTIPLIERS, STEP, ZERO, cells
from stepsize.analyzer.sizing.memory.predictive import Predictive, Tail, predict
from stepsize.analyzer.sizing.memory.stopped import NONE, charge

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats


@dataclass(frozen=True, slots=True)
class Terms:
    """What a failed attempt costs in byte hours, and after which share of the run time it fails."""

    failure_byte_hours: float
    time_to_failure: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What runs to come are expected to take of a step that grows from run to run.

    Attributes:
        log_peaks: peaks seen, as they would be in the next run; shape (n,).
        starts: where each run begins among them.
        per_run_bytes: by how much it grows.
        next_bytes: where the largest peak of the next run is expected.
        ahead, last_bytes, last: the last run that is sized for (1 is the next), where its largest peak is expected, and
            the request for it alone.
    """

    log_peaks: Floats
    starts: tuple[int, ...]
    per_run_bytes: float
    next_bytes: float
    ahead: int
    last_bytes: float
    last: Proposal


@dataclass(frozen=True, slots=True)
class Proposal:
    """A request as a cell of a predictive distribution over ``reference_bytes``: that of the next run's tasks."""

    reference_bytes: float
    predictive: Predictive
    prices: Prices
    cell: int
    charged: Floats | float = 0.0
    """What tasks that never ended well add to the cost of each cell."""
    asked_bytes: float | None = None
    """What is asked for in place of the cell, for runs after the next one."""
    growth: Growth | None = None

    @property
    def request_bytes(self) -> float:
        """What to allocate first."""
        if self.asked_bytes is not None:
            return self.asked_bytes
        return self.reference_bytes * float(MULTIPLIERS[self.cell])

    def share_above(self, request_bytes: float) -> float:
        """The share of next tasks whose peak is expected above a request."""
        edge = ZERO + math.floor(math.log(request_bytes / self.reference_bytes) / STEP + 1e-9)
        return self.predictive.share_above(min(max(edge, -1), CELLS - 1))

    def after(self, failed_bytes: float) -> float:
        """What to allocate after an attempt with ``failed_bytes`` was too small; more than that."""
        failed = int(cells(np.array([math.log(failed_bytes / self.reference_bytes)]))[0])
        if failed >= CELLS - 2:
            return 2 * failed_bytes
        cell = cheapest_retry(self.predictive, self.prices, failed, self.charged)
        retry = self.reference_bytes * float(MULTIPLIERS[cell])
        return retry if retry > failed_bytes else 2 * failed_bytes


def propose(
    log_ratios: Floats,
    hours: Floats,
    location_bytes: float,
    tail: Tail,
    terms: Terms,
    *,
    stopped: Floats = NONE,
    covers_seen: bool = False,
) -> Proposal:
    """The cheapest request for a task expected at ``location_bytes``.

    ``log_ratios``: peaks seen, as logarithms over where each was expected; shape (n,). ``hours``: their run times.
    ``stopped``: the same of tasks that never ended well, of what they reached.
    ``covers_seen``: nothing that would have been too small for the largest of them will do.
    """
    largest = float(log_ratios.max())
    reference = location_bytes * math.exp(largest)
    prices = Prices(
        reference_cost=reference * float(hours.mean()),
        failure=terms.failure_byte_hours,
        time_to_failure=terms.time_to_failure,
    )
    predictive = predict(log_ratios - largest, hours, tail)
    charged: Floats | float = 0.0
    if len(stopped):
        charged = charge(stopped - largest, predictive, tail.excess, len(log_ratios), prices)
    cell = cheapest(predictive, prices, charged, ZERO if covers_seen else 0)
    return Proposal(reference, predictive, prices, cell, charged)
