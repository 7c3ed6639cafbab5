"""A lake with days that are past, as sinks of several collectors leave it."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from stepsize.store.lake import Lake
from stepsize.store.manifest import read_manifest
from stepsize.store.schema import TASKS
from stepsize.store.writer import LakeWriter
from tests.store.points import SECOND, point, points

FIRST, SECOND_WRITER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
DAY_NS = 86_400 * SECOND


def day_start(days_ago: int) -> int:
    """Midnight so many days ago, in nanoseconds."""
    return (time.time_ns() // DAY_NS - days_ago) * DAY_NS


def partition(time_ns: int) -> str:
    """The day's directory."""
    return f"day={dt.datetime.fromtimestamp(time_ns / 1e9, dt.timezone.utc):%Y-%m-%d}"


def commit(data: Path, writer: str, *rows: dict[str, Any], level: int = 0) -> None:
    """Have ``writer`` store rows of points, all of the day of the first, in a file of their own."""
    Lake(data).create()
    lake = LakeWriter(data, writer)
    stored = lake.write("points", partition(rows[0]["time_unix_nano"]), points(list(rows)), level=level)
    lake.commit(replace(lake.manifest, files=(*lake.manifest.files, stored)))


def commit_tasks(data: Path, writer: str, where: str, *rows: dict[str, Any]) -> None:
    """Have ``writer`` store rows of `tasks`."""
    Lake(data).create()
    lake = LakeWriter(data, writer)
    stored = lake.write("tasks", where, pa.Table.from_pylist(list(rows), schema=TASKS))
    lake.commit(replace(lake.manifest, files=(*lake.manifest.files, stored)))


def levels(data: Path, writer: str) -> list[int]:
    """Of the files that ``writer`` names."""
    return sorted(one.level for one in read_manifest(data, writer).files)


def samples(days_ago: int, count: int, **more: Any) -> list[dict[str, Any]]:
    """One point a second from a day's midnight on."""
    return [point(day_start(days_ago) + i * SECOND, float(i), **more) for i in range(count)]


def seen(
    data: Path, query: str = "SELECT time_unix_nano, value_double, task FROM exact_points ORDER BY ALL"
) -> list[Any]:
    """What a reader sees now."""
    with Lake(data).connect() as connection:
        return connection.execute(query).fetchall()
