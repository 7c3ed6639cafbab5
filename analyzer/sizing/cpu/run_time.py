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

EXACT_SLACK = 1.01
"""A mean of CPU time so many times the cores is not worth one more: threads that write logs take a little too."""

ODD_SHARE = 0.01
"""Of the run time, so much may lie in tasks whose mean does not fit in: clocks are odd now and then."""
MISSED = 1.05
"""Where CPU time shows so many times what samples do, samples missed a part of it."""


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
        below_s = self.seconds_below[bisect_right(self.cores, enough_for)]
        return below_s / self.measured_s + self.waiting(cores, enough_for)


@dataclass(frozen=True, slots=True)
class ByUse:
    """The run time by what was used.

    Attributes:
        sampled: use by samples; None where there are none.
        timed: use by CPU time; None where there is none, or samples saw all of it.
        busiest: the mean by CPU time that nearly no task is above: what is above a number of cores that it fits in is
            what sampling may add; 0 where it is not known.
    """

    sampled: Profile | None
    timed: Profile | None = None
    busiest: float = 0.0

    @classmethod
    def of(cls, sampled: Sequence[Level], timed: Sequence[Level]) -> ByUse:
        """From levels in ascending order, by samples and by CPU time; not both are empty.

        CPU time decides where samples missed a part of it; else it says only how far samples can be believed.
        """
        if not sampled:
            return cls(None, Profile.of(timed))
        missed = bool(timed) and _mean(timed) > MISSED * _mean(sampled)
        return cls(Profile.of(sampled), Profile.of(timed) if missed else None, _busiest(timed))

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
        exact = cores * EXACT_SLACK
        one_more = math.floor(cores + 1) - 1e-9  # measuring may add a fraction of a core, never a whole one
        if self.sampled:
            by_measuring = (cores + CORE_SLACK * min(1.0, cores)) * BUCKET_WIDTH
            yield self.sampled, min(by_measuring if self.busiest <= exact else cores * (1 + 1e-9), one_more)
        if self.timed:
            yield self.timed, min(exact, one_more)


def _mean(levels: Sequence[Level]) -> float:
    work_s = math.fsum(level.cores * level.seconds for level in levels)
    return work_s / math.fsum(level.seconds for level in levels)


def _busiest(levels: Sequence[Level]) -> float:
    """The lowest level that no more than :data:`ODD_SHARE` of the time is above."""
    total_s = math.fsum(level.seconds for level in levels)
    below_s = 0.0
    for level in levels:
        below_s += level.seconds
        if below_s >= (1 - ODD_SHARE) * total_s:
            return level.cores
    return 0.0
