"""How long a task takes at n cores, and for how long of that it has fewer than it could use.

What comes in: levels of use. What goes out: :class:`RunTime` values, which answer for any number of cores, in multiples
of the run time as it was measured. Pure.

Work that used more than n cores is spread over n: a second at eight cores becomes four at two. Waiting and the order of
the work are not modelled, so that the time at fewer cores errs to the long side.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from stepsize.analyzer.sizing.rounding import BUCKET_WIDTH, CORE_SLACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepsize.analyzer.sizing.cpu.use import Level

EXACT_SLACK = 1.02
"""A mean of CPU time so many times the cores is not worth one more: threads that write logs take a little too."""


class RunTime(Protocol):
    """Multiples of the run time that was measured. Neither rises with the number of cores."""

    @property
    def most(self) -> int:
        """Whole cores beyond which nothing is known to become faster; at least one."""
        ...

    def stretch(self, cores: float) -> float:
        """How many times as long as measured a task takes; below one where it would be faster."""
        ...

    def held_back(self, cores: float) -> float:
        """For how much of that it has fewer cores than it could use."""
        ...


@dataclass(frozen=True, slots=True)
class Profile:
    """How long how much was used, summed up so that an answer for n cores takes one look.

    Attributes:
        cores: the levels, in ascending order.
        seconds_below: for each level, and for what is above all of them, the seconds at lower ones.
        work_above: as many, the core seconds at that level and above.
        measured_s: the run time that was measured, which is longer than the sum where a quota held the task back.
    """

    cores: tuple[float, ...]
    seconds_below: tuple[float, ...]
    work_above: tuple[float, ...]
    measured_s: float

    @classmethod
    def of(cls, levels: Sequence[Level], measured_s: float | None = None) -> Profile:
        """From levels in ascending order; ``measured_s`` where it is not the sum of their seconds."""
        seconds = tuple(accumulate((level.seconds for level in levels), initial=0.0))
        work = tuple(accumulate((level.cores * level.seconds for level in reversed(levels)), initial=0.0))
        total_s = seconds[-1] if measured_s is None else measured_s
        return cls(tuple(level.cores for level in levels), seconds, work[::-1], total_s)

    def waiting(self, cores: float, enough_for: float) -> float:
        """Run time above ``enough_for``, spread over ``cores``."""
        return self.work_above[bisect_right(self.cores, enough_for)] / cores / self.measured_s

    def stretch(self, cores: float, enough_for: float) -> float:
        """All run time, what is above ``enough_for`` being spread over ``cores``."""
        return self.seconds_below[bisect_right(self.cores, enough_for)] / self.measured_s + self.waiting(
            cores, enough_for
        )


@dataclass(frozen=True, slots=True)
class ByUse:
    """The run time by what was used: by samples and by CPU time, whichever of the two says more; None where none is."""

    sampled: Profile | None
    timed: Profile | None

    @property
    def most(self) -> int:
        """Whole cores that every level fits in."""
        highest = max((profile.cores[-1] for profile in (self.sampled, self.timed) if profile), default=1.0)
        return max(1, math.ceil(highest - 1e-9))

    def stretch(self, cores: float) -> float:
        """As the protocol says."""
        return max((profile.stretch(cores, enough) for profile, enough in self._seen(cores)), default=1.0)

    def held_back(self, cores: float) -> float:
        """As the protocol says."""
        return max((profile.waiting(cores, enough) for profile, enough in self._seen(cores)), default=0.0)

    def _seen(self, cores: float) -> Iterator[tuple[Profile, float]]:
        if self.sampled:
            yield self.sampled, min((cores + CORE_SLACK * min(1.0, cores)) * BUCKET_WIDTH, _one_more(cores))
        if self.timed:
            yield self.timed, min(cores * EXACT_SLACK, _one_more(cores))


def _one_more(cores: float) -> float:
    """Just below the next whole number of cores: measuring may add a fraction of a core, never a whole one."""
    return math.floor(cores + 1) - 1e-9
