"""Which predictor to follow: the one that would have been cheapest so far on this step.

What comes in: what each predictor asked for before a task ran, and the task's true peak. What goes out: the cheapest
one. Older tasks count less (prequential costs with discount, after Dawid, "Statistical Theory: The Prequential
Approach", J. R. Statist. Soc. A 147(2), 1984). Where a predictor had nothing to say, the first one's cost is its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.memory.proposal import Terms

_DISCOUNT = 0.975
_FEWEST_TASKS = 3
_DEAREST = 6.0
"""One task counts at most so many times what it used, and half as many failures, so that none decides alone."""


class Competition:
    """Discounted costs of a step's predictors, by their place in the list.

    The first is left for another only where that costs less than ``preference`` of it.
    """

    def __init__(self, predictors: int, preference: float) -> None:
        self._preference = preference
        self._costs = [0.0] * predictors

    def best(self, requests: Sequence[float | None], tasks: int) -> int:
        """The place of the cheapest predictor among those that ask for something; the first has to."""
        best, cost = 0, self._costs[0] * self._preference
        if tasks < _FEWEST_TASKS:
            return best
        for place, request in enumerate(requests[1:], start=1):
            if request is not None and self._costs[place] < cost:
                best, cost = place, self._costs[place]
        return best

    def learn(self, requests: Sequence[float | None], peak_bytes: float, hours: float, terms: Terms) -> None:
        """What each of these requests would have cost for a task with this peak and run time."""
        used = peak_bytes * hours
        most = _DEAREST * used + _DEAREST / 2 * terms.failure_byte_hours
        first = requests[0]
        for place, request in enumerate(requests):
            asked = first if request is None else request
            if asked is not None:
                paid = min(cost(asked, peak_bytes, hours, terms), most)
                self._costs[place] = self._costs[place] * _DISCOUNT + paid


def cost(request_bytes: float, peak_bytes: float, hours: float, terms: Terms) -> float:
    """Byte hours that a task takes with this first request, doubled until it is enough, its failures included."""
    failures = max(0, math.ceil(math.log2(peak_bytes / request_bytes) - 1e-12))
    last: float = request_bytes * 2**failures
    held = (last - request_bytes) * terms.time_to_failure + last
    return held * hours + failures * terms.failure_byte_hours
