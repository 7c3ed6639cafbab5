"""What every predictor is, and when it fits again.

What comes in: a step's history. What goes out: proposals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.memory.exceedances import Exceedances
    from stepsize.analyzer.sizing.memory.history import History, Task
    from stepsize.analyzer.sizing.memory.proposal import Proposal, Terms

WINDOW = 600
"""Tasks that a predictor looks back: more change the answer less than a change of the step would go unnoticed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a predictor may know: the step's history, and how far new tasks went above old ones, its own and all."""

    history: History
    own: Exceedances
    siblings: Exceedances
    window: int = WINDOW


class Predictor(Protocol):
    """Proposes requests from one point of view."""

    def fit(self, evidence: Evidence, terms: Terms) -> None:
        """Take in the history as it is now."""
        ...

    def propose(self, task: Task) -> Proposal | None:
        """A request for ``task``; None where this point of view has nothing to say of it."""
        ...
