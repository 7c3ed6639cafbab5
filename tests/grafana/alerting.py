"""What Grafana makes of an alert rule: which series it has, and the state of each.

Rules: pkg/expr's converter.go (a table with one number and texts beside it is a number for each row, labelled by the
texts; an answer without rows is no data; anything else without a time is an error), threshold.go, and
pkg/services/ngalert/state (what no data and errors become, at once where ``for`` is nothing).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

NUMBERS = frozenset({20, 21, 23, 700, 701, 1700})
TEXTS = frozenset({25, 1043, 19})
_COMPARED = {"gt": operator.gt, "lt": operator.lt, "gte": operator.ge, "lte": operator.le}
_STATES = {"OK": "Normal", "NoData": "NoData", "Alerting": "Alerting", "Error": "Error"}
Answer = tuple[list[tuple[str, int]], list[tuple[Any, ...]]]
Labels = tuple[tuple[str, str], ...]
WHOLE: Labels = ()
"""The series of a rule that has no data or an error."""


def states(rule: dict[str, Any], ask: Callable[[str], Answer]) -> dict[Labels, str]:
    """The state of each series, by its labels in their order.

    ``rule`` is one of a file of provisioning; ``ask`` answers a query with columns (name, type's number) and rows.
    """
    assert rule["for"] == "0s"
    nodes = {one["refId"]: one for one in rule["data"]}
    try:
        found = _node(nodes[rule["condition"]], nodes, ask)
    except Exception:  # noqa: BLE001 - whatever goes wrong is an error of the rule
        return {WHOLE: _STATES[rule["execErrState"]]}
    if not found:
        return {WHOLE: _STATES[rule["noDataState"]]}
    return {labels: "Alerting" if value else "Normal" for labels, value in found.items()}


def _node(one: dict[str, Any], nodes: dict[str, Any], ask: Callable[[str], Answer]) -> dict[Labels, float | None]:
    model = one["model"]
    if one["datasourceUid"] != "__expr__":
        return _numbers(*ask(model["rawSql"].replace("$$", "$")))
    if model["type"] != "threshold":
        raise ValueError(model["type"])
    (condition,) = model["conditions"]
    holds = _COMPARED[condition["evaluator"]["type"]]
    (bound,) = condition["evaluator"]["params"]
    given = _node(nodes[model["expression"]], nodes, ask)
    return {labels: None if value is None else float(holds(value, bound)) for labels, value in given.items()}


def _numbers(columns: list[tuple[str, int]], rows: list[tuple[Any, ...]]) -> dict[Labels, float | None]:
    (place,) = (at for at, (_, kind) in enumerate(columns) if kind in NUMBERS)
    texts = {at: name for at, (name, kind) in enumerate(columns) if at != place and kind in TEXTS}
    if len(texts) + 1 != len(columns):
        raise ValueError("input data must be a wide series")
    found: dict[Labels, float | None] = {}
    for row in rows:
        labels = tuple((name, row[at] or "") for at, name in texts.items())
        if labels in found:
            raise ValueError("duplicate results with labels")
        found[labels] = None if row[place] is None else float(row[place])
    return found
