"""How a quantity is spread, in few enough numbers to draw: equal bins from zero.

What comes in: evidence. What goes out: frozen :class:`Spread` values whose size does not grow with the evidence. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.model import BYTES_PER_MB, cpu_bucket_upper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.analyzer.usage import StepEvidence

BINS = 48


@dataclass(frozen=True, slots=True)
class Spread:
    """``weights`` of equal bins that divide 0 … ``upper``."""

    upper: float
    weights: tuple[float, ...]


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
    upper = 1.04 * max([value for value, _ in values] + [mark for mark in marks if mark is not None])
    if upper <= 0:
        return None
    weights = [0.0] * BINS
    for value, weight in values:
        weights[min(BINS - 1, int(value / upper * BINS))] += weight
    return Spread(upper, tuple(weights))
