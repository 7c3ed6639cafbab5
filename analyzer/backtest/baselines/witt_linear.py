"""Witt's linear predictor: a line over the input size, raised by the standard deviation of what it leaves.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: Witt, Wagner, Leser, "Feedback-based resource allocation for batch scheduling of scientific workflows", HPCS
2019, "LR mean +- std", whose code is not public; as two groups that compare with it wrote it. The offset is that of
``prediction/offset/StandardDeviationOffset.java`` over ``predictor/LinearPredictorSquaredLoss.java`` in
CommonWorkflowScheduler/KubernetesScheduler at f8d862e: the standard deviation of the errors that today's line makes on
the tasks known, added. Doubling, and the largest peak where the line is below zero, are those of
``baselines/witt_feedback_based.py`` in dos-group/sizey at ae61efb. That file takes the errors at the time of each
prediction, relative to the peak, and raises by their share: far more is allocated then (a small peak makes a large
error), so it is not what stands here. A task without an input size has one of 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepsize.analyzer.backtest.baselines.running_line import RunningLine
from stepsize.analyzer.backtest.baselines.samples import input_of

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.history import Finished, Task


class WittLinear:
    """The predictor at work on one step."""

    def __init__(self) -> None:
        self._line = RunningLine()
        self._largest_bytes = 0.0

    def size(self, task: Task) -> float:
        """The line at the task's input size, raised."""
        if not self._line.count:
            return task.requested_bytes
        raised = self._line.at(input_of(task)) + math.sqrt(self._line.variance_left)
        return raised if raised > 0 else self._largest_bytes

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- doubled whatever it was
        """Twice what failed."""
        return killed_bytes[-1] * 2

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        self._line.add(input_of(finished.task), finished.peak_bytes)
        self._largest_bytes = max(self._largest_bytes, finished.peak_bytes)
