"""How a quantity is spread, in few enough numbers to draw: equal bins from zero that end at round numbers.

What comes in: evidence. What goes out: frozen :class:`Spread` values whose size does not grow with the evidence. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.model import BYTES_PER_MB, cpu_bucket_upper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.analyzer.usage import StepEvidence

BINS = 48
_HEADROOM = 1.04


@dataclass(frozen=True, slots=True)
class Spread:
    """``weights`` of equal bins that divide 0 … ``upper``: each holds what is above its lower end, up to its upper."""

    upper: float
    weights: tuple[float, ...]


def nice(value: float) -> float:
    """The least of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten that is no less; 1 for nothing."""
    if not math.isfinite(value) or value < 1e-9:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if step * power >= value), 10 * power)


def memory_spread(evidence: StepEvidence, *marks_mb: float | None) -> Spread | None:
    """Attempts by their memory peak in MB, on an axis long enough for the marks too; None without a peak."""
    peaks = [a.memory_peak_bytes / BYTES_PER_MB for a in evidence.ended if a.memory_peak_bytes is not None]
    return _spread([(peak, 1.0) for peak in peaks], marks_mb)


def cpu_spread(evidence: StepEvidence, *marks: float | None) -> Spread | None:
    """Seconds by cores in use, on an axis long enough for the marks too; None without a sample."""
    return _spread([(cpu_bucket_upper(b.bucket), b.seconds) for b in evidence.cpu_histogram], marks)


def _spread(values: list[tuple[float, float]], marks: Iterable[float | None]) -> Spread | None:
    if not values:
        return None
    highest = max([value for value, _ in values] + [mark for mark in marks if mark is not None])
    if highest <= 0:
        return None
    width = nice(_HEADROOM * highest / BINS)
    weights = [0.0] * BINS
    for value, weight in values:
        # A hair less, so that what lies at the end of a bin is not put above it by the last digit.
        weights[min(BINS - 1, max(0, math.ceil(value / width - 1e-9) - 1))] += weight
    return Spread(width * BINS, tuple(weights))
