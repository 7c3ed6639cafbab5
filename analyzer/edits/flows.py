"""Which flows a file holds, and whose steps each of them runs: its own, and those of its base classes. Pure.

What comes in: the classes of a file. What goes out: one :class:`Lineage` a flow, under the name that Metaflow gives its
runs: that of the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.analyzer.edits.source import Flow, Source, Step, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """One flow with all that it inherits within the file.

    ``project`` is None without one, empty where the file does not tell; ``derived`` says that another flow of the file
    is built on it; ``imported`` are base classes from elsewhere; ``rebound`` that its name means other things too.
    """

    name: str
    line: int
    project: str | None
    steps: Mapping[str, Step]
    unknown: tuple[Unknown, ...]
    imported: tuple[str, ...]
    derived: bool
    rebound: bool = False


def lineages(source: Source) -> list[Lineage]:
    """The flows of a file, in its order; of several with one name the last.

    Raises:
        UsageError: a class's bases have no order.
    """
    by_name = {flow.name: flow for flow in source.flows}
    orders = _orders(source.flows)
    found = [_lineage([by_name[name] for name in order], source.flows) for order in orders.values()]
    return [lineage for lineage in found if lineage.steps]


def _lineage(order: Sequence[Flow], flows: Sequence[Flow]) -> Lineage:
    flow = order[0]
    return Lineage(
        name=flow.name,
        line=flow.line,
        project=next((one.project for one in order if one.project is not None), None),
        steps={step.name: step for one in reversed(order) for step in one.steps},
        unknown=tuple(unknown for one in order for unknown in one.unknown),
        imported=tuple(name for one in order for name in one.imported),
        derived=any(flow.name in other.bases for other in flows),
        rebound=any(one.rebound for one in order),
    )


def _orders(flows: Sequence[Flow]) -> dict[str, list[str]]:
    """The classes of each class's inheritance, itself first, as Python orders them: Python is asked."""
    shadows: dict[str, type] = {}
    for flow in flows:
        bases = tuple(shadows[base] for base in dict.fromkeys(flow.bases) if base in shadows)
        try:
            shadows[flow.name] = type(flow.name, bases, {})
        except TypeError:
            raise UsageError(f"line {flow.line}: the bases of {flow.name} have no order that Python takes") from None
    return {name: [one.__name__ for one in shadow.__mro__[:-1]] for name, shadow in shadows.items()}
