"""How fast a request may fall: the rule that every cautious policy shares.

What comes in: the target of a policy, the request, and how many tasks finished. What goes out: the value to ask for, or
None to keep the request, and the sentence that says why. Pure.

Raising is allowed at once, since one task that needed more is proof. Falling takes evidence that no larger task
comes: from three finished tasks on, and with fewer than eight never under twice the peak seen. By exchangeability the
next task exceeds the largest of n with probability 1/(n+1): one in four after three, one in nine after eight.
"""

from __future__ import annotations

from dataclasses import dataclass

TASKS_TO_FALL = 3
TASKS_TO_FALL_FREELY = 8
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
    twice_the_peak: int
    tasks: int
    what: str


def restrain(fall: Falling) -> tuple[int | None, str | None]:
    """The value to ask for (None: keep the request) and why it is not the target, if it is not."""
    cautious = max(fall.target, fall.twice_the_peak) if fall.tasks < TASKS_TO_FALL_FREELY else fall.target
    if fall.requested is None:
        why = f"{_few(fall.tasks)}, so {fall.what} is not put under twice the peak yet ({_size(cautious)})."
        return cautious, None if cautious == fall.target else _sentence(why)
    if fall.target >= fall.requested:
        return (None if fall.enough <= fall.requested else fall.target), None
    held = _why_held(fall, fall.requested, cautious)
    if held:
        return None, _sentence(f"{fall.what} stays at {_size(fall.requested)}{held}.")
    if cautious == fall.target:
        return fall.target, None
    return cautious, _sentence(
        f"{_few(fall.tasks)}, and below {TASKS_TO_FALL_FREELY} {fall.what} does not go under twice the peak: "
        f"{_size(cautious)} rather than {_size(fall.target)}."
    )


def _why_held(fall: Falling, requested: float, cautious: int) -> str:
    """Why a request that is more than the target is kept; empty where it may fall."""
    if fall.tasks < TASKS_TO_FALL:
        missing = TASKS_TO_FALL - fall.tasks
        return f" until {TASKS_TO_FALL} tasks have finished, {missing} more needed"
    if cautious <= requested * WORTH_AN_EDIT:
        return ""
    if cautious > fall.target:
        return f": below {TASKS_TO_FALL_FREELY} tasks not under twice the peak"
    return f": {_size(fall.target)} would do, less than a tenth below it"


def _few(tasks: int) -> str:
    return {0: "no task has finished", 1: "only 1 task has finished"}.get(tasks, f"only {tasks} tasks have finished")


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _size(size_mb: float) -> str:
    return f"{size_mb:,.0f} MB"
