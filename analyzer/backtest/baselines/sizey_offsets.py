"""Sizey's dynamic offset: of four ways to read a model's past errors, the one that would have wasted least.

What comes in: a model's relative errors so far, its predictions for the tasks known, and their peaks. What goes out:
the share by which its predictions are raised. Pure.

Source: ``_get_offset`` and ``_select_dynamic_offset_wastage`` of ``approach/sizing_tasks.py`` in dos-group/sizey at
ae61efb: standard deviation of absolute errors without outliers, median of underpredictions, median of all, standard
deviation of underpredictions; 0.05 where a way knows nothing; an attempt that was too small costs half of what the
right power of two allocates, and the successful one what it has beyond the peak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats

DEFAULT = 0.05


def dynamic_offset(errors: Floats, predicted: Floats, peaks: Floats) -> float:
    """The offset, as a share of the prediction; the first of equally good ones."""
    if not len(errors):
        return DEFAULT
    under = errors[errors > 0]
    some = np.abs(errors)[errors != 0]
    candidates = np.array(
        (
            _deviation_without_outliers(np.abs(errors)),
            float(np.median(under)) if len(under) else DEFAULT,
            float(np.median(some)) if len(some) else DEFAULT,
            float(np.std(under)) if len(under) else DEFAULT,
        )
    )
    return float(candidates[np.argmin(_wasted(predicted * (1 + candidates[:, None]), peaks))])


def _deviation_without_outliers(sizes: Floats) -> float:
    if len(sizes) < 2:
        return DEFAULT
    low, high = np.percentile(sizes, (10, 90))
    reach = 1.5 * (high - low)
    return float(np.std(sizes[(sizes >= low - reach) & (sizes <= high + reach)]))


def _wasted(allocated: Floats, peaks: Floats) -> Floats:
    """Of each row of allocations. One that is not positive is the row's smallest that is; infinite where none is."""
    smallest = np.where(allocated > 0, allocated, np.inf).min(axis=1)[:, None]
    allocated = np.where(allocated > 0, allocated, smallest)
    factors = 2.0 ** np.ceil(np.log2(np.maximum(np.ceil(peaks / allocated), 1.0)))
    under = factors / 2 * allocated + factors * allocated - peaks
    return np.asarray(np.where(peaks > allocated, under, allocated - peaks).sum(axis=1))
