"""The arrays of this package: their types, and masses counted into cells. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def counted(where: Integers, masses: Floats, size: int) -> Floats:
    """How much mass falls into each of ``size`` cells, shape (size,)."""
    return np.bincount(where, masses, size).astype(np.float64, copy=False)
