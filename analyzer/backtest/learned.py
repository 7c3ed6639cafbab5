"""stepsize's own policy in a replay.

What comes in: tasks to size, and finished ones. What goes out: requests in bytes. Where evidence arrives only between
runs, a step has one request for all tasks of a run, as ``@resources`` can carry it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.learner import Settings, Sized, StepLearner, Workspace, static_predictors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.backtest.sizer import StepKey
    from stepsize.analyzer.sizing.memory.history import Finished, Task

PRESETS = {"cheap": 0.5, "balanced": 4.0, "safe": 16.0}
"""What one failed attempt costs, in tasks of the flow."""
_EVERY_TASK = 100_000


class LearnedSizer:
    """The policy with a failure price, over the steps of one file."""

    def __init__(
        self, failure_price: float, time_to_failure: float = 1.0, *, static: bool = False, cold_start: bool = True
    ) -> None:
        settings = Settings(failure_price, time_to_failure, cold_start)
        if static:
            settings = replace(settings, predictors=static_predictors, preference=0.85, window=_EVERY_TASK)
        self._workspace = Workspace(settings=settings)
        self._steps: dict[StepKey, StepLearner] = {}

    def size(self, step: StepKey, task: Task) -> Sized:
        """The first request for ``task``."""
        return self._learner(step).size(task)

    def retry(self, step: StepKey, request: Sized, failed_bytes: float, failures: int) -> float:  # noqa: ARG002 -- the distribution knows
        """What to allocate after an attempt with ``failed_bytes``."""
        return self._learner(step).retry(request, failed_bytes)

    def learn(self, step: StepKey, batch: Sequence[tuple[Sized, Finished]]) -> None:
        """Tasks that ended and are known now."""
        self._learner(step).learn(batch)

    def _learner(self, step: StepKey) -> StepLearner:
        learner = self._steps.get(step)
        if learner is None:
            learner = self._steps[step] = self._workspace.step(step[0])
        return learner
