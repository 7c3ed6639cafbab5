"""The grid on which peaks are thought about: cells of a hundredth in the logarithm, relative to a reference peak.

What comes in: logarithms of peaks over the reference. What goes out: cells, and what a cell allocates. A peak falls
into the cell whose upper edge covers it, so that a request of a cell is enough for every peak counted in it. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats, Integers

STEP = 0.01
"""Width of a cell in the natural logarithm: a request is at most 1 % above what it has to cover."""
ZERO = 300
"""The cell of the reference itself: 3 in the logarithm, a factor of 20, lies on either side."""
CELLS = 2 * ZERO + 1
MULTIPLIERS: Floats = np.exp((np.arange(CELLS) - ZERO) * STEP)
"""What a cell allocates, in units of the reference."""
DOUBLING = int(np.ceil(np.log(2.0) / STEP))
"""How many cells lie between an allocation and its double."""


def cells(log_ratios: Floats) -> Integers:
    """The cells that cover these peaks, given as logarithms over the reference; those outside go to the edges."""
    upper = np.ceil(log_ratios / STEP - 1e-9) + ZERO
    # Half the time that np.clip takes of so few: this is what sizing spends most of its time in.
    within: Integers = np.minimum(np.maximum(upper, 0), CELLS - 1).astype(np.int64)
    return within
