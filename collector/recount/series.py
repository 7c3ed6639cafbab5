"""Points summed up by series, which all but the weighing of rates is made of: few rows for each attempt.

What comes in: points of attempts. What goes out: expressions. Evaluates nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.recount.stored import NAMES

if TYPE_CHECKING:
    import ibis


def summed(points: ibis.Table) -> ibis.Table:
    """A row for each series: how many believed values there are, what they add up to, and when it was heard."""
    return points.group_by(*NAMES, "resource", "metric", "attributes", "is_delta", "since").agg(
        points=points.value.count(),
        total=points.value.sum(),
        lowest=points.value.min(),
        highest=points.value.max(),
        first=points.time.min(),
        last=points.time.max(),
        arrived=points.received.max(),
        started=points.started.min(),
    )
