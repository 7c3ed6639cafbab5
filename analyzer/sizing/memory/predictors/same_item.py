"""What the last task with this foreach item needed, and how much the needs of an item change from task to task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from stepsize.analyzer.sizing.memory.exceedances import tail
from stepsize.analyzer.sizing.memory.proposal import Proposal, Terms, propose

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.history import History, Task
    from stepsize.analyzer.sizing.memory.predictors.base import Evidence

_FEWEST_CHANGES = 2


@dataclass(slots=True)
class SameItem:
    """From the item's last peak, or what it has reached without ending well since; once two items were seen again."""

    _history: History | None = field(default=None, init=False)
    _changes: Floats | None = field(default=None, init=False)
    _hours: Floats | None = field(default=None, init=False)
    _terms: Terms | None = field(default=None, init=False)

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        self._history, self._terms = evidence.history, terms
        changes = evidence.history.log_changes(evidence.window)
        known = ~np.isnan(changes)
        self._changes = changes[known] if known.sum() >= _FEWEST_CHANGES else None
        self._hours = evidence.history.hours(evidence.window)[known]

    def propose(self, task: Task) -> Proposal | None:
        """The request for this item."""
        if self._history is None or self._changes is None or self._hours is None or self._terms is None:
            return None
        last = None if task.item is None else self._history.last_of_item(task.item)
        if last is None:
            return None
        peak, reached = last
        above = tail(self._changes, len(self._changes), None, None)
        proposal = propose(self._changes, self._hours, peak, above, self._terms)
        return replace(proposal, reference_bytes=proposal.reference_bytes * (reached / peak))
