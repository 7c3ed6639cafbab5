"""Helpers for tests, stepsize's own and its users': a real lake with known rows.

What comes in: rows as mappings. What goes out: a :class:`~stepsize.store.lake.Lake`, written by the code that the
collector uses. Never used outside tests.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stepsize.errors import DataError
from stepsize.model import TASK_COLUMNS
from stepsize.store.lake import Lake
from stepsize.store.schema import TASKS
from stepsize.store.writer import LakeWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_JSON_COLUMNS = frozenset(column.name for column in TASK_COLUMNS if column.type == "JSON")


def write_tasks(data: Path, rows: Iterable[Mapping[str, Any]]) -> Lake:
    """A lake in ``data`` that holds these rows of ``tasks``, added to those that are there.

    Keys are column names of :data:`stepsize.model.TASK_COLUMNS`, missing ones are NULL. Values are Python's: aware
    datetimes for times, a mapping of bucket to seconds for ``cpu_histogram``, a mapping or JSON text for
    ``annotations``.

    Raises:
        DataError: a row has a key that is no column.
    """
    known = {column.name for column in TASK_COLUMNS}
    prepared = []
    for row in rows:
        if unknown := sorted(set(row) - known):
            raise DataError(f"no such column of tasks: {', '.join(unknown)}")
        prepared.append({name: _stored(name, value) for name, value in row.items()})
    lake = Lake(data)
    lake.create()
    writer = LakeWriter(data, str(uuid.uuid4()))
    stored = writer.write("tasks", "month=1970-01", pa.Table.from_pylist(prepared, schema=TASKS))
    writer.commit(replace(writer.manifest, files=(stored,)))
    return lake


def _stored(name: str, value: Any) -> Any:
    if name == "cpu_histogram" and value is not None:
        return list(dict(value).items())
    if name in _JSON_COLUMNS and value is not None and not isinstance(value, str):
        return json.dumps(value)
    return value
