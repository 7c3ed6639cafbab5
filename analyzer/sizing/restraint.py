"""When a request may fall: how much evidence that takes, and when the edit is worth it. Pure.

One task that needed more is proof, so raising needs one. A fall needs evidence that no larger task comes: three
finished tasks, or two where the lake has seen often enough what other steps did next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.lessons import Lessons

TASKS_TO_FALL = 3
"""Finished tasks before a request may fall."""
TASKS_TO_FALL_WITH_LESSONS = 2
"""The same where other steps taught what comes after as little."""
_LESSONS_ENOUGH = 8
WORTH_AN_EDIT = 0.9
"""A request that would fall to more than this share of itself is kept: the edit would save less than it costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Falling:
    """A level's target and what holds it up; ``what`` is its name in the reason. Sizes in MB.

    ``enough`` is the target before it was rounded up: a request between the two is not worth raising.
    """

    target: int
    enough: float
    requested: float | None
    tasks: int
    fewest_tasks: int
    what: str


def tasks_to_fall(lessons: Lessons, runs: int) -> int:
    """How many finished tasks, seen in so many runs, let a request fall."""
    return TASKS_TO_FALL_WITH_LESSONS if lessons.batches(max(1, runs)) >= _LESSONS_ENOUGH else TASKS_TO_FALL


def restrain(fall: Falling) -> tuple[int | None, str]:
    """The value to ask for (None: keep the request), and why a request is kept that use does not justify, if one is."""
    if fall.requested is None:
        return fall.target, ""
    if fall.target >= fall.requested:
        return (None if fall.enough <= fall.requested else fall.target), ""
    if fall.tasks < fall.fewest_tasks:
        missing = fall.fewest_tasks - fall.tasks
        until = f"until {fall.fewest_tasks} tasks have finished, {missing} more needed"
        return None, f"{fall.what} stays at {_size(fall.requested)} {until}."
    if fall.target > fall.requested * WORTH_AN_EDIT:
        kept = f"{fall.what} stays at {_size(fall.requested)}"
        return None, f"{kept}: {_size(fall.target)} would do, less than a tenth below it."
    return fall.target, ""


def _size(size_mb: float) -> str:
    return f"{size_mb:,.0f} MB"
