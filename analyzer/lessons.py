"""What the steps of a lake teach each other, read from it in one query.

What comes in: a read-only DuckDB connection with the view ``tasks``, and a :class:`Query`. What goes out: frozen
:class:`Lessons`, which hold what each step did itself (``Lessons.beside`` takes that away). Reads no samples; its
answer grows with the number of flows, not of tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.lessons import FlowKey, Lessons
from stepsize.analyzer.sizing.memory.exceedances import Exceedances
from stepsize.analyzer.sizing.memory.grid import STEP
from stepsize.analyzer.sizing.memory.learner import Mean
from stepsize.analyzer.sql import query_text

if TYPE_CHECKING:
    import duckdb

    from stepsize.analyzer.usage import Query


def lessons(connection: duckdb.DuckDBPyConnection, query: Query) -> Lessons:
    """What all steps teach, whichever flow and step ``query`` asks for."""
    parameters = {
        "branch": query.branch,
        "origin": query.origin,
        "since_s": None if query.since is None else query.since.timestamp(),
        "step": STEP,
    }
    exceedances = Exceedances()
    flows: dict[FlowKey, Mean] = {}
    rows = connection.execute(query_text("lessons"), parameters).fetchall()
    for kind, project, production, flow, known, cells_above, weight, byte_hours in rows:
        if kind == "above":
            exceedances.count(known, weight, cells_above)
        else:
            flows[FlowKey(project, bool(production), flow)] = Mean(byte_hours, round(weight))
    return Lessons(exceedances, flows)
