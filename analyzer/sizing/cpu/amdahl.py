"""How the run time depends on the number of cores, where attempts ran with different numbers of them.

What comes in: the evidence of a step. What goes out: an :class:`Amdahl`, or None where the data do not allow one. Pure.

Amdahl's law (G. M. Amdahl, "Validity of the single processor approach", AFIPS 1967): a part of the run time stays, the
rest is divided by the cores. The two are fitted to the mean run times of the tasks on each number of cores. Durations
differ for other reasons too (inputs, hosts), so that a fit counts only where they differ between numbers of cores by
more than chance would have them.

The law holds between the numbers of cores that were tried. Beyond them nothing is known; below them it would be too
hopeful, since what a few more cores do at the upper end says little of what the first ones do: there the use decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from stepsize.analyzer.sizing.cpu.limits import NEAR_QUOTA, available

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.sizing.cpu.run_time import RunTime
    from stepsize.analyzer.usage import StepEvidence

TASKS_EACH = 3
"""Tasks on one number of cores that its mean takes."""
BEYOND_CHANCE = 3.0
"""The slope has to be so many of its standard errors: by chance that is one fit in fifty where three tasks ran on each
of two numbers of cores (Student's t, 4 degrees of freedom), and fewer where more did."""


@dataclass(frozen=True, slots=True)
class Amdahl:
    """The law, in seconds.

    Attributes:
        serial_s: what no core shortens.
        parallel_s: what takes this long on one core.
        measured_s: the mean run time of all tasks that it was fitted to.
        tried: the numbers of cores that tasks ran on, in ascending order.
        below: the run time by use, for fewer cores than were tried.
    """

    serial_s: float
    parallel_s: float
    measured_s: float
    tried: tuple[float, ...]
    below: RunTime

    @property
    def most(self) -> int:
        """Whole cores that were tried: what more would do is a guess."""
        return max(1, math.floor(self.tried[-1]))

    def stretch(self, cores: float) -> float:
        """As ``run_time.RunTime``."""
        fewest = self.tried[0]
        if cores >= fewest:
            return (self.serial_s + self.parallel_s / cores) / self.measured_s
        return self.stretch(fewest) * self.below.stretch(cores) / self.below.stretch(fewest)

    def held_back(self, cores: float) -> float:
        """All of the parallel part: by the law more cores would always make it shorter."""
        fewest = self.tried[0]
        at_least = self.parallel_s / max(cores, fewest) / self.measured_s
        if cores >= fewest:
            return at_least
        by_use = self.below.held_back(cores) * self.stretch(fewest) / self.below.stretch(fewest)
        return max(at_least, by_use)


class _Tried(NamedTuple):
    """Tasks that ran on so many cores: how many, their mean run time, and the squares around it."""

    cores: float
    tasks: int
    mean_s: float
    squares: float


def fit(evidence: StepEvidence, below: RunTime) -> Amdahl | None:
    """The law of the step's run time; None where too few tasks, or no difference beyond chance, allow one.

    ``below`` is the run time by use, for fewer cores than were tried.
    """
    durations: dict[float, list[float]] = {}
    for attempt in evidence.succeeded:
        had = available(attempt)
        # Who used less than it had could have used no more: such run times say nothing of cores.
        if had and attempt.duration_s and (attempt.cpu_max or 0.0) >= NEAR_QUOTA * had[0]:
            durations.setdefault(had[0], []).append(attempt.duration_s)
    tried = [_tried(cores, each) for cores, each in sorted(durations.items()) if len(each) >= TASKS_EACH]
    return _fitted(tried, below) if len(tried) > 1 else None


def _tried(cores: float, durations_s: Sequence[float]) -> _Tried:
    mean_s = math.fsum(durations_s) / len(durations_s)
    return _Tried(cores, len(durations_s), mean_s, math.fsum((each - mean_s) ** 2 for each in durations_s))


def _fitted(tried: list[_Tried], below: RunTime) -> Amdahl | None:
    """Least squares of the durations over 1 / cores, weighed by tasks; no part is negative."""
    tasks = sum(one.tasks for one in tried)
    mean_x = math.fsum(one.tasks / one.cores for one in tried) / tasks
    mean_s = math.fsum(one.tasks * one.mean_s for one in tried) / tasks
    spread_x = math.fsum(one.tasks * (1 / one.cores - mean_x) ** 2 for one in tried)
    slope = math.fsum(one.tasks * (1 / one.cores - mean_x) * (one.mean_s - mean_s) for one in tried) / spread_x
    error = math.sqrt(math.fsum(one.squares for one in tried) / (tasks - len(tried)) / spread_x)
    if slope <= BEYOND_CHANCE * error:
        return None
    serial_s = mean_s - slope * mean_x
    if serial_s < 0:  # faster than the law allows: as if all of it were parallel
        squares_x = math.fsum(one.tasks / one.cores**2 for one in tried)
        serial_s, slope = 0.0, math.fsum(one.tasks * one.mean_s / one.cores for one in tried) / squares_x
    return Amdahl(serial_s, slope, mean_s, tuple(one.cores for one in tried), below)
