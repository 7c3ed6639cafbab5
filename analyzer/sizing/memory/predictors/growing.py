"""One request for every task of the step, for so many runs to come; where the step grows, from its peaks as they would
be then.

Each peak seen is as far from where the run that is sized for is expected as it was from where its own run had been
expected (:mod:`~stepsize.analyzer.sizing.memory.trend`). Those are sized as peaks of a step that does not grow. A step
of which that cannot be said is sized by :class:`~.constant.Constant`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.exceedances import tail
from stepsize.analyzer.sizing.memory.predictors.constant import Constant
from stepsize.analyzer.sizing.memory.proposal import Growth, propose
from stepsize.analyzer.sizing.memory.trend import Trend

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import History, Task
    from stepsize.analyzer.sizing.memory.predictors.base import Evidence
    from stepsize.analyzer.sizing.memory.proposal import Proposal, Terms
    from stepsize.analyzer.sizing.memory.trend import Forecast

_FEWEST_RUNS_TO_LOOK_FURTHER = 6
_FURTHEST_SHARE = 1 / 2
"""Of the runs that growth was seen in, the share that one may look ahead."""
_MOST = math.e
"""No request is above so many times the largest peak, as none is of a step that does not grow."""


@dataclass(slots=True)
class Growing:
    """It is enough for the next run and for those up to ``ahead``, as far as so many runs let one look."""

    ahead: int = 1
    _steady: Constant = field(default_factory=lambda: Constant(covers_seen=True), init=False)
    _trend: Trend = field(default_factory=Trend, init=False)
    _grown: Proposal | None = field(default=None, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        self._trend.take(evidence.history.log_highs, evidence.history.changes)
        self._grown = self._sized(evidence, terms) if self._trend.grows else None
        if self._grown is None:
            self._steady.fit(evidence, terms)

    def propose(self, task: Task) -> Proposal | None:
        """The request."""
        return self._grown or self._steady.propose(task)

    def _sized(self, evidence: Evidence, terms: Terms) -> Proposal:
        runs = self._trend.runs
        furthest = int(runs * _FURTHEST_SHARE) if runs >= _FEWEST_RUNS_TO_LOOK_FURTHER else 1
        soon = self._trend.forecast(1)
        later = soon if min(self.ahead, furthest) == 1 else self._trend.forecast(min(self.ahead, furthest))
        log_peaks, hours, starts = _as_in(soon, evidence.history)
        next_run = _sized(log_peaks, hours, len(starts), soon, evidence, terms)
        last = next_run
        if later is not soon:
            last = _sized(*_as_in(later, evidence.history)[:2], len(starts), later, evidence, terms)
        largest = math.exp(float(evidence.history.log_peaks(evidence.window).max()))
        asked = max(largest, next_run.request_bytes, last.request_bytes)
        growth = Growth(
            log_peaks=log_peaks,
            starts=starts,
            per_run_bytes=soon.per_run_bytes,
            next_bytes=math.exp(soon.log_bytes),
            ahead=later.ahead,
            last_bytes=math.exp(later.log_bytes),
            last=last,
        )
        return replace(next_run, asked_bytes=min(asked, _MOST * largest), growth=growth)


def _as_in(forecast: Forecast, history: History) -> tuple[Floats, Floats, tuple[int, ...]]:
    """The log peaks of the runs that were compared with what had been expected of them, as they would be in the run
    that is expected now; their run times, and where each run begins among them."""
    compared = len(forecast.past_log_bytes)
    tasks = history.tasks_in(compared)
    starts = history.starts(compared)
    expected = np.repeat(forecast.past_log_bytes, np.diff([*starts, tasks]))
    return history.log_peaks(tasks) - expected + forecast.log_bytes, history.hours(tasks), starts


def _sized(
    log_peaks: Floats, hours: Floats, runs: int, forecast: Forecast, evidence: Evidence, terms: Terms
) -> Proposal:
    """The request for the run that is forecast. ``runs``: in how many it was seen how regularly the step grows."""
    stopped = evidence.stopped(evidence.window)
    ratios = log_peaks - forecast.log_bytes
    return propose(
        ratios,
        hours,
        math.exp(forecast.log_bytes),
        tail(ratios, runs, None, None),
        terms,
        stopped=stopped - forecast.log_bytes,
        covers_seen=True,
    )
