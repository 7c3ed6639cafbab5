"""stepsize's own policy in a replay.

What comes in: tasks to size, and finished ones. What goes out: requests in bytes. Where evidence arrives only between
runs, a step has one request for all tasks of a run, as ``@resources`` can carry it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.exceedances import Exceedances, Prior
from stepsize.analyzer.sizing.memory.learner import Settings, Sized, StepLearner, Workspace
from stepsize.analyzer.sizing.memory.static import static_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.backtest.sizer import StepKey
    from stepsize.analyzer.sizing.memory.history import Finished, Task


class LearnedSizer:
    """The policy with a failure price, over the steps of one file.

    ``preference`` (:class:`Settings`) and ``prior`` are for who tries other constants than the policy's.
    """

    def __init__(
        self,
        failure_price: float,
        time_to_failure: float = 1.0,
        *,
        static: bool = False,
        cold_start: bool = True,
        preference: float | None = None,
        prior: Prior = Prior(),  # noqa: B008 -- frozen
    ) -> None:
        self.by_task = not static
        settings = (static_settings if static else Settings)(failure_price, time_to_failure, cold_start=cold_start)
        if preference is not None:
            settings = replace(settings, preference=preference)
        self._workspace = Workspace(settings=settings, exceedances=Exceedances(prior))
        self._steps: dict[StepKey, StepLearner] = {}

    @property
    def failure_price(self) -> float:
        """What a failed attempt costs here, in typical tasks: more where it fails a run."""
        return self._workspace.settings.failure_price

    def size(self, step: StepKey, task: Task) -> Sized:
        """The first request for ``task``."""
        return self._learner(step).size(task)

    def retry(self, step: StepKey, request: Sized, task: Task, killed_bytes: tuple[float, ...]) -> float:  # noqa: ARG002 -- the distribution knows
        """What to allocate after attempts with ``killed_bytes`` were too small."""
        return self._learner(step).retry(request, killed_bytes[-1])

    def learn(self, step: StepKey, batch: Sequence[tuple[Sized, Finished]]) -> None:
        """Tasks that ended and are known now."""
        self._learner(step).learn(batch)

    def _learner(self, step: StepKey) -> StepLearner:
        learner = self._steps.get(step)
        if learner is None:
            learner = self._steps[step] = self._workspace.step(step[0])
        return learner
