"""What a policy's attempts add up to.

What comes in: attempts, one after another. What goes out: a :class:`Score`: all tasks, and *warm*, without the first
task of each step, of which nothing could be known. Sums are exact to the last digit of a float (``math.fsum``), so that
whoever adds the attempts up again gets the same. GB are 2^30 bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.analyzer.backtest.replay import Attempt
    from stepsize.analyzer.backtest.sizer import StepKey

_BYTES_PER_GB = 2**30


@dataclass(frozen=True, slots=True)
class Totals:
    """Some tasks: how many, their failed attempts, GB·h allocated over all attempts and GB·h used."""

    tasks: int
    failures: int
    allocated_gb_h: float
    used_gb_h: float

    @property
    def wastage_gb_h(self) -> float:
        """Allocated and not used."""
        return self.allocated_gb_h - self.used_gb_h

    @property
    def ratio(self) -> float:
        """Allocated over used; 1 is an oracle. NaN where there are no tasks."""
        return self.allocated_gb_h / self.used_gb_h if self.used_gb_h else math.nan

    @property
    def failures_per_1000(self) -> float:
        """Failed attempts per 1,000 tasks; NaN where there are no tasks."""
        return 1000 * self.failures / self.tasks if self.tasks else math.nan


@dataclass(frozen=True, slots=True)
class Score:
    """All tasks, and those but the first of each step."""

    total: Totals
    warm: Totals


@dataclass(slots=True)
class _Sums:
    tasks: int = 0
    failures: int = 0
    allocated: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)

    def add(self, attempt: Attempt, charged: float) -> None:
        """One attempt, charged for a share of the run time."""
        hours = attempt.record.hours
        self.allocated.append(attempt.allocated_bytes * hours * charged)
        self.failures += attempt.failed
        if not attempt.failed:
            self.tasks += 1
            self.used.append(attempt.record.peak_bytes * hours)

    def totals(self) -> Totals:
        allocated, used = math.fsum(self.allocated), math.fsum(self.used)
        return Totals(self.tasks, self.failures, allocated / _BYTES_PER_GB, used / _BYTES_PER_GB)


class Scorer:
    """Adds attempts up as they come. ``time_to_failure`` is the share of the run time that failed attempts held
    theirs."""

    def __init__(self, time_to_failure: float) -> None:
        self._time_to_failure = time_to_failure
        self._all, self._warm = _Sums(), _Sums()
        self._first: dict[StepKey, object] = {}

    def add(self, attempt: Attempt) -> None:
        """The next attempt of the replay."""
        charged = self._time_to_failure if attempt.failed else 1.0
        first = self._first.setdefault(attempt.record.step, attempt.record)
        self._all.add(attempt, charged)
        if first is not attempt.record:
            self._warm.add(attempt, charged)

    def score(self) -> Score:
        """The sums so far."""
        return Score(self._all.totals(), self._warm.totals())
