"""What sets the few largest tasks of a step apart from the rest. Pure.

What comes in: evidence. What goes out: a sentence that a person can check against the data, or nothing where the peaks
have no gap worth one. Of what is known of tasks before they run (what was said of them, their item, the version of the
code, their run) the first that divides the two groups exactly is named.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.analyzer.sizing.peaks import Peaks
    from stepsize.analyzer.usage import Attempt, StepEvidence

FEWEST_TASKS = 8
GAP = 1.25
"""From so many times the next smaller peak on, the larger ones are a group of their own."""
_NAMED = 3
_LARGEST = 1e300
_WAYS_COUNTED = 8
"""Ways to choose so many of the tasks are more than there are names for, and no large number yet."""
_BY_CHANCE = 0.05
"""The likelihood up to which some name may set these tasks apart by chance alone, and is named nevertheless."""


@dataclass(frozen=True, slots=True)
class _Task:
    attempt: Attempt
    peak_bytes: int


def outliers(evidence: StepEvidence, peaks: Peaks) -> tuple[str, ...]:
    """The sentence on these ``peaks`` of memory; empty where fewer than eight tasks finished, or none stands out."""
    known = peaks.finished_bytes[bisect_right(peaks.finished_bytes, 0) :]
    first = _first_above(known)
    if first is None:
        return ()
    tasks = _finished(evidence)
    below, above = tasks[:first], tasks[first:]
    largest = f"{above[-1].peak_bytes / BYTES_PER_MB:,.0f} MB"
    stayed = f"{len(below):,} of {len(tasks):,} tasks stayed under {_over(below[-1].peak_bytes)}"
    if len(above) == 1:
        return (f"{stayed}; the one above took {largest} and {_apart(evidence.step, below, above)}.",)
    return (f"{stayed}; the {len(above):,} above took up to {largest} and {_apart(evidence.step, below, above)}.",)


def _over(size_bytes: int) -> str:
    return f"{math.floor(size_bytes / BYTES_PER_MB) + 1:,} MB"


def _finished(evidence: StepEvidence) -> list[_Task]:
    """The tasks that ended well, smallest peak first."""
    largest: dict[tuple[str, str, str], _Task] = {}
    for attempt in evidence.succeeded:
        peak, before = attempt.memory_peak_bytes, largest.get(attempt.task_key)
        if peak and (before is None or peak > before.peak_bytes):
            largest[attempt.task_key] = _Task(attempt, peak)
    return sorted(largest.values(), key=lambda task: (task.peak_bytes, task.attempt.task_key))


def _first_above(peaks_bytes: Sequence[int]) -> int | None:
    """Where the widest gap in the larger half of the sorted peaks lies; None where none is wide enough."""
    if len(peaks_bytes) < FEWEST_TASKS:
        return None
    half = len(peaks_bytes) // 2 + 1
    larger = np.array(peaks_bytes[half - 1 :], dtype=np.float64)
    times = larger[1:] / larger[:-1]
    widest = int(np.argmax(times))
    return half + widest if times[widest] >= GAP else None


def _apart(step: str, below: Sequence[_Task], above: Sequence[_Task]) -> str:
    """What those above have and those below have not, or else which they are."""
    told = _by_annotation(below, above)
    if told:
        return told
    properties: tuple[tuple[str, Callable[[Attempt], str | None]], ...] = (
        ("item", lambda attempt: attempt.item),
        ("code version", lambda attempt: attempt.code_version),
        ("run", lambda attempt: attempt.run),
    )
    for name, read in properties:
        theirs = {read(task.attempt) for task in above}
        others = {read(task.attempt) for task in below}
        if None not in theirs and len(theirs) <= _NAMED and not theirs & others:
            values = ", ".join(sorted(_short(value) for value in theirs if value))
            return f"{'is' if len(above) == 1 else 'are'} of {name} {values}"
    named = [f"{task.attempt.run}/{step}/{task.attempt.task}" for task in reversed(above)][:_NAMED]
    more = len(above) - len(named)
    return f"{'is' if len(above) == 1 else 'are'} {', '.join(named)}" + (f" and {more:,} more" if more else "")


def _by_annotation(below: Sequence[_Task], above: Sequence[_Task]) -> str | None:
    """A number said of every task that is larger for each of those above; the one with the widest gap.

    None where so many numbers were said that one of them would be larger for so few tasks by chance.
    """
    # A task at a time: in memory is what was said of one, and of all only what every task has.
    least = _numbers(above[0].attempt)
    for task in above[1:]:
        numbers = _numbers(task.attempt)
        least = {name: min(value, numbers[name]) for name, value in least.items() if name in numbers}
    most = dict.fromkeys(least, -math.inf)
    for task in below:
        numbers = _numbers(task.attempt)
        most = {name: max(value, numbers[name]) for name, value in most.items() if name in numbers}
        if not any(least[name] > value for name, value in most.items()):
            return None
    ways = math.comb(len(below) + len(above), min(len(above), _WAYS_COUNTED))
    if ways * _BY_CHANCE < len(most):
        return None
    apart = [
        (least[name] / value if value > 0 else math.inf, name, value)
        for name, value in most.items()
        if least[name] > value
    ]
    _, name, value = max(apart)
    return f"{'has' if len(above) == 1 else 'have'} {_short(name)} over {_number(name, value)}"


def _numbers(attempt: Attempt) -> dict[str, float]:
    if attempt.annotations is None:
        return {}
    try:
        said = json.loads(attempt.annotations)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {
        name: float(value)
        for name, value in said.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
    }


def _number(name: str, value: float) -> str:
    if name.endswith("bytes") and value >= BYTES_PER_MB:
        return f"{value / BYTES_PER_MB:,.0f} MB"
    return f"{value:,.15g}"


def _short(text: str) -> str:
    """On one line and not endless: it comes from outside."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= 60 else f"{shown[:59]}…"
