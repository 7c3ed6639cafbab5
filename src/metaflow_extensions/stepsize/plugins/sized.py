"""The size that a launch gave an attempt, on its way to the attempt's process: one variable of the environment.

What comes in: names and amounts, or an environment. What goes out: text, or what it says. A process that the attempt
starts inherits the variable, so that it names the step it is of. Imports nothing of ours: tasks read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "STEPSIZE_SIZED"
ANNOTATION = "autosize"
"""`stepsize.analyzer.sizing.autosized.ANNOTATION`, under which the attempt tells its policy."""


class Sized(NamedTuple):
    """By which policy, and to what; None where that is not known. Memory in bytes."""

    policy: str
    cpu: float | None
    memory_bytes: int | None


def to_text(flow: str, step: str, sized: Sized) -> str:
    """Without commas, quotes and the like, which Metaflow's command lines do not bring through whole."""
    cpu = "" if sized.cpu is None else f"{sized.cpu:g}"
    memory = "" if sized.memory_bytes is None else str(sized.memory_bytes)
    return f"{flow}/{step}/{sized.policy}/{cpu}/{memory}"


def of_step(environ: Mapping[str, str], flow: str, step: str) -> Sized | None:
    """What was given to this step; None where nothing was."""
    parts = environ.get(VARIABLE, "").split("/")
    if len(parts) != 5 or parts[:2] != [flow, step]:
        return None
    try:
        return Sized(parts[2], float(parts[3]) if parts[3] else None, int(parts[4]) if parts[4] else None)
    except ValueError:
        return None
