"""Robusta's KRR, strategy "simple": the largest peak of two weeks, and 15 % on top.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: robusta-dev/krr at d6baa74 (2026-07), ``robusta_krr/strategies/simple.py``: ``memory_buffer_percentage`` 15,
``oom_memory_buffer_percentage`` 25 over the largest limit at which a pod was killed; ``core/abstract/strategies.py``:
336 hours of history; ``core/runner.py``: at least 100 MiB. Its use of OOM kills is an option there, off unless asked
for; it is on here, since KRR has no other answer to a failure. Differs from it: it asks for 100 points of 75 s before
it recommends, here one task is enough; where two weeks hold no task, the last recommendation stays.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from stepsize.sizes import MIB

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_BUFFER, _OOM_BUFFER = 1.15, 1.25
_HISTORY_S = 336 * 3600.0
_SMALLEST_BYTES = 100.0 * MIB


class Krr:
    """The strategy at work on one step. Tasks whose time is not known are never too old."""

    def __init__(self) -> None:
        self._falling: deque[tuple[float | None, float]] = deque()
        self._needed_bytes = 0.0

    def size(self, task: Task) -> float:
        """The largest of the last two weeks with its buffer."""
        self._forget(task.submitted_at_s)
        return max(self._needed_bytes, _SMALLEST_BYTES) if self._needed_bytes else task.requested_bytes

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- each kill is buffered alike
        """A quarter more than the limit at which it was killed."""
        return killed_bytes[-1] * _OOM_BUFFER

    def learn(self, finished: Finished) -> None:
        """A task that ended, and its kills."""
        needed = [finished.peak_bytes * _BUFFER, *(killed * _OOM_BUFFER for killed in finished.killed_bytes)]
        self._remember(finished.task.submitted_at_s, max(needed))

    def _remember(self, at_s: float | None, needed_bytes: float) -> None:
        while self._falling and self._falling[-1][1] <= needed_bytes:
            self._falling.pop()
        self._falling.append((at_s, needed_bytes))
        self._needed_bytes = self._falling[0][1]

    def _forget(self, now_s: float | None) -> None:
        """Drops what is too old; the newest stays, so that the last recommendation does."""
        while now_s is not None and len(self._falling) > 1 and _older(self._falling[0][0], now_s - _HISTORY_S):
            self._falling.popleft()
            self._needed_bytes = self._falling[0][1]


def _older(at_s: float | None, than_s: float) -> bool:
    return at_s is not None and at_s < than_s
