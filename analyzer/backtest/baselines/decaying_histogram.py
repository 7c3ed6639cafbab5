"""The histogram of Kubernetes' vertical pod autoscaler: buckets that grow by 5 %, samples that lose weight with age.

What comes in: values in bytes with the instant they were seen. What goes out: percentiles, as the upper end of the
bucket that holds them. Pure.

Source: kubernetes/autoscaler, ``vertical-pod-autoscaler/pkg/recommender``: ``util/histogram_options.go`` (exponential
buckets), ``util/histogram.go`` (``Percentile`` answers the end of the bucket), ``util/decaying_histogram.go`` (weight
2^(age difference / half-life), the reference moved after 100 half-lives), ``model/aggregations_config.go`` (first
bucket 10 MB, ratio 1.05, up to 1 TB).
"""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.analyzer.sizing.memory.arrays import Floats

_FIRST_BUCKET_BYTES = 1e7
_RATIO = 1.05
_LARGEST_BYTES = 1e12
_MOST_HALF_LIVES = 100


def _bucket_of(value_bytes: float) -> int:
    if value_bytes < _FIRST_BUCKET_BYTES:
        return 0
    return int(math.log(value_bytes / _FIRST_BUCKET_BYTES * (_RATIO - 1) + 1) / math.log(_RATIO))


class DecayingHistogram:
    """Samples of one step. A sample whose time is not known is as new as the newest that has one."""

    def __init__(self, half_life_s: float) -> None:
        self._half_life_s = half_life_s
        self._last_bucket = math.ceil(math.log(_LARGEST_BYTES * (_RATIO - 1) / _FIRST_BUCKET_BYTES + 1, _RATIO))
        self._weights = np.zeros(self._last_bucket + 1)
        # Where the next bucket starts; the last has no end, and its start stands for it.
        next_bucket = np.minimum(np.arange(1, self._last_bucket + 2), self._last_bucket)
        self._ends: Floats = _FIRST_BUCKET_BYTES * (_RATIO**next_bucket - 1) / (_RATIO - 1)
        self._reference_s: float | None = None
        self._newest_s = 0.0

    @property
    def empty(self) -> bool:
        """Whether no sample has come yet."""
        return not self._weights.any()

    def add(self, value_bytes: float, seen_at_s: float | None) -> None:
        """A sample."""
        self._weights[min(_bucket_of(value_bytes), self._last_bucket)] += self._weight(seen_at_s)

    def with_samples(self, samples: Iterable[tuple[float, float | None]]) -> DecayingHistogram:
        """A histogram of its own with these samples besides, each a value and the instant it was seen."""
        other = copy(self)
        other._weights = self._weights.copy()  # noqa: SLF001 -- one of the same class
        for sample in samples:
            other.add(*sample)
        return other

    def percentile(self, fraction: float) -> float:
        """The upper end in bytes of the first bucket up to which ``fraction`` of the weight lies."""
        return self._end(fraction, self._weights)

    def percentile_of_load(self, fraction: float) -> float:
        """The same where a sample weighs as much as it is large (Autopilot's equation 3)."""
        return self._end(fraction, self._weights * self._ends)

    def _end(self, fraction: float, weights: Floats) -> float:
        so_far = np.cumsum(weights)
        held = np.flatnonzero(self._weights)
        bucket = min(max(int(np.searchsorted(so_far, fraction * so_far[-1])), int(held[0])), int(held[-1]))
        return float(self._ends[bucket])

    def _weight(self, seen_at_s: float | None) -> float:
        at_s = self._newest_s if seen_at_s is None else seen_at_s
        if self._reference_s is None:
            self._reference_s = at_s
        self._newest_s = max(at_s, self._newest_s)
        half_lives = (at_s - self._reference_s) / self._half_life_s
        if half_lives > _MOST_HALF_LIVES:
            self._weights *= 2.0**-half_lives
            self._reference_s = at_s
            return 1.0
        return float(2.0**half_lives)
