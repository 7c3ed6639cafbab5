"""Whether a new version of the code holds more memory than those before it, by more than chance.

What comes in: peaks of tasks, run by run. What goes out: a :class:`Growth`, or None. Pure. Peaks are no bell curve and
one task may hold ten times as much as another, so ranks are compared (H. B. Mann, D. R. Whitney, "On a Test of Whether
one of Two Random Variables is Stochastically Larger than the Other", 1947; normal approximation, corrected for ties and
continuity), one-sided; and since tasks of a run share its data, runs are compared too.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from stepsize.analyzer.changes.runs import chance_of_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_TASKS = 4
"""Of each side: with fewer no difference is beyond chance."""
LEAST_GROWTH = 1.1
"""Typical peaks that differ by less than a tenth are nobody's worry."""
MOST_CHANCE = 0.02
"""Peaks that are all alike are taken for grown in one of fifty versions, before `LEAST_GROWTH` is asked for."""
MOST_CHANCE_OF_RUNS = 0.005
"""Runs that lie apart as they always did are taken for grown in one of two hundred versions."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The typical (median) peak of a version's tasks, beside that of the versions before it; bytes."""

    version: str
    tasks: int
    peak_bytes: float
    versions_before: int
    tasks_before: int
    peak_before_bytes: float


def growth(
    version: str | None,
    runs: Sequence[Sequence[float]],
    runs_before: Sequence[Sequence[float]],
    versions_before: int,
) -> Growth | None:
    """How ``version`` has grown, if it has; ``runs`` are the peaks of its tasks, run by run, above 0."""
    peaks, peaks_before = list(chain(*runs)), list(chain(*runs_before))
    if version is None or min(len(peaks), len(peaks_before)) < LEAST_TASKS:
        return None
    typical, typical_before = statistics.median(peaks), statistics.median(peaks_before)
    if typical < LEAST_GROWTH * typical_before or chance_of_larger(peaks, peaks_before) > MOST_CHANCE:
        return None
    if chance_of_runs(runs, runs_before) > MOST_CHANCE_OF_RUNS:
        return None
    return Growth(version, len(peaks), typical, versions_before, len(peaks_before), typical_before)


def typical_bytes(runs: Sequence[Sequence[float]]) -> float | None:
    """The median of the tasks' peaks, None of too few."""
    peaks = list(chain(*runs))
    return statistics.median(peaks) if len(peaks) >= LEAST_TASKS else None


def chance_of_larger(values: Sequence[float], others: Sequence[float]) -> float:
    """How likely ``values`` would rank as high among ``others``, or higher, were all of one kind: 0 … 1."""
    count, count_others = len(values), len(others)
    whole = count + count_others
    ranks, ties = _ranks([*values, *others])
    larger = math.fsum(ranks[:count]) - count * (count + 1) / 2
    variance = count * count_others / 12 * (whole + 1 - ties / (whole * (whole - 1))) if whole > 1 else 0.0
    if variance <= 0:
        return 1.0  # all are equal
    distance = (larger - count * count_others / 2 - 0.5) / math.sqrt(variance)
    return 0.5 * math.erfc(distance / math.sqrt(2))


def _ranks(values: Sequence[float]) -> tuple[list[float], float]:
    """The rank of each value from 1 on, equal ones the mean of theirs; and the sum of t³ - t over groups of equals."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks, ties, first = [0.0] * len(values), 0.0, 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for place in order[first : last + 1]:
            ranks[place] = (first + last) / 2 + 1
        equals = last - first + 1
        ties += equals**3 - equals
        first = last + 1
    return ranks, ties
