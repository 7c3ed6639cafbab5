"""Witt's percentile predictor: the 95th percentile of all peaks, doubled after a failure.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: Witt, Wagner, Leser, "Feedback-based resource allocation for batch scheduling of scientific workflows", HPCS
2019, the percentile predictor; as in ``baselines/witt_feedback_based.py`` of dos-group/sizey at ae61efb (interpolated
linearly; ``handle_underprediction`` doubles).
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_FRACTION = 0.95


class WittPercentile:
    """The predictor at work on one step."""

    def __init__(self) -> None:
        self._sorted: list[float] = []

    def size(self, task: Task) -> float:
        """The 95th percentile."""
        if not self._sorted:
            return task.requested_bytes
        place = _FRACTION * (len(self._sorted) - 1)
        below = int(place)
        low, high = self._sorted[below], self._sorted[min(below + 1, len(self._sorted) - 1)]
        return low + (place - below) * (high - low)

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- doubled whatever it was
        """Twice what failed."""
        return killed_bytes[-1] * 2

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        insort(self._sorted, finished.peak_bytes)
