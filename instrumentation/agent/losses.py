"""Points that an agent gave up, counted and told.

What comes in: counts. What goes out: observations of the agent itself. Never does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize import model
from stepsize.instrumentation.agent.probes.observation import Observation


@dataclass(frozen=True, slots=True)
class Losses:
    """Points that were given up, by why.

    Attributes:
        refused: the collector would never take them.
        rejected: the collector took their request, but not them.
        memory: they gave way at the bound of memory, where no disk would have them.
        spool: they gave way at the bound of the spool, of bytes or of age.
        damaged: their file could not be read any more.
    """

    refused: int = 0
    rejected: int = 0
    memory: int = 0
    spool: int = 0
    damaged: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_reason().values())

    def by_reason(self) -> dict[str, int]:
        """How many for which reason, where there are any."""
        counts = {why: getattr(self, why) for why in self.__slots__}
        return {why: count for why, count in counts.items() if count}


def observations(losses: Losses, held_points: int, spooled_points: int) -> list[Observation]:
    """What is told of points on the way: nothing as long as none was lost and none is on disk.

    Args:
        losses: those that were given up.
        held_points, spooled_points: those that wait, in memory and on disk.
    """
    lost = [(model.AGENT_POINTS_LOST, count, "stepsize.loss.reason", why) for why, count in losses.by_reason().items()]
    places = (("memory", held_points), ("spool", spooled_points)) if spooled_points else ()
    waiting = [(model.AGENT_POINTS_WAITING, count, "stepsize.waiting.place", place) for place, count in places]
    return [Observation(metric, count, ((name, text),)) for metric, count, name, text in (*lost, *waiting)]
