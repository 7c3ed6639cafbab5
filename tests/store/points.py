"""Rows of `points` for tests."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from stepsize.store.schema import POINTS

SECOND = 10**9


def point(time_unix_nano: int, value: float | None = 1.0, **more: Any) -> dict[str, Any]:
    """A row as the decoder makes it."""
    flow, run, task = more.get("flow", "Flow"), more.get("run", "1"), more.get("task", "1")
    resource = {"stepsize.flow.name": flow, "stepsize.run.id": run, "stepsize.task.id": task}
    return {
        "metric": "stepsize.task.cpu.usage",
        "unit": "{cpu}",
        "kind": "gauge",
        "flow": flow,
        "run": run,
        "step": "train",
        "task": task,
        "attempt": 0,
        "attributes": "{}",
        "resource": json.dumps(resource),
        "scope": "{}",
        "time_unix_nano": time_unix_nano,
        "start_time_unix_nano": 0,
        "flags": 0,
        "received_at_unix_nano": time_unix_nano + SECOND,
        "value_double": value,
        **more,
    }


def points(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table, its dictionaries in the order in which values came."""
    return pa.Table.from_pylist(rows, schema=POINTS)
