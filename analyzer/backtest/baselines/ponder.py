"""Ponder: a line over the input size that mostly lies above, with an offset by the spread nearby; or the largest peak.

What comes in: tasks, and finished ones. What goes out: requests in bytes. Where it predicts nothing, the user's
request, which it never exceeds where it is known.

Source: Lehmann, Bader, De Mecquenem, Wang, Bountris, Friederici, Leser, Thamsen, "Ponder: online prediction of task
memory requirements for scientific workflows", e-Science 2024 (arXiv 2408.00047), and its code,
CommonWorkflowScheduler/KubernetesScheduler at f8d862e, ``prediction/``: ``predictor/PonderPredictor.java`` (five first
tasks by rule, r above 0.3, 128 MiB and twice the standard deviation as offset, largest and smallest peak as bounds),
``predictor/LinearPredictorCustomLoss.java`` (errors above the peak weigh 0.02), ``offset/WeightedVarianceOffset.java``
(the variance weighted by nearness), ``MemoryScaler.java`` (whole MiB, at most the user's request, none of it for
repetitions).

Differs from it: the line is found by reweighted least squares, whose fixed point is the minimum that the original looks
for with Nelder and Mead, and is sought when there are 5 % more tasks. A repetition gets the user's request; where that
failed, the double.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.backtest.baselines.running_line import RunningLine
from stepsize.analyzer.backtest.baselines.samples import Refit, Samples, input_of
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_FIRST_TASKS = 5
_LEAST_CORRELATION = 0.3
_WEIGHT_ABOVE = 0.02
_OFFSET_BYTES = 128.0 * MIB
_DEVIATIONS = 2.0
_MOST_ROUNDS = 50


def lopsided_line(inputs: Floats, peaks: Floats) -> tuple[float, float]:
    """Slope and intercept that minimise the squared errors, those of predictions above the peak weighing 0.02.

    The inputs vary. The cost is convex; a round that changes no side has found its minimum.
    """
    under = np.ones(len(peaks), dtype=bool)
    slope = intercept = 0.0
    for _ in range(_MOST_ROUNDS):
        weights = np.where(under, 1.0, _WEIGHT_ABOVE)
        x_mean, y_mean = np.average(inputs, weights=weights), np.average(peaks, weights=weights)
        centred = inputs - x_mean
        slope = float((weights * centred) @ (peaks - y_mean) / ((weights * centred) @ centred))
        intercept = float(y_mean - slope * x_mean)
        sides = peaks > slope * inputs + intercept
        if np.array_equal(sides, under):
            break
        under = sides
    return slope, intercept


def nearby_variance(errors: Floats, inputs: Floats, at: float) -> float:
    """The variance of ``errors``, each weighted by how near its input lies to ``at`` (the farthest counts nothing)."""
    distances = np.abs(inputs - at)
    farthest = distances.max()
    weights = np.ones(len(errors))
    if farthest > 0:
        weights = 1 - distances / farthest + max(1 - len(errors) / 10, 0.0) / 100
    total = weights.sum()
    reliability = total - weights @ weights / total
    if reliability <= 0:
        return 0.0
    centred = errors - weights @ errors / total
    return float(weights @ (centred * centred) / reliability)


class Ponder:
    """The predictor at work on one step."""

    def __init__(self) -> None:
        self._samples = Samples()
        self._refit = Refit()
        self._regression = RunningLine()
        self._line = (0.0, 0.0)
        self._smallest_bytes = math.inf
        self._largest_input = 0.0

    def size(self, task: Task) -> float:
        """What is predicted, in whole MiB, or the user's request where that is less."""
        predicted = self._predicted(input_of(task))
        if predicted is None:
            return task.requested_bytes
        allowed = min(predicted, task.requested_bytes) if task.request_known else predicted
        return math.ceil(allowed / MIB) * float(MIB)

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:
        """The user's request; twice what failed where that was not less."""
        return task.requested_bytes if killed_bytes[-1] < task.requested_bytes else killed_bytes[-1] * 2

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        self._samples.add(finished)
        at = input_of(finished.task)
        self._regression.add(at, finished.peak_bytes)
        self._smallest_bytes = min(self._smallest_bytes, finished.peak_bytes)
        self._largest_input = max(self._largest_input, at)
        enough = self._samples.count >= _FIRST_TASKS and self._correlated
        if enough and self._refit.due(self._samples.count):
            self._line = lopsided_line(self._samples.inputs(), self._samples.peaks())

    @property
    def _correlated(self) -> bool:
        correlation = self._regression.correlation
        return correlation is not None and correlation > _LEAST_CORRELATION

    def _predicted(self, at: float) -> float | None:
        largest = self._samples.largest_bytes
        if self._samples.count < _FIRST_TASKS:
            return largest + _OFFSET_BYTES if (self._samples.inputs() > at).any() else None
        if not self._correlated:
            return largest + _OFFSET_BYTES
        slope, intercept = self._line
        within = self._bounded(slope * at + intercept, at)
        inputs = self._samples.inputs()
        errors = self._samples.peaks() - (slope * inputs + intercept)
        return within + max(_OFFSET_BYTES, _DEVIATIONS * math.sqrt(nearby_variance(errors, inputs, at)))

    def _bounded(self, predicted: float, at: float) -> float:
        """Not below the smallest peak; the largest where a smaller input would need more, or the largest input less."""
        largest = self._samples.largest_bytes
        if predicted < self._smallest_bytes:
            return self._smallest_bytes
        beyond = predicted > largest if at < self._largest_input else predicted < largest
        return largest if beyond else predicted
