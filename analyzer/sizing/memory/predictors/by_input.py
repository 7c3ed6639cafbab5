"""Requests that follow a number known beforehand, such as the size of the input: a power of it, a line, or the tasks
with numbers most like it.

Each fits the newest tasks of which the number is known. Residuals are those of leaving the task itself out (from the
hat matrix), so that a line through two points is not taken for certain; where a task lies far from the numbers seen,
residuals grow with its leverage. Extrapolation is bounded: no request is above 7 times the largest peak seen, and none
stands on less than a fifth of the smallest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stepsize.analyzer.sizing.memory.exceedances import tail
from stepsize.analyzer.sizing.memory.proposal import Proposal, Terms, propose

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import History, Task
    from stepsize.analyzer.sizing.memory.inputs import Seen
    from stepsize.analyzer.sizing.memory.predictors.base import Evidence

_FEWEST_FOR_NEIGHBOURS = 8
_NEIGHBOURS = 6
_HIGHEST = 2.0
_LOWEST = 1.5
_FLOOR = 0.2
_MOST_LEVERAGE = 4.0
_LARGEST_HAT = 0.95
_SMALLEST_LEFT = 0.05
_LARGEST_LOG = 80.0
_LOCATIONS_PER_E = 20
_LEVERAGES_PER_DOUBLING = 4


class Line(NamedTuple):
    """A weighted least-squares line, its hat values, and what leverage at a new point takes."""

    intercept: float
    slope: float
    hat: Floats
    centre: float
    variance: float

    def leverage(self, x: float) -> float:
        """How much wider the residual of a new point at ``x`` is than one in the middle."""
        count = len(self.hat)
        wider = (1 + 1 / count + (x - self.centre) ** 2 / (count * self.variance)) / (1 + 2 / count)
        return min(max(math.sqrt(wider), 1.0), _MOST_LEVERAGE)


class Curve(NamedTuple):
    """Where peaks are expected along a number; a ``power`` of it is a line in logarithms.

    ``residuals``: logarithms of the peaks over where leaving them out has them expected; shape (n,).
    """

    line: Line
    power: bool
    lowest_bytes: float
    highest_bytes: float
    residuals: Floats

    def leverage(self, number: float) -> float:
        """How much wider a margin is here than in the middle of the numbers seen."""
        return self.line.leverage(math.log(number) if self.power else number)

    def expected(self, numbers: Floats) -> Floats:
        """Where the peaks are expected, in bytes; shape as ``numbers``."""
        line = self.line
        if self.power:
            peaks = np.exp(np.minimum(line.intercept + line.slope * np.log(numbers), _LARGEST_LOG))
        else:
            peaks = line.intercept + line.slope * numbers
        return np.minimum(np.maximum(peaks, self.lowest_bytes), self.highest_bytes)


def power_of(tasks: Seen, history: History) -> Curve | None:
    """Peaks as a power of the number."""
    x, y = np.log(tasks.numbers), np.log(tasks.peaks)
    line = _least_squares(x, y, np.ones(len(x)))
    if line is None:
        return None
    residuals = (y - line.intercept - line.slope * x) / _left_out(line)
    lowest = history.smallest_bytes * math.exp(-_LOWEST)
    return Curve(line, True, lowest, history.largest_bytes * math.exp(_HIGHEST), residuals)


def line_in(tasks: Seen, history: History) -> Curve | None:
    """Peaks as a line in the number; errors count relative to the peak, then, fitted once more, to the line."""
    lowest = _FLOOR * history.smallest_bytes
    line, fitted, weights = None, tasks.peaks, 1 / tasks.peaks**2
    for _ in range(2):
        again = _least_squares(tasks.numbers, tasks.peaks, weights)
        if again is None:
            break
        line = again
        fitted = np.maximum(line.intercept + line.slope * tasks.numbers, lowest)
        weights = 1 / fitted**2
    if line is None:
        return None
    expected = np.maximum(tasks.peaks - (tasks.peaks - fitted) / _left_out(line), lowest)
    highest = history.largest_bytes * math.exp(_HIGHEST)
    return Curve(line, False, lowest, highest, np.log(tasks.peaks / expected))


@dataclass(slots=True)
class AlongCurve:
    """The cheapest request where a curve has the task, given how far tasks were from it."""

    curve_through: Callable[[Seen, History], Curve | None]
    _tasks: Seen | None = field(default=None, init=False)
    _curve: Curve | None = field(default=None, init=False)
    _terms: Terms | None = field(default=None, init=False)
    _stopped: Floats | None = field(default=None, init=False)
    _at_location: dict[tuple[int, int], Proposal] = field(default_factory=dict, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        tasks = self._tasks = evidence.inputs
        self._curve = None if tasks is None else self.curve_through(tasks, evidence.history)
        self._terms = terms
        self._at_location.clear()
        if tasks is not None and self._curve is not None:
            self._stopped = np.log(tasks.stopped_bytes / self._curve.expected(tasks.stopped_numbers))

    def propose(self, task: Task) -> Proposal | None:
        """The request for a task with this number."""
        number = None if self._tasks is None else task.number(self._tasks.name)
        if self._curve is None or number is None:
            return None
        location, highest = float(self._curve.expected(np.array([number]))[0]), self._curve.highest_bytes
        near = round(math.log(location / highest) * _LOCATIONS_PER_E)
        near_bytes = highest * math.exp(near / _LOCATIONS_PER_E)
        wider = round(math.log2(self._curve.leverage(number)) * _LEVERAGES_PER_DOUBLING)
        proposal = self._at_location.get((near, wider))
        if proposal is None:
            proposal = self._at(near_bytes, 2 ** (wider / _LEVERAGES_PER_DOUBLING))
            self._at_location[near, wider] = proposal
        asked = proposal.request_bytes * (location / near_bytes)
        return replace(
            proposal, reference_bytes=proposal.reference_bytes * min(asked, highest) / proposal.request_bytes
        )

    def _at(self, location: float, leverage: float) -> Proposal:
        tasks, curve, terms, stopped = self._tasks, self._curve, self._terms, self._stopped
        if tasks is None or curve is None or terms is None or stopped is None:
            raise AssertionError("a curve is asked after it was fitted")
        residuals = leverage * curve.residuals
        above = tail(residuals, len(residuals), None, None)
        return propose(residuals, tasks.hours, location, above, terms, stopped=stopped)


@dataclass(slots=True)
class Neighbours:
    """The tasks whose numbers are most like this one's, as if they were the step."""

    _tasks: Seen | None = field(default=None, init=False)
    _terms: Terms | None = field(default=None, init=False)
    _at_number: dict[float, Proposal] = field(default_factory=dict, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        tasks = evidence.inputs
        self._tasks = tasks if tasks is not None and len(tasks.numbers) >= _FEWEST_FOR_NEIGHBOURS else None
        self._terms = terms
        self._at_number.clear()

    def propose(self, task: Task) -> Proposal | None:
        """The request for a task with this number."""
        number = None if self._tasks is None else task.number(self._tasks.name)
        if self._tasks is None or self._terms is None or number is None:
            return None
        known = self._at_number.get(number)
        if known is None:
            known = self._at_number[number] = _near(self._tasks, number, self._terms)
        return known


def _near(tasks: Seen, number: float, terms: Terms) -> Proposal:
    count = min(max(_NEIGHBOURS, int(math.sqrt(len(tasks.numbers)))), len(tasks.numbers))
    distances = np.abs(np.log(tasks.numbers / number))
    nearest = np.argsort(distances, kind="stable")[:count]
    log_peaks = np.log(tasks.peaks[nearest])
    as_near = np.abs(np.log(tasks.stopped_numbers / number)) <= distances[nearest].max()
    stopped = np.log(tasks.stopped_bytes[as_near])
    return propose(log_peaks, tasks.hours[nearest], 1.0, tail(log_peaks, count, None, None), terms, stopped=stopped)


def _least_squares(x: Floats, y: Floats, weights: Floats) -> Line | None:
    total = weights.sum()
    centre = float((weights * x).sum() / total)
    middle = float((weights * y).sum() / total)
    squares = float((weights * (x - centre) ** 2).sum())
    if squares <= 1e-12 * total * max(centre * centre, 1e-12):
        return None
    slope = float((weights * (x - centre) * (y - middle)).sum()) / squares
    hat = np.minimum(weights / total + weights * (x - centre) ** 2 / squares, _LARGEST_HAT)
    return Line(middle - slope * centre, slope, hat, centre, squares / float(total))


def _left_out(line: Line) -> Floats:
    """What a residual is divided by to be that of a line which was fitted without its task."""
    left: Floats = np.maximum(1 - line.hat, _SMALLEST_LEFT)
    return left
