"""What every predictor is given, and what it is.

What comes in: a step's history. What goes out: proposals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stepsize.analyzer.sizing.memory.inputs import Seen, seen
from stepsize.analyzer.sizing.memory.stopped import NONE

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.arrays import Floats
    from stepsize.analyzer.sizing.memory.exceedances import Exceedances
    from stepsize.analyzer.sizing.memory.history import History, Task
    from stepsize.analyzer.sizing.memory.proposal import Proposal, Terms

WINDOW = 600
"""Tasks that a predictor looks back: more change the answer less than a change of the step would go unnoticed."""


@dataclass(frozen=True)
class Evidence:
    """What a predictor may know: the step's history, and how far new tasks went above old ones, its own and all.

    ``window``: how many tasks to look back; ``batches``: in how many batches of evidence they came, at most. It has no
    slots so that what is found once is kept.
    """

    history: History
    own: Exceedances
    siblings: Exceedances
    window: int = WINDOW
    batches: int = WINDOW

    @cached_property
    def inputs(self) -> Seen | None:
        """What was said of the tasks in a number that their peaks may follow."""
        return seen(self.history, self.window)

    def stopped(self, newest: int) -> Floats:
        """Logarithms of what those had reached in bytes that never ended well, no older than the newest tasks."""
        if not self.history.stopped:
            return NONE
        reached = [math.log(stopped.at_least_bytes) for stopped in self.history.stopped_among(newest)]
        return np.array(reached, np.float64)


class Predictor(Protocol):
    """Proposes requests from one point of view."""

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        ...

    def propose(self, task: Task) -> Proposal | None:
        """A request for ``task``; None where this point of view has nothing to say of it."""
        ...
