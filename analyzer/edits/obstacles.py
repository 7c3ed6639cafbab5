"""Why a step cannot be edited: the file does not show what it asks for, or Metaflow would not take it. Pure.

What comes in: a step, and the flows that run it. What goes out: the line and the reason, or None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.edits.source import ARGUMENTS, SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.edits.flows import Lineage
    from stepsize.analyzer.edits.source import Decorator, Step


def obstacle(step: Step, users: Sequence[Lineage], trusted: frozenset[str]) -> tuple[int, str] | None:
    """The first thing that stands against editing ``step``; ``trusted`` decorators do not."""
    unknown = [*step.unknown, *(one for flow in users for one in flow.unknown)]
    for one in unknown:
        if one.name not in trusted:
            return one.line, f"@{one.name} may change what it asks for; if it does not, give --trust {one.name}"
    sizes = [decorator for decorator in step.decorators if decorator.name in SIZES]
    names = [decorator.name for decorator in sizes]
    if len(set(names)) < len(names) or {"batch", "kubernetes"} <= set(names):
        return sizes[-1].line, f"Metaflow does not take {' and '.join(f'@{name}' for name in names)} on one step"
    return next((found for decorator in sizes if (found := unreadable(decorator)) is not None), None)


def unreadable(decorator: Decorator) -> tuple[int, str] | None:
    """Where ``decorator`` says what only running the file would show."""
    if decorator.obstacle:
        return decorator.line, decorator.obstacle
    for argument in decorator.arguments:
        if argument.name in ARGUMENTS[decorator.name] and argument.number is None and not argument.absent:
            text = " ".join(argument.text.split())
            return argument.line, f"{argument.name}={text} is no number: change it where its value comes from"
    return None
