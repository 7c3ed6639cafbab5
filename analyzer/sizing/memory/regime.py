"""Whether a step is still what it was: evidence from before a change is none any more.

What comes in: the lowest and the highest peak of each batch of tasks, in the order in which they became known, and
which code they ran. What goes out: the first batch that counts. Touches nothing but its own numbers.

A change is seen where all of the newest batches lie above, or all below, all those before them. Of n batches alike the
newest k are the highest with probability 1 / C(n, k), as any k are (Feller, *An Introduction to Probability Theory*,
vol. I, II.4); how far above they are is heavy-tailed on the scale of what lies between the highest of the others. A new
version of the code is a reason to look: there less has to be shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import accumulate

_CHANCE_AT_NEW_VERSION = 0.05
_MOST_NEWEST = 8
_FEWEST_BEFORE = 2
_PRIOR_SCALE = 0.03
"""In the logarithm; as much as two spacings of a step's own."""
_PRIOR_SPACINGS = 2.0


@dataclass(slots=True)
class Regime:
    """Where the batches begin that are alike.

    Attributes:
        chance: so unlikely has it to be that batches alike lie as a change that nobody announced would have them lie;
            where it is 0 none is looked for.
        fewest_below: so many batches have to lie below those before them to show that less is needed now.
        start: the first batch that counts.
        changes: each that was the first, in the order in which that was seen.
        highs: the highest peak of each batch.
    """

    chance: float = 0.0
    fewest_below: int = 1
    start: int = 0
    changes: list[int] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    _lows: list[float] = field(default_factory=list)
    _bottoms: list[float] = field(default_factory=list)
    _tops: list[float] = field(default_factory=list)
    """The lowest and the highest of the batches that count, up to each."""
    _version: str | None = None
    _version_began: int = 0

    def add(self, lowest: float, highest: float, code_version: str | None) -> None:
        """A batch: the logarithms of its lowest and highest peak, and the version of its code, where known."""
        if code_version is not None and code_version != self._version:
            self._version_began = 0 if self._version is None else len(self._lows)
            self._version = code_version
        self._lows.append(lowest)
        self.highs.append(highest)
        self._bottoms.append(min(lowest, self._bottoms[-1]) if self._bottoms else lowest)
        self._tops.append(max(highest, self._tops[-1]) if self._tops else highest)
        count = len(self._lows)
        low, high = math.inf, -math.inf
        for split in range(count - 1, max(self.start + _FEWEST_BEFORE, count - _MOST_NEWEST) - 1, -1):
            low, high = min(low, self._lows[split]), max(high, self.highs[split])
            if self._changed_at(split, low, high):
                self.start = split
                self.changes.append(split)
                self._bottoms[split:] = accumulate(self._lows[split:], min)
                self._tops[split:] = accumulate(self.highs[split:], max)
                return

    def _changed_at(self, split: int, low: float, high: float) -> bool:
        """Whether the batches from ``split`` on, which lie from ``low`` to ``high``, are others than those before."""
        allowed = _CHANCE_AT_NEW_VERSION if split == self._version_began else self.chance
        newest = len(self._lows) - split
        if allowed <= 0:
            return False
        if low > self._tops[split - 1]:
            return _chance(low, self.highs[self.start : split], newest) < allowed
        if high < self._bottoms[split - 1] and newest >= self.fewest_below:
            return _chance(-high, [-low for low in self._lows[self.start : split]], newest) < allowed
        return False


def _chance(beyond: float, others: list[float], newest: int) -> float:
    """How likely so many newest values all are at least ``beyond``, which is above the others, where they are like
    those."""
    gap = beyond - max(others)
    far = (1 + gap / (2 * _scale(others))) ** (-2 * newest)
    return far / math.comb(newest + len(others), newest)


def _scale(values: list[float]) -> float:
    """How far the highest of these lie apart: the mean excess of about √n of them, shrunk to a prior."""
    largest = sorted(values, reverse=True)[: math.isqrt(len(values)) + 2]
    excess = sum(largest) - len(largest) * largest[-1]
    return (excess + _PRIOR_SPACINGS * _PRIOR_SCALE) / (len(largest) - 1 + _PRIOR_SPACINGS)
