"""What the user asked for; a repetition gets that times the number of the attempt.

What comes in: tasks. What goes out: requests in bytes. Learns nothing.

Source: nf-core's template for pipelines, ``conf/base.config`` (https://github.com/nf-core/tools): ``memory = { 6.GB *
task.attempt }``, with ``errorStrategy`` ``retry`` where a task was killed for memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.history import Finished, Task


class Requested:
    """The user's request."""

    def size(self, task: Task) -> float:
        """What the user asked for."""
        return task.requested_bytes

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:
        """The request times the number of the attempt, counted from 1."""
        return task.requested_bytes * (len(killed_bytes) + 1)

    def learn(self, finished: Finished) -> None:
        """Nothing is learned."""
