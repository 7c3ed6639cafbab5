"""What a commit, upkeep and queries cost with more files: ``python benchmarks/lake_growth.py``.

Counts what one commit of a file reads and writes on lakes of more and more files (of one row, linked as often as it
takes), and what a look at what is to be done and one for garbage cost; then how many files merging leaves of a year of
`tasks`, and what queries over so many cost beside one file a month. Prints Markdown.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from stepsize.collector.upkeep.writer_upkeep import WriterUpkeep
from stepsize.store.lake import Lake
from stepsize.store.manifest import StoredFile
from stepsize.store.merge import DAY, due
from stepsize.store.order import in_order
from stepsize.store.retention import Retention
from stepsize.store.schema import POINTS, TASKS
from stepsize.store.writer import LakeWriter

if TYPE_CHECKING:
    from collections.abc import Callable

WRITER = "11111111-1111-4111-8111-111111111111"
SIZES = ((10, 2), (300, 20), (300, 200), (1500, 170), (1500, 2000))
"""Files of points and of `tasks`."""
ATTEMPTS, MONTH_S = 5_000, 30 * 86_400
QUERIES = {
    "all of the year by step": "SELECT flow, step, max(memory_peak_bytes), quantile_cont(cpu_max, 0.95) "
    "FROM tasks GROUP BY ALL",
    "the last month by step": "SELECT flow, step, max(memory_peak_bytes) FROM tasks "
    "WHERE started_at > (SELECT max(started_at) FROM tasks) - INTERVAL 26 DAY GROUP BY ALL",
    "one flow": "SELECT step, max(memory_peak_bytes) FROM tasks WHERE flow = 'Flow7' GROUP BY ALL",
    "one run": "SELECT * FROM tasks WHERE flow = 'Flow7' AND run = '4321'",
}
ROWS = {
    "flow": "'Flow' || (k % 40)",
    "run": "(k // 200)::VARCHAR",
    "step": "'step' || (k % 7)",
    "task": "k::VARCHAR",
    "attempt": "0",
    "started_at": f"make_timestamptz((1_767_225_600e6 + k * 86_400e6 / {ATTEMPTS})::BIGINT)",
    "outcome": "'ok'",
    "annotations": "'{}'",
    "state": f"""'{{"cpu":{json.dumps(list(range(120)))},"n":' || k || '}}'""",
}
"""Columns of an attempt number ``k``; of the others, something of their type."""


def counted(work: Callable[[], object]) -> tuple[int, int, int, float]:
    """Calls to read, kB read, kB written, CPU milliseconds; the cheapest of three."""
    found = []
    for _ in range(3):
        before, started_s = _io(), time.process_time()
        work()
        cpu_ms = (time.process_time() - started_s) * 1e3
        after = _io()
        found.append((after[0] - before[0], (after[1] - before[1]) // 1000, (after[2] - before[2]) // 1000, cpu_ms))
    return min(found, key=lambda one: one[3])


def _io() -> tuple[int, int, int]:
    said = dict(line.split(": ") for line in Path("/proc/self/io").read_text("ascii").splitlines())
    return int(said["syscr"]), int(said["rchar"]), int(said["wchar"])


def lake_of(data: Path, points: int, tasks: int) -> LakeWriter:
    """A lake of so many files."""
    Lake(data).create()
    writer = LakeWriter(data, WRITER)
    today = dt.date(2026, 11, 22)
    first = writer.write("points", f"day={today}", _one_row(POINTS), level=DAY)
    closed = writer.write("tasks", "month=2026-01", _one_row(TASKS), level=3)
    days = [f"day={today - dt.timedelta(days=1 + number // 4)}" for number in range(points)]
    months = [f"month=2026-{number % 12 + 1:02d}" for number in range(tasks)]
    files = [_linked(data, first, day, number) for number, day in enumerate(days)]
    files += [_linked(data, closed, month, points + number) for number, month in enumerate(months)]
    writer.commit(replace(writer.manifest, files=tuple(files)))
    writer.collect_garbage(0.0)
    return writer


def _one_row(schema: pa.Schema) -> pa.Table:
    given = {"time_unix_nano": 1, "flow": "F", "run": "1", "step": "s", "task": "1", "attempt": 0}
    return pa.Table.from_pylist([{name: value for name, value in given.items() if name in schema.names}], schema)


def _linked(data: Path, one: StoredFile, partition: str, number: int) -> StoredFile:
    made = replace(one, partition=partition, name=f"{WRITER}-{1_000_000 + number:012d}.parquet")
    (data / made.path).parent.mkdir(exist_ok=True)
    os.link(data / one.path, data / made.path)
    return made


def growth() -> None:
    """Print what a commit, a plan and a look for garbage cost."""
    print("| files of points, of `tasks` | reads | kB read | kB written | CPU ms | plan | garbage |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for points, tasks in SIZES:
        with tempfile.TemporaryDirectory() as directory:
            writer = lake_of(Path(directory, "lake"), points, tasks)
            upkeep = WriterUpkeep(writer, Retention(points_s=1e9, max_bytes=10**15), 3600.0)
            files = writer.manifest.files

            def commit(writer: LakeWriter = writer, files: tuple[StoredFile, ...] = files) -> None:
                stored = writer.write("points", "day=2026-11-22", _one_row(POINTS))
                writer.commit(replace(writer.manifest, files=(*files, stored)))

            reads, read_kb, written_kb, cpu_ms = counted(commit)
            plan_ms = counted(lambda upkeep=upkeep: upkeep.next_group(time.time_ns()))[3]
            garbage_ms = counted(lambda writer=writer: writer.collect_garbage(0.0))[3]
        print(
            f"| {points:,}, {tasks:,} | {reads} | {read_kb:,} | {written_kb:,} | {cpu_ms:.0f} "
            f"| {plan_ms:.1f} | {garbage_ms:.1f} |",
            flush=True,
        )


def left_of_a_month(commits_a_night: int) -> list[int]:
    """Rows of the files that merging leaves of a month of nights."""
    files: list[StoredFile] = []
    for number in range(MONTH_S // 86_400 * commits_a_night):
        files.append(StoredFile("tasks", "month", str(number), ATTEMPTS // commits_a_night, 0))
        while groups := due(files):
            for group in groups:
                merged = replace(group[0], rows=sum(one.rows for one in group), level=group[0].level + 1)
                files = [one for one in files if one not in group] + [merged]
    return [one.rows for one in files]


def year(rows_of_files: list[int]) -> dict[str, float]:
    """CPU milliseconds of each query over a year of months that each have such files."""
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory, "lake")
        Lake(data).create()
        writer = LakeWriter(data, WRITER)
        files, first = [], 0
        for month in range(12):
            for rows in rows_of_files:
                files.append(writer.write("tasks", f"month=2026-{month + 1:02d}", _attempts(first, rows), level=2))
                first += rows
        writer.commit(replace(writer.manifest, files=tuple(files)))
        with duckdb.connect(str(data / "stepsize.duckdb"), read_only=True, config={"threads": 1}) as connection:
            return {
                name: counted(lambda query=query: connection.execute(query).fetchall())[3]
                for name, query in QUERIES.items()
            }


def _attempts(first: int, rows: int) -> pa.Table:
    """Attempts from number ``first`` on, evenly over the year."""
    columns = ", ".join(f'{ROWS.get(field.name) or _any(field.type)} AS "{field.name}"' for field in TASKS)
    with duckdb.connect(config={"threads": 1}) as connection:
        query = f"SELECT {columns} FROM (SELECT range AS k FROM range({first}, {first + rows}))"
        made = connection.sql(query).to_arrow_table()
    return in_order(pa.table([made[field.name].cast(field.type) for field in TASKS], schema=TASKS), "tasks")


def _any(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind):
        return "random() * 8"
    if pa.types.is_integer(kind):
        return "(random() * 1e6)::BIGINT"
    return "'x' || (k % 20)" if pa.types.is_string(kind) else "NULL"


def main() -> None:
    """Print all tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, load {load:.1f}, DuckDB {duckdb.__version__}\n")
    growth()
    left = {commits: left_of_a_month(commits) for commits in (50, 500, 5000)}
    counts = ", ".join(f"{12 * len(rows)} of {commits}" for commits, rows in left.items())
    print(f"\nFiles that merging leaves of a year of {ATTEMPTS:,} attempts a night, by commits a night: {counts}.\n")
    many, few = year(left[500]), year([sum(left[500])])
    print(f"| query, CPU ms | {12 * len(left[500])} files | 12 files |\n| --- | --- | --- |")
    for name in QUERIES:
        print(f"| {name} | {many[name]:.0f} | {few[name]:.0f} |")


if __name__ == "__main__":
    main()
