"""Witt's low-wastage regression: the line over the input size that would have wasted least, doubled after failures.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: Witt, van Santen, Leser, "Learning low-wastage memory allocations for scientific workflows at IceCube", HPCS
2019, and ``src/low_wastage_regression.py`` of carlwitt/low-wastage-regression at 6b8b021: the wastage of an attempt
sequence that doubles (``Wastage.exponential``; time to failure 1), ten lines on shares of 0.7 of the tasks whose
answers are averaged, quantiles 1 - a^2 as first intercepts, a level line where the inputs vary by less than 5 % of
their mean, no allocation below 1 % of the peaks' range.

Differs from it: the line is the best of a grid (slopes of several kinds, times the quantiles of what they leave),
refined once around the best, where the original starts COBYLA at seven lines: the same cost, found without scipy.
It counts bytes, where the original doubles what it has scaled to [0, 1]. The newest 400 tasks count, and lines are
sought when there are 5 % more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.backtest.baselines.samples import Refit, Samples, input_of

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_NEWEST = 400
_SHARES, _SHARE = 10, 0.7
_LEAST_VARIATION = 0.05
_LEAST_RANGE_BYTES = 1.0
_LEAST_OF_RANGE = 0.01
_QUANTILES: Floats = 1 - np.linspace(0.0, 0.7, 15) ** 2
_PAIRED_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_NEARBY = (0.8, 0.9, 0.95, 1.05, 1.1, 1.25)


def wasted(allocations: Floats, peaks: Floats) -> Floats:
    """What a sequence of attempts wastes that begins with ``allocations`` and doubles: failed ones in full, of the last
    what it had beyond the peak. Units of the peaks, times the run time."""
    failures = np.maximum(np.ceil(np.log2(peaks / allocations)), 0.0)
    last = allocations * 2.0**failures
    return last - allocations + last - peaks


def low_wastage_line(inputs: Floats, peaks: Floats, hours: Floats) -> tuple[float, float]:
    """Slope and intercept of the line that wastes least, the average over ten shares of the tasks.

    The three arrays are of one length, one at least.
    """
    shares = _shares(len(peaks)) * hours[:, None]
    smallest = _smallest(peaks)
    slopes = _slopes(inputs, peaks)
    lines = _lines(slopes, inputs, peaks)
    costs = _costs(lines, inputs, peaks, smallest)
    best_slope = lines[int(np.argmin((costs * hours).sum(axis=1))), 0]
    nearby = _lines(best_slope * np.array(_NEARBY), inputs, peaks) if best_slope else lines[:0]
    lines = np.concatenate((lines, nearby))
    costs = np.concatenate((costs, _costs(nearby, inputs, peaks, smallest)))
    # Not a product of matrices: for one so small BLAS wakes threads that only wait for each other.
    of_shares = np.einsum("lt,ts->ls", costs, shares)
    slope, intercept = lines[np.argmin(of_shares, axis=0)].mean(axis=0)
    return float(slope), float(intercept)


def _shares(count: int) -> Floats:
    """Which tasks each share holds: a row a task, a column a share. The same whenever it is asked for."""
    random = np.random.default_rng(count)
    ranks = np.argsort(random.random((count, _SHARES)), axis=0)
    held: Floats = (ranks < max(1, round(_SHARE * count))).astype(np.float64)
    return held


def _smallest(peaks: Floats) -> float:
    return float(peaks.min() + _LEAST_OF_RANGE * np.ptp(peaks))


def _slopes(inputs: Floats, peaks: Floats) -> Floats:
    """Level; least squares; the quotient of interquartile ranges; quantiles of slopes between tasks far apart."""
    if np.ptp(inputs) <= max(_LEAST_VARIATION * inputs.mean(), _LEAST_RANGE_BYTES):
        return np.zeros(1)
    centred = inputs - inputs.mean()
    slopes = [0.0, float(centred @ peaks / (centred @ centred))]
    low, high = np.quantile(inputs, (0.25, 0.75))
    if high > low:
        slopes.append(float(np.subtract(*np.quantile(peaks, (0.75, 0.25))) / (high - low)))
    order = np.argsort(inputs, kind="stable")
    half = len(order) // 2
    rise = inputs[order[half:]] - inputs[order[: len(order) - half]]
    apart = rise >= _LEAST_RANGE_BYTES
    between = (peaks[order[half:]] - peaks[order[: len(order) - half]])[apart] / rise[apart]
    slopes.extend(np.quantile(between, _PAIRED_QUANTILES) if between.size else ())
    return np.array(slopes)


def _lines(slopes: Floats, inputs: Floats, peaks: Floats) -> Floats:
    """Rows of slope and intercept: each slope with the quantiles of what it leaves."""
    left = peaks[None, :] - slopes[:, None] * inputs[None, :]
    intercepts = np.quantile(left, _QUANTILES, axis=1).T
    return np.column_stack((np.repeat(slopes, len(_QUANTILES)), intercepts.ravel()))


def _costs(lines: Floats, inputs: Floats, peaks: Floats, smallest: float) -> Floats:
    allocations = np.maximum(lines[:, :1] * inputs[None, :] + lines[:, 1:], smallest)
    return wasted(allocations, peaks)


class WittLowWastage:
    """The regression at work on one step."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._refit = Refit()
        self._line: tuple[float, float] | None = None
        self._smallest_bytes = 0.0

    def size(self, task: Task) -> float:
        """The line at the task's input size."""
        if self._line is None:
            return task.requested_bytes
        slope, intercept = self._line
        return max(slope * input_of(task) + intercept, self._smallest_bytes)

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- doubled whatever it was
        """Twice what failed."""
        return killed_bytes[-1] * 2

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        self._samples.add(finished)
        if not self._refit.due(self._samples.count):
            return
        inputs, peaks, hours = (
            column(_NEWEST) for column in (self._samples.inputs, self._samples.peaks, self._samples.hours)
        )
        self._line = low_wastage_line(inputs, peaks, hours)
        self._smallest_bytes = _smallest(peaks)
