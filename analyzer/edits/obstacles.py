"""Why a step cannot be edited: the file does not show what it asks for, or Metaflow would not take it. Pure.

What comes in: a step, and the flows that run it. What goes out: the line and the reason, or None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.edits.names import brief
from stepsize.analyzer.edits.source import ARGUMENTS, SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.edits.flows import Lineage
    from stepsize.analyzer.edits.source import Decorator, Step, Unknown


def obstacle(step: Step, users: Sequence[Lineage], trusted: frozenset[str]) -> tuple[int, str] | None:
    """The first thing that stands against editing ``step``; ``trusted`` decorators do not."""
    if step.again is not None:
        return step.again, "the class gives its name here too: which of them counts, only running the file would show"
    if rebound := next((flow for flow in users if flow.rebound), None):
        return rebound.line, f"{rebound.name} means several things in the file: which one runs, it does not show"
    if found := _untrusted([*step.unknown, *(one for flow in users for one in flow.unknown)], users, trusted):
        return found
    sizes = [decorator for decorator in step.decorators if decorator.name in SIZES]
    names = [decorator.name for decorator in sizes]
    if len(set(names)) < len(names) or {"batch", "kubernetes"} <= set(names):
        return sizes[-1].line, f"Metaflow does not take {' and '.join(f'@{name}' for name in names)} on one step"
    return next((found for decorator in sizes if (found := unreadable(decorator)) is not None), None)


def _untrusted(unknown: Sequence[Unknown], users: Sequence[Lineage], trusted: frozenset[str]) -> tuple[int, str] | None:
    bases = {name for flow in users for name in flow.imported}
    for one in unknown:
        if one.name not in trusted:
            name = brief(one.name)
            what = f"{name}, which is not read," if one.name in bases else f"@{name}"
            return one.line, f"{what} may change what it asks for; if it does not, give --trust {name}"
    return None


def unreadable(decorator: Decorator) -> tuple[int, str] | None:
    """Where ``decorator`` says what only running the file would show."""
    if decorator.obstacle:
        return decorator.line, decorator.obstacle
    for argument in decorator.arguments:
        if argument.name in ARGUMENTS[decorator.name] and argument.number is None and not argument.absent:
            said = f"{argument.name}={brief(argument.text)}"
            return argument.line, f"{said} is no number: change it where its value comes from"
    return None
