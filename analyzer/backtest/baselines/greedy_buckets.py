"""Greedy bucketing: a range of peaks is broken in two where that costs least, and so is each part.

What comes in: peaks, lowest first, and their weights. What goes out: buckets. Pure.

Source: ``dttools/src/bucketing_greedy.c`` of cctools at f4e3b63: ``bucketing_greedy_policy`` (the expected cost of a
break), ``bucketing_greedy_break_bucket`` (the last of equal breaks; a range whose best break is its end stays whole).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.backtest.baselines.buckets import Buckets

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats


def greedy_buckets(peaks_mib: Floats, weights: Floats) -> Buckets:
    """The buckets; the two arrays are of one length, one at least."""
    weight_before = np.concatenate(([0.0], np.cumsum(weights)))
    moment_before = np.concatenate(([0.0], np.cumsum(weights * peaks_mib)))
    ends = {len(peaks_mib) - 1}
    ranges = [(0, len(peaks_mib) - 1)]
    while ranges:
        low, high = ranges.pop()
        if peaks_mib[low] == peaks_mib[high]:
            continue
        at = low + _cheapest_break(
            peaks_mib[low : high + 1], weight_before[low : high + 2], moment_before[low : high + 2]
        )
        if at < high:
            ends.add(at)
            ranges += [(low, at), (at + 1, high)]
    at_ends = np.array(sorted(ends))
    # Peaks that equal the one at a break belong to the bucket that it ends.
    values = np.unique(peaks_mib[at_ends])
    reached = weight_before[np.searchsorted(peaks_mib, values, side="right")]
    return Buckets(values, np.diff(reached, prepend=0.0) / weight_before[-1])


def _cheapest_break(peaks: Floats, weight_before: Floats, moment_before: Floats) -> int:
    """The index of the highest peak of the lower part. Costs are of drawing either part for a task of either."""
    weight = weight_before[1:] - weight_before[0]
    moment = moment_before[1:] - moment_before[0]
    lower = weight / weight[-1]
    upper = 1 - lower
    upper[-1] = 0.0
    mean_lower = moment / weight
    weight_above = weight[-1] - weight
    mean_upper = np.divide(moment[-1] - moment, weight_above, out=np.zeros_like(moment), where=weight_above > 0)
    largest = peaks[-1]
    costs = lower * (lower * (peaks - mean_lower) + upper * (largest - mean_lower)) + upper * (
        lower * (peaks + largest - mean_upper) + upper * (largest - mean_upper)
    )
    return int(len(costs) - 1 - np.argmin(costs[::-1]))
