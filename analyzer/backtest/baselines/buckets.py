"""What both ways of bucketing answer with: the values at which buckets end, and how probable each bucket is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats


@dataclass(frozen=True, slots=True)
class Buckets:
    """Rising values in MiB, each the largest peak of its bucket, and probabilities that add up to 1."""

    values_mib: Floats
    probabilities: Floats
