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
        history = evidence.history
        log_peaks = history.log_peaks(evidence.window)
        above = tail(log_peaks, history.batches, evidence.siblings, evidence.own)
        hours = history.hours(evidence.window)
        self._fitted = propose(log_peaks, hours, 1.0, above, terms, covers_seen=self.covers_seen)

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
        history = evidence.history
        if history.count <= self.newest:
            return
        log_peaks = history.log_peaks(self.newest)
        above = tail(log_peaks, self.newest, None, None)
        self._fitted = propose(log_peaks, history.hours(self.newest), 1.0, above, terms)

    def propose(self, task: Task) -> Proposal | None:  # noqa: ARG002 -- the same for every task
        """The request, once there are more peaks than these."""
        return self._fitted


@dataclass(slots=True)
class RecentRuns:
    """From the newest runs alone, where evidence arrives a run at a time."""

    newest: int = 5
    covers_seen: bool = False
    _fitted: Proposal | None = field(default=None, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        history = evidence.history
        if history.batches <= self.newest:
            return
        count = history.tasks_in(self.newest)
        log_peaks = history.log_peaks(count)
        above = tail(log_peaks, self.newest, evidence.siblings, None)
        self._fitted = propose(log_peaks, history.hours(count), 1.0, above, terms, covers_seen=self.covers_seen)

    def propose(self, task: Task) -> Proposal | None:  # noqa: ARG002 -- the same for every task
        """The request, once there are more runs than these."""
        return self._fitted
