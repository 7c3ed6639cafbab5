"""Whether a step grows from run to run, and what its next runs are then expected to reach.

What comes in: the largest peak of each run, in the order of the runs, and where the step changed at once. What goes
out: whether it grows, and a frozen :class:`Forecast`. Pure, and the same however often it is asked in between.

A step grows where a line through the peaks of its runs, or one through their logarithms, rises by more than chance
does twice in a thousand (Student's t test of a slope), and explains half of how they differ: what jumps about more than
it grows is better sized by all that it reached. A change at once is no growth: where a run lies several times further
from the one before it than those before lay from each other, what counts begins there.

Forecasts are lines in which older runs count less (discounted least squares: Brown, *Smoothing, Forecasting and
Prediction of Discrete Time Series*, 1963), at three discounts, through peaks and through their logarithms. Followed is
the one that was closest to what came so many runs later, runs of long ago counting less (prequential, after Dawid,
J. R. Statist. Soc. A 147(2), 1984). How far it was off then is all that is taken for known of its errors: that covers
noise, growth that ends and growth that bends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.memory.arrays import Floats

_NORMAL_OF_CHANCE = 2.88
"""The normal quantile of 2 in 1,000 on one side."""
_LEAST_EXPLAINED = 0.5
_LEAST_NOISE = 0.002
"""Runs are taken to lie at least so far from any line, relative to their peaks."""
_FEWEST_RUNS = 4
_JUMP, _LEAST_JUMP = 4.0, 0.02
_RUNS_BEFORE_JUMP = 12
_DISCOUNTS = (0.6, 0.8, 0.95)
_OLDER_ERRORS = 0.9
_COMPARED_RUNS = 128
_FIRST_COMPARED = 6
"""A line through so many runs is as good as later ones: errors of those before are left out, once there are others."""
_HIGHEST_LOG = 2.0
_LOWEST = 0.2
_SMALLEST = 1e-12
_DIGITS = 9
"""Beyond these the scale of the peaks decides between lines that are as good."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the run so many runs ``ahead`` is expected to reach, and what past runs were expected to as long before.

    Attributes:
        ahead: 1 is the next run.
        log_bytes: where its largest peak is expected.
        per_run_bytes: by how much it grows there in a run.
        past_log_bytes: what had been expected of each of the newest runs, up to the last; shape (runs,).
    """

    ahead: int
    log_bytes: float
    per_run_bytes: float
    past_log_bytes: Floats


@dataclass(slots=True)
class _Slope:
    """A least-squares line through values one run apart, as sums."""

    count: int = 0
    sum_y: float = 0.0
    sum_xy: float = 0.0
    sum_yy: float = 0.0

    def add(self, value: float) -> None:
        self.sum_y += value
        self.sum_xy += self.count * value
        self.sum_yy += value * value
        self.count += 1

    def rises(self, noise: float) -> bool:
        """Whether it does by more than chance and ``noise`` do; Student's t by Wallace's approximation (Ann. Math.
        Statist. 30(4), 1959)."""
        count = self.count
        if count < _FEWEST_RUNS:
            return False
        along = self.sum_xy - (count - 1) / 2 * self.sum_y
        squares = max(self.sum_yy - self.sum_y**2 / count, 0.0)
        explained = along**2 * 12 / (count * (count**2 - 1))
        if along <= 0 or explained < _LEAST_EXPLAINED * squares:
            return False
        freedom = count - 2
        left = max(squares - explained, 0.0) / freedom + noise**2
        normal = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(explained / left / freedom))
        return normal > _NORMAL_OF_CHANCE


@dataclass(slots=True)
class _Line:
    """A line through values one run apart, each counting ``discount`` of the next: its level and slope after each."""

    discount: float
    is_log: bool
    levels: list[float] = field(default_factory=list)
    slopes: list[float] = field(default_factory=list)
    _sums: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def add(self, value: float) -> None:
        """Sums are of weights, distances back in time, their squares, values, and values by distance."""
        weights, back, squares, values, moments = self._sums
        kept = self.discount
        squares, back = kept * (squares - 2 * back + weights), kept * (back - weights)
        moments, weights, values = kept * (moments - values), kept * weights + 1, kept * values + value
        self._sums = weights, back, squares, values, moments
        spread = weights * squares - back * back
        slope = (weights * moments - back * values) / spread if spread > _SMALLEST else 0.0
        self.levels.append((values - slope * back) / weights)
        self.slopes.append(slope)


def _every_line() -> tuple[_Line, ...]:
    return tuple(_Line(discount, is_log) for is_log in (True, False) for discount in _DISCOUNTS)


@dataclass(slots=True)
class _Stretch:
    """The runs from ``first`` on, as logarithms over the first's peak."""

    first: int = 0
    base: float = 0.0
    values: list[float] = field(default_factory=list)
    slope: _Slope = field(default_factory=_Slope)
    log_slope: _Slope = field(default_factory=_Slope)
    lines: tuple[_Line, ...] = field(default_factory=_every_line)

    def add(self, log_high: float) -> None:
        if not self.values:
            self.base = log_high
        value = log_high - self.base
        self.values.append(value)
        self.log_slope.add(value)
        self.slope.add(math.exp(value))


class Trend:
    """The runs of a step since it last changed at once."""

    def __init__(self) -> None:
        self._changes = 0
        self._stretch = _Stretch()

    def take(self, log_highs: Sequence[float], changes: Sequence[int]) -> None:
        """All runs up to now: the logarithm of each run's largest peak, and where changes were seen, as they were."""
        for change in changes[self._changes :]:
            if change > self._stretch.first and _jumps(log_highs, self._stretch.first, change):
                self._stretch = _Stretch(change)
        self._changes = len(changes)
        for log_high in log_highs[self._stretch.first + self.runs :]:
            self._stretch.add(log_high)

    @property
    def runs(self) -> int:
        """How many they are."""
        return len(self._stretch.values)

    @property
    def grows(self) -> bool:
        """Whether they grow."""
        slope = self._stretch.slope
        noise = _LEAST_NOISE * slope.sum_y / max(1, slope.count)
        return self._stretch.log_slope.rises(_LEAST_NOISE) or slope.rises(noise)

    def forecast(self, ahead: int) -> Forecast:
        """Of the run so many runs ahead; there have to be at least two more runs than that."""
        stretch = self._stretch
        for line in stretch.lines:
            for value in stretch.values[len(line.levels) :]:
                line.add(value if line.is_log else math.exp(value))
        runs = self.runs
        first = max(min(max(1, runs // 3 - 1), _FIRST_COMPARED, runs - ahead - 1), runs - ahead - _COMPARED_RUNS)
        came = np.array(stretch.values[first + ahead :])
        weights = _OLDER_ERRORS ** np.arange(len(came) - 1, -1, -1)
        most, least = max(stretch.values) + _HIGHEST_LOG, min(stretch.values) + math.log(_LOWEST)

        def expected(line: _Line) -> Floats:
            reached = np.array(line.levels[first:]) + ahead * np.array(line.slopes[first:])
            logs = reached if line.is_log else np.log(np.maximum(reached, _SMALLEST))
            within: Floats = np.minimum(np.maximum(logs, least), most)
            return within

        def error(line: _Line) -> float:
            return round(float(weights @ np.abs(came - expected(line)[: len(came)])), _DIGITS)

        line = min(stretch.lines, key=error)
        logs = expected(line)
        scale = math.exp(stretch.base + (float(logs[-1]) if line.is_log else 0.0))
        return Forecast(
            ahead=ahead,
            log_bytes=stretch.base + float(logs[-1]),
            per_run_bytes=scale * line.slopes[-1],
            past_log_bytes=stretch.base + logs[: len(came)],
        )


def _jumps(log_highs: Sequence[float], first: int, change: int) -> bool:
    """Whether the run at a change lies several times further from the one before than is usual before it."""
    before = log_highs[max(first, change - _RUNS_BEFORE_JUMP) : change]
    apart = sorted(abs(later - earlier) for earlier, later in pairwise(before))
    usual = apart[len(apart) // 2] if apart else 0.0
    return abs(log_highs[change] - log_highs[change - 1]) > max(_JUMP * usual, _LEAST_JUMP)
