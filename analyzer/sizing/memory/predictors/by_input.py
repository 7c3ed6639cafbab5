"""Requests that follow the size of the input: a power of it, a line, or the tasks with inputs most like it.

Each fits the newest tasks whose input size is known. Residuals are those of leaving the task itself out (from the hat
matrix), so that a line through two points is not taken for certain; where a task lies far from the inputs seen, the
margin grows with its leverage. Extrapolation is bounded: 7 times the largest peak seen, an e-fold and a half below the
smallest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from stepsize.analyzer.sizing.memory.exceedances import tail
from stepsize.analyzer.sizing.memory.proposal import Proposal, Terms, propose

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Task
    from stepsize.analyzer.sizing.memory.predictors.base import Evidence

_FEWEST_TASKS = 4
_FEWEST_FOR_NEIGHBOURS = 8
_NEIGHBOURS = 6
_LEAST_SPREAD = 0.02
"""Inputs that differ by less of their mean than this say nothing."""
_HIGHEST = 2.0
_LOWEST = 1.5
_FLOOR = 0.2
_MOST_LEVERAGE = 4.0
_LARGEST_HAT = 0.95
_SMALLEST_LEFT = 0.05
_LOCATIONS_PER_E = 20


class Seen(NamedTuple):
    """Tasks whose input size is known: sizes and peaks in bytes, run times; shape (n,) each."""

    inputs: Floats
    peaks: Floats
    hours: Floats


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


def seen(evidence: Evidence) -> Seen | None:
    """The newest tasks with known inputs; None where they are too few or too much alike."""
    history, window = evidence.history, evidence.window
    inputs = history.inputs(window)
    known = ~np.isnan(inputs)
    inputs = inputs[known]
    if len(inputs) < _FEWEST_TASKS or np.ptp(inputs) <= _LEAST_SPREAD * inputs.mean():
        return None
    return Seen(inputs, np.exp(history.log_peaks(window)[known]), history.hours(window)[known])


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


@dataclass(slots=True)
class _Fitted:
    """A line with its residuals, and the proposals made from it at locations close to each other."""

    line: Line
    residuals: Floats
    hours: Floats
    terms: Terms
    lowest: float
    highest: float
    _at_location: dict[int, Proposal] = field(default_factory=dict)

    def propose(self, location: float, x: float) -> Proposal:
        location = min(max(location, self.lowest), self.highest)
        near = round(math.log(location) * _LOCATIONS_PER_E)
        proposal = self._at_location.get(near)
        if proposal is None:
            above = tail(self.residuals, len(self.residuals), None, None)
            proposal = propose(self.residuals, self.hours, math.exp(near / _LOCATIONS_PER_E), above, self.terms)
            self._at_location[near] = proposal
        moved = location / math.exp(near / _LOCATIONS_PER_E)
        return _widened(proposal, moved, location, self.line.leverage(x))


def _widened(proposal: Proposal, moved: float, location: float, leverage: float) -> Proposal:
    """The proposal at its exact location, its margin over it multiplied by ``leverage``."""
    proposal = replace(proposal, reference_bytes=proposal.reference_bytes * moved)
    margin = math.log(proposal.request_bytes / location)
    if margin <= 0 or leverage <= 1:
        return proposal
    return replace(proposal, reference_bytes=proposal.reference_bytes * math.exp(margin * (leverage - 1)))


@dataclass(slots=True)
class PowerOfInput:
    """Peaks as a power of the input size: a line in logarithms."""

    _fitted: _Fitted | None = field(default=None, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        tasks, history = seen(evidence), evidence.history
        self._fitted = None
        if tasks is None:
            return
        x, y = np.log(tasks.inputs), np.log(tasks.peaks)
        line = _least_squares(x, y, np.ones(len(x)))
        if line is None:
            return
        residuals = (y - line.intercept - line.slope * x) / np.maximum(1 - line.hat, _SMALLEST_LEFT)
        lowest = history.smallest_bytes * math.exp(-_LOWEST)
        highest = history.largest_bytes * math.exp(_HIGHEST)
        self._fitted = _Fitted(line, residuals, tasks.hours, terms, lowest, highest)

    def propose(self, task: Task) -> Proposal | None:
        """The request for an input of this size."""
        if self._fitted is None or task.input_bytes is None or task.input_bytes <= 0:
            return None
        line, x = self._fitted.line, math.log(task.input_bytes)
        return self._fitted.propose(math.exp(min(line.intercept + line.slope * x, 80.0)), x)


@dataclass(slots=True)
class LinearInInput:
    """Peaks as a line in the input size, relative errors weighed alike."""

    _fitted: _Fitted | None = field(default=None, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        tasks, history = seen(evidence), evidence.history
        self._fitted = None
        if tasks is None:
            return
        lowest = _FLOOR * history.smallest_bytes
        line, fitted = _relative_line(tasks, lowest)
        if line is None:
            return
        left_out = np.maximum(tasks.peaks - (tasks.peaks - fitted) / np.maximum(1 - line.hat, _SMALLEST_LEFT), lowest)
        residuals = np.log(tasks.peaks / left_out)
        highest = history.largest_bytes * math.exp(_HIGHEST)
        self._fitted = _Fitted(line, residuals, tasks.hours, terms, lowest, highest)

    def propose(self, task: Task) -> Proposal | None:
        """The request for an input of this size."""
        if self._fitted is None or task.input_bytes is None or task.input_bytes <= 0:
            return None
        line = self._fitted.line
        return self._fitted.propose(line.intercept + line.slope * task.input_bytes, task.input_bytes)


def _relative_line(tasks: Seen, lowest: float) -> tuple[Line | None, Floats]:
    """A line whose errors count relative to the peak, then to the fit: least squares, weighed again once."""
    weights = 1 / tasks.peaks**2
    line = None
    fitted = tasks.peaks
    for _ in range(2):
        again = _least_squares(tasks.inputs, tasks.peaks, weights)
        if again is None:
            break
        line = again
        fitted = np.maximum(line.intercept + line.slope * tasks.inputs, lowest)
        weights = 1 / fitted**2
    return line, fitted


@dataclass(slots=True)
class Neighbours:
    """The tasks whose inputs are most like this one's, as if they were the step."""

    _tasks: Seen | None = field(default=None, init=False)
    _terms: Terms | None = field(default=None, init=False)
    _at_input: dict[float, Proposal] = field(default_factory=dict, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        tasks = seen(evidence)
        self._tasks = tasks if tasks is not None and len(tasks.inputs) >= _FEWEST_FOR_NEIGHBOURS else None
        self._terms = terms
        self._at_input.clear()

    def propose(self, task: Task) -> Proposal | None:
        """The request for an input of this size."""
        if self._tasks is None or self._terms is None or task.input_bytes is None or task.input_bytes <= 0:
            return None
        known = self._at_input.get(task.input_bytes)
        if known is None:
            known = self._near(self._tasks, task.input_bytes, self._terms)
            self._at_input[task.input_bytes] = known
        return known

    def _near(self, tasks: Seen, input_bytes: float, terms: Terms) -> Proposal:
        count = min(max(_NEIGHBOURS, int(math.sqrt(len(tasks.inputs)))), len(tasks.inputs))
        nearest = np.argsort(np.abs(np.log(tasks.inputs / input_bytes)), kind="stable")[:count]
        log_peaks = np.log(tasks.peaks[nearest])
        return propose(log_peaks, tasks.hours[nearest], 1.0, tail(log_peaks, count, None, None), terms)
