"""The largest peak seen, with a margin: over all tasks of a step, or over its last ones.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: the rule of thumb behind most right-sizing tools; the fifth on top and the last five are resource-tracker's
(``recommend_resources`` of resource-tracker 0.5.0, whose own form, by runs, is in ``resource_tracker.py``). None says
what a repetition gets: the double, as with the rules of Witt.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_MARGIN = 1.2


class LargestOfAll:
    """A fifth more than the largest peak of all tasks."""

    def __init__(self) -> None:
        self._largest_bytes = 0.0

    def size(self, task: Task) -> float:
        """The largest peak so far with a fifth on top."""
        return self._largest_bytes * _MARGIN or task.requested_bytes

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- doubled whatever it was
        """Twice what failed."""
        return killed_bytes[-1] * 2

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        self._largest_bytes = max(self._largest_bytes, finished.peak_bytes)


class LargestOfLast:
    """A fifth more than the largest peak of the last five tasks."""

    def __init__(self) -> None:
        self._peaks: deque[float] = deque(maxlen=5)

    def size(self, task: Task) -> float:
        """The largest of the last five peaks with a fifth on top."""
        return max(self._peaks) * _MARGIN if self._peaks else task.requested_bytes

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- doubled whatever it was
        """Twice what failed."""
        return killed_bytes[-1] * 2

    def learn(self, finished: Finished) -> None:
        """A task that ended."""
        self._peaks.append(finished.peak_bytes)
