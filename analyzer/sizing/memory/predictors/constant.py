"""One request for every task of the step, from all its peaks, or from the newest few.

``covers_seen`` says whether it has to be enough for the largest of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.exceedances import tail
from stepsize.analyzer.sizing.memory.proposal import Proposal, Terms, propose

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.history import Task
    from stepsize.analyzer.sizing.memory.predictors.base import Evidence


@dataclass(slots=True)
class Constant:
    """From all peaks of the window, and from how new tasks went above old ones."""

    covers_seen: bool = False
    _fitted: Proposal | None = field(default=None, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        history, window = evidence.history, evidence.window
        log_peaks = history.log_peaks(window)
        above = tail(log_peaks, evidence.batches, evidence.siblings, evidence.own)
        stopped = evidence.stopped(window)
        self._fitted = propose(
            log_peaks, history.hours(window), 1.0, above, terms, stopped=stopped, covers_seen=self.covers_seen
        )

    def propose(self, task: Task) -> Proposal | None:  # noqa: ARG002 -- the same for every task
        """The request."""
        return self._fitted


@dataclass(slots=True)
class Recent:
    """From the newest peaks alone: a step that changed is not held to what it was."""

    newest: int = 8
    _fitted: Proposal | None = field(default=None, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        history, newest = evidence.history, self.newest
        self._fitted = None
        if min(history.count, evidence.window) <= newest:
            return
        log_peaks = history.log_peaks(newest)
        above = tail(log_peaks, newest, None, None)
        stopped = evidence.stopped(newest)
        self._fitted = propose(log_peaks, history.hours(newest), 1.0, above, terms, stopped=stopped)

    def propose(self, task: Task) -> Proposal | None:  # noqa: ARG002 -- the same for every task
        """The request, once there are more peaks than these."""
        return self._fitted
