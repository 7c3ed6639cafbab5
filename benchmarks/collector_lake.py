"""A lake that holds many points already, made in a moment.

What comes in: a directory that is to be a lake, and how many million points. What goes out: the lake, written by a
collector that is gone: one real file of a million points, compacted, linked as often as it takes, in a manifest of its
own, spread over the days before.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from stepsize.store.lake import Lake
from stepsize.store.manifest import StoredFile
from stepsize.store.merge import DAY
from stepsize.store.schema import POINTS
from stepsize.store.writer import LakeWriter

if TYPE_CHECKING:
    from pathlib import Path

_WRITER = "00000000-0000-4000-8000-000000000000"
_FILE_ROWS = 1_000_000
_FILES_PER_DAY = 20
_SERIES_ROWS = 1000


def prepare(data: Path, millions: float) -> None:
    """Make the lake."""
    Lake(data).create()
    writer = LakeWriter(data, _WRITER)
    files: list[StoredFile] = []
    first: Path | None = None
    for number in range(round(millions)):
        day = f"day={dt.date.today() - dt.timedelta(days=2 + number // _FILES_PER_DAY)}"  # noqa: DTZ011 - any day does
        if first is None:
            stored = writer.write("points", day, _rows(), level=DAY)
            first = data / stored.path
        else:
            name = f"{_WRITER}-{1_000_000 + number:012d}.parquet"
            stored = StoredFile("points", day, name, _FILE_ROWS, first.stat().st_size, DAY)
            (data / stored.path).parent.mkdir(exist_ok=True)
            os.link(first, data / stored.path)
        files.append(stored)
    writer.commit(replace(writer.manifest, files=tuple(files)))


def _rows() -> pa.Table:
    """A million points of a thousand series."""
    walk = random.Random(1)
    values = [round(walk.uniform(0.0, 4.0), 2) for _ in range(_FILE_ROWS)]
    times = [1_790_000_000 * 10**9 + row % _SERIES_ROWS * 10**9 for row in range(_FILE_ROWS)]
    tasks = [f"{row // _SERIES_ROWS:04d}" for row in range(_FILE_ROWS)]
    fixed = {
        "metric": "stepsize.task.cpu.usage",
        "unit": "{cpu}",
        "kind": "gauge",
        "flow": "Old",
        "run": "1",
        "step": "a",
    }
    text = {"description": "", "attributes": "{}", "resource": "{}", "scope": "{}", "host": None, "service": None}
    columns = {name: [value] * _FILE_ROWS for name, value in {**fixed, **text}.items()}
    columns |= {"task": tasks, "time_unix_nano": times, "received_at_unix_nano": times, "value_double": values}
    columns |= {"flags": [0] * _FILE_ROWS, "start_time_unix_nano": [0] * _FILE_ROWS}
    made = []
    for field in POINTS:
        given = columns.get(field.name)
        if given is None:
            made.append(pa.nulls(_FILE_ROWS, field.type))
        elif pa.types.is_dictionary(field.type):
            made.append(pa.array(given, pa.string()).dictionary_encode())
        else:
            made.append(pa.array(given, field.type))
    return pa.table(made, schema=POINTS)
