"""resource-tracker's memory rule: a fifth more than the largest peak of the last five runs, rounded to its steps.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: ``recommend_resources`` and ``round_memory`` of resource-tracker 0.5.0
(https://sparecores.github.io/resource-tracker/): a buffer of 1.2; 128, 256, 512, 1024, 2048 MiB, above that whole GiB;
its card of a Metaflow step reads the five runs before. Differs from it: every task of a run counts, not the first of a
foreach; not the slip of units by which its release answers 128 MiB. Where runs are not known, each task is a run. What
a repetition gets it does not say: the double.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.resource_tracker import round_memory_mib
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_BUFFER = 1.2
_RUNS = 5


class ResourceTracker:
    """The last five runs' largest peak with a fifth on top; ``rounded`` up to the tool's steps or exact."""

    def __init__(self, *, rounded: bool = True) -> None:
        self._rounded = rounded
        self._largest_of_run: dict[str, float] = {}
        self._unnamed = 0

    def size(self, task: Task) -> float:
        """The largest peak of the last five runs with a fifth on top."""
        if not self._largest_of_run:
            return task.requested_bytes
        exact = max(self._largest_of_run.values()) * _BUFFER
        return float(round_memory_mib(exact / MIB) * MIB) if self._rounded else exact

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- doubled whatever it was
        """Twice what failed."""
        return killed_bytes[-1] * 2

    def learn(self, finished: Finished) -> None:
        """A task that ended. The oldest of more than five runs is forgotten."""
        run = self._name_of(finished.task)
        self._largest_of_run[run] = max(self._largest_of_run.get(run, 0.0), finished.peak_bytes)
        if len(self._largest_of_run) > _RUNS:
            del self._largest_of_run[next(iter(self._largest_of_run))]

    def _name_of(self, task: Task) -> str:
        if task.run is not None:
            return f"run {task.run}"
        self._unnamed += 1
        return f"task {self._unnamed}"
