"""Google's Autopilot, the moving-window recommender: the 98th percentile of a load that fades with age, and a margin.

What comes in: tasks, and finished ones. What goes out: requests in bytes. While nothing is known, the user's request.

Source: Rzadca and others, "Autopilot: workload autoscaling at Google", EuroSys 2020, section 3.2.2: memory's half-life
is 48 hours (equation 1); a job of low tolerance to OOMs, the default of most large ones, gets the 98th percentile of
its load-adjusted histogram, in which a sample weighs as much as it is large (equation 3); 10 to 15 % are added, less
where the limit is large (10 % here); the highest recommendation of the last hour counts. Differs from it: a task is one
sample, where Autopilot takes a peak every five minutes, of which the records know nothing; its buckets are not
published, those of Kubernetes' recommender are used, and so is that recommender's answer to an OOM.
Left out: the recommender that learns (section 3.2.3), whose weights are not published.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from stepsize.analyzer.backtest.baselines.decaying_histogram import DecayingHistogram
from stepsize.analyzer.backtest.baselines.kubernetes_vpa import ooms_of

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.history import Finished, Task

_HALF_LIFE_S = 48 * 3600.0
_FRACTION = 0.98
_MARGIN = 1.10
_HOUR_S = 3600.0


class Autopilot:
    """The recommender at work on one step."""

    def __init__(self) -> None:
        self._peaks = DecayingHistogram(_HALF_LIFE_S)
        self._falling: deque[tuple[float, float]] = deque()
        """Recommendations of the last hour that no later one was as high as, the highest first."""

    def size(self, task: Task) -> float:
        """The highest recommendation of the last hour, this one included."""
        if self._peaks.empty:
            return task.requested_bytes
        now = self._peaks.percentile_of_load(_FRACTION) * _MARGIN
        if task.submitted_at_s is None:
            return now
        falling = self._falling
        at_s = max(task.submitted_at_s, falling[-1][0]) if falling else task.submitted_at_s
        while falling and falling[-1][1] <= now:
            falling.pop()
        falling.append((at_s, now))
        while falling[0][0] < at_s - _HOUR_S:
            falling.popleft()
        return falling[0][1]

    def retry(self, task: Task, killed_bytes: tuple[float, ...]) -> float:
        """The size that the OOM is recorded with, or the recommendation with the task's OOMs if that is more."""
        ooms = ooms_of(task, killed_bytes)
        return max(ooms[-1][0], self._peaks.with_samples(ooms).percentile_of_load(_FRACTION) * _MARGIN)

    def learn(self, finished: Finished) -> None:
        """A task that ended, and its failed attempts."""
        for oom in ooms_of(finished.task, finished.killed_bytes):
            self._peaks.add(*oom)
        self._peaks.add(finished.peak_bytes, finished.task.submitted_at_s)
