"""When a request may fall or rise: how much evidence that takes, and when the edit is worth it. Pure.

One task that needed more is proof, so raising needs one. Where none did, a request rises only once there is enough
evidence to say that one of a hundred next tasks will. A fall needs evidence that no larger task comes: three finished
tasks, or two where the lake has seen often enough what other steps did next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.rounding import two_figures

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.lessons import Lessons

TASKS_TO_FALL = 3
"""Finished tasks before a request may fall."""
TASKS_TO_FALL_WITH_LESSONS = 2
"""The same where other steps taught what comes after as little."""
LESSONS_ENOUGH = 8
"""Runs of other steps, seen at as much evidence, from which on they count."""
RAISED_FROM = 0.01
"""The share of next tasks expected to need more than is asked for from which a request is raised that nothing seen
exceeded."""
WORTH_AN_EDIT = 0.9
"""A request that would fall to more than this share of itself is kept: the edit would save less than it costs. So is
one that is more than this share of what nothing seen has needed: else advice goes up and down with each run."""

LIKELY = 0.5
"""The share of the tasks of a run to come from which a request is raised by however little: it will not do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Falling:
    """A level's target and what holds it up; ``what`` is its name in the reason. Sizes in MB.

    ``enough`` is the target before it was rounded up: a request between the two is not worth raising. ``exceeded`` says
    whether anything seen needed more than was requested, ``failing`` the share of next tasks that is expected to, and
    ``failing_alike`` the same if the next run is like those seen: that another may differ as a whole raises nothing.
    ``failing_later`` is that of the last run that is sized for, where the step grows.
    """

    target: int
    enough: float
    requested: float | None
    tasks: int
    fewest_tasks: int
    exceeded: bool
    failing: float
    failing_alike: float
    failing_later: float
    what: str


def tasks_to_fall(lessons: Lessons, runs: int) -> int:
    """How many finished tasks, seen in so many runs, let a request fall."""
    return TASKS_TO_FALL_WITH_LESSONS if lessons.batches(max(1, runs)) >= LESSONS_ENOUGH else TASKS_TO_FALL


def restrain(fall: Falling) -> tuple[int | None, str]:
    """The value to ask for (None: keep the request), and why a request is kept that use does not justify, if one is."""
    if fall.requested is None or (fall.exceeded and fall.enough > fall.requested):
        return fall.target, ""
    if fall.target >= fall.requested and fall.enough <= fall.requested:
        return None, ""
    kept = f"{fall.what} stays at {_size(fall.requested)}"
    if fall.tasks < fall.fewest_tasks:
        missing = fall.fewest_tasks - fall.tasks
        return None, f"{kept} until {fall.fewest_tasks} tasks have finished, {missing} more needed."
    if fall.target >= fall.requested:
        return _raised_by_expectation(fall, kept)
    if fall.target > fall.requested * WORTH_AN_EDIT:
        return None, f"{kept}: {_size(fall.target)} would do, less than a tenth below it."
    return fall.target, ""


def _raised_by_expectation(fall: Falling, kept: str) -> tuple[int | None, str]:
    """Nothing seen needed more than was asked for; the next may."""
    of_1000 = f"{two_figures(1000 * fall.failing)} of 1,000 next tasks"
    failing = max(fall.failing_alike, fall.failing_later)
    if failing < RAISED_FROM:
        return None, f"{kept}: no task has needed more, and {of_1000} are expected to."
    if (fall.requested or 0.0) > fall.target * WORTH_AN_EDIT and failing < LIKELY:
        least = f"{_size(fall.target)}, where the cost is least,"
        return None, f"{kept}: no task has needed more, and {least} is less than a tenth above it."
    if fall.failing < LIKELY and fall.failing < fall.failing_later:
        of_1000 = f"as it grows {two_figures(1000 * fall.failing_later)} of 1,000 tasks of a later run"
    asked = f"the {_size(fall.requested or 0)} asked for"
    return fall.target, f"No task has needed more than {asked}, but {of_1000} are expected to."


def _size(size_mb: float) -> str:
    return f"{size_mb:,.0f} MB"
