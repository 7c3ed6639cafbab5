"""Exhaustive bucketing: of one to ten evenly spaced buckets, those whose expected cost is least.

What comes in: peaks, lowest first, and their weights. What goes out: buckets. Pure.

Source: ``dttools/src/bucketing_exhaust.c`` of cctools at f4e3b63: ``bucketing_exhaust_get_buckets`` (powers of two MB
below the first even step, then even steps up to the largest peak; a bucket ends at its largest peak),
``bucketing_exhaust_compute_cost`` (a task's bucket against the one that was drawn, failures drawing among the higher),
the first of equally cheap ones; ``bucketing_manager.c``: at most ten.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.backtest.baselines.buckets import Buckets

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats, Integers

_MOST_BUCKETS = 10


def exhaustive_buckets(peaks_mib: Floats, weights: Floats) -> Buckets:
    """The buckets; the two arrays are of one length, one at least."""
    before = np.array((np.cumsum(weights), np.cumsum(weights * peaks_mib)))
    tried: set[bytes] = set()
    best, least = None, math.inf
    for count in range(1, _MOST_BUCKETS + 1):
        last = _last_of_each(peaks_mib, count)
        key = last.tobytes()
        if key in tried:
            continue
        tried.add(key)
        weight, moment = before[:, last]
        weight[1:] -= before[0, last[:-1]]
        moment[1:] -= before[1, last[:-1]]
        buckets = Buckets(peaks_mib[last], weight / before[0, -1])
        cost = _expected_cost(buckets, moment / weight)
        if cost < least:
            best, least = buckets, cost
    assert best is not None
    return best


def _last_of_each(peaks: Floats, count: int) -> Integers:
    """The index of the largest peak of each bucket that is not empty."""
    largest = float(peaks[-1])
    steps = max(0, math.floor(math.log2(largest / count)))
    limits = [*(2.0**step for step in range(steps)), *(largest * step / count for step in range(1, count)), largest]
    last = peaks.searchsorted(limits, side="right") - 1
    first_of_kind = np.empty(len(last), dtype=bool)
    first_of_kind[0] = last[0] >= 0
    first_of_kind[1:] = last[1:] > last[:-1]
    return last[first_of_kind]


def _expected_cost(buckets: Buckets, means: Floats) -> float:
    """What is wasted when bucket and task are drawn independently; ``means`` are the tasks' means in each bucket."""
    values, probabilities = buckets.values_mib, buckets.probabilities
    count = len(values)
    costs = values[None, :] - means[:, None]
    # A task of a higher bucket fails at bucket j and draws again among those above j.
    for j in range(count - 2, -1, -1):
        above = probabilities[j + 1 :]
        costs[j + 1 :, j] = values[j] + costs[j + 1 :, j + 1 :] @ (above / above.sum())
    return float(probabilities @ costs @ probabilities)
