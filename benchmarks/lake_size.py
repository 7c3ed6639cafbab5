"""What a point takes on disk, and what compaction costs: ``python benchmarks/lake_size.py`` (``make bench-lake``).

Makes the points of tasks that are sampled once a second, hands them to the lake as a sink does (a commit of so many
points, files merged by levels), and compacts the day as the collector does, in a process of its own. Prints Markdown.

The points: twelve series a task; levels walk at random, moving in seven samples of ten, and are rounded as real gauges
are (cores to 1e-4, memory to pages, utilization to a hundredth). All tasks of a host are sampled at the same moment,
which may be late by some hundred microseconds, and arrive with each export, every five seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from array import array
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stepsize.store.lake import Lake
from stepsize.store.merge import due, merged
from stepsize.store.order import in_order
from stepsize.store.schema import POINTS
from stepsize.store.writer import LakeWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPACT = """
import re, sys, time
from pathlib import Path
import pyarrow as pa
from stepsize.collector.upkeep.tend import tend
from stepsize.store.retention import Retention
pa.set_cpu_count(1)
cpu_s, started_s = time.process_time(), time.monotonic()
tend(Path(sys.argv[1]), Retention(), 0.0).raise_failed()
status = Path("/proc/self/status").read_text()
print(time.process_time() - cpu_s, time.monotonic() - started_s, re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""
"""As the collector's own process does it. Its peak is VmHWM: getrusage's may be its parent's."""
WRITER = "11111111-1111-4111-8111-111111111111"
SECOND = 10**9
PAGE = 4096
DAY = 1_790_035_200 * SECOND  # a midnight that is past
EXPORT_S = 5
CASES = {
    "on the second, 1 task on a host": (0, 1),
    "late by 200 µs, 8 tasks on a host": (200_000, 8),
    "late by 200 µs, 1 task on a host": (200_000, 1),
}
"""How late samples are, in nanoseconds (standard deviation), and how many tasks share a host's clock."""


class Level(NamedTuple):
    """A series: its metric, unit, attributes, highest value, and to what it is rounded (an int is stored as one)."""

    metric: str
    unit: str
    attributes: str
    highest: float
    step: float


SERIES = (
    Level("stepsize.task.cpu.usage", "{cpu}", "{}", 8.0, 1e-4),
    Level("stepsize.task.memory.usage", "By", "{}", 8e9, PAGE),
    Level("stepsize.task.process.count", "1", "{}", 8, 1),
    Level("stepsize.task.thread.count", "1", "{}", 64, 1),
    Level("stepsize.task.disk.io.rate", "By/s", '{"disk.io.direction":"read"}', 1e7, PAGE),
    Level("stepsize.task.disk.io.rate", "By/s", '{"disk.io.direction":"write"}', 1e7, PAGE),
    Level("stepsize.task.network.io.rate", "By/s", '{"network.io.direction":"receive"}', 1e6, 1),
    Level("stepsize.task.network.io.rate", "By/s", '{"network.io.direction":"transmit"}', 1e6, 1),
    Level("stepsize.task.disk.usage", "By", "{}", 1e9, PAGE),
    Level("stepsize.task.gpu.utilization", "1", "{}", 1.0, 1e-2),
    Level("stepsize.task.gpu.memory.usage", "By", "{}", 4e10, 1 << 20),
    Level("container.memory.working_set", "By", "{}", 8e9, PAGE),
)


def walk(chance: random.Random, level: Level, count: int) -> list[float]:
    """A level's samples."""
    share, made = chance.random() / 2, []
    for _ in range(count):
        if chance.random() < 0.7:
            share = min(1.0, max(0.0, share + chance.gauss(0, 0.02)))
        steps = int(share * level.highest / level.step)
        made.append(steps * level.step if isinstance(level.step, int) else round(steps * level.step, 4))
    return made


def clocks(chance: random.Random, seconds: int, late_ns: int) -> tuple[list[int], list[int]]:
    """When a host sampled, and when each sample arrived."""
    phase = chance.randrange(SECOND // 2)
    times = [DAY + phase + i * SECOND + int(abs(chance.gauss(0, late_ns))) for i in range(seconds)]
    arrived = []
    for start in range(0, seconds, EXPORT_S):
        export = times[start : start + EXPORT_S]
        arrived += [export[-1] + chance.randrange(2_000_000, 20_000_000)] * len(export)
    return times, arrived


def hour(tasks: int, tasks_on_host: int, seconds: int, late_ns: int) -> pa.Table:
    """All points, sorted by series."""
    chance = random.Random(1)
    hosts = [clocks(chance, seconds, late_ns) for _ in range(-(-tasks // tasks_on_host))]
    parts = []
    for task in range(tasks):
        times, arrived = hosts[task // tasks_on_host]
        for level in SERIES:
            values = walk(chance, level, seconds)
            kind = "value_int" if isinstance(level.step, int) else "value_double"
            columns = {
                **{name: _constant(value, seconds) for name, value in _described(task, tasks_on_host, level).items()},
                "time_unix_nano": pa.array(array("q", times)),
                "received_at_unix_nano": pa.array(array("q", arrived)),
                kind: pa.array(values, POINTS.field(kind).type),
            }
            rows = [columns.get(field.name, pa.nulls(seconds, field.type)) for field in POINTS]
            parts.append(
                pa.table([column.cast(field.type) for column, field in zip(rows, POINTS, strict=True)], POINTS)
            )
    return in_order(pa.concat_tables(parts), "points")


def _described(task: int, tasks_on_host: int, level: Level) -> dict[str, object]:
    flow, run, step = f"Flow{task % 5}", str(1_790_000_000 + task // 35), f"step{task // 5 % 7}"
    host = f"ip-10-0-{task // tasks_on_host}"
    named = {
        "flow.name": flow,
        "run.id": run,
        "step.name": step,
        "task.id": str(task),
        "user": "ann",
        "project": "demo",
    }
    resource_ = {"service.name": flow, "host.name": host, "process.pid": 1000 + task, "cloud.region": "eu-west-1"}
    return {
        "metric": level.metric,
        "unit": level.unit,
        "kind": "gauge",
        "description": level.metric,
        "flow": flow,
        "run": run,
        "step": step,
        "task": str(task),
        "attempt": 0,
        "host": host,
        "service": flow,
        "attributes": level.attributes,
        "resource": json.dumps({**{f"stepsize.{name}": text for name, text in named.items()}, **resource_}),
        "scope": '{"name":"stepsize","version":"0.1.0"}',
        "start_time_unix_nano": 0,
        "flags": 0,
    }


def _constant(value: object, count: int) -> pa.Array:
    array_ = pa.repeat(pa.scalar(value), count)
    return array_.dictionary_encode() if isinstance(value, str) else array_


def commits(points: pa.Table, rows: int) -> Iterator[pa.Table]:
    """The points as they arrive, about so many at once, each lot sorted by series."""
    arrived = points["received_at_unix_nano"]
    first, last = pc.min(arrived).as_py(), pc.max(arrived).as_py() + 1
    count = max(1, round(points.num_rows / rows))
    for number in range(count):
        low, high = (first + (last - first) * edge // count for edge in (number, number + 1))
        part = points.filter(pc.and_(pc.greater_equal(arrived, low), pc.less(arrived, high)))
        if part.num_rows:
            yield part


def store(lake: Path, points: pa.Table, rows: int) -> float:
    """Write the points as a sink does; bytes a point of what was written first."""
    Lake(lake).create()
    writer = LakeWriter(lake, WRITER)
    written_bytes = 0
    for part in commits(points, rows):
        stored = writer.write("points", "day=2026-09-22", part)
        written_bytes += stored.size_bytes
        files = [*writer.manifest.files, stored]
        while groups := due(files):
            for group in groups:
                one = merged(writer.read(group, "points"), "points")
                larger = writer.write("points", "day=2026-09-22", one, level=group[0].level + 1)
                files = [*(kept for kept in files if kept not in group), larger]
        writer.commit(replace(writer.manifest, files=tuple(files)))
        writer.collect_garbage(0.0, grace_s=0.0)
    return written_bytes / points.num_rows


def compacted(lake: Path) -> tuple[float, float, float]:
    """Compact in a process of its own: its CPU seconds, its seconds, its MiB at the most."""
    command = [sys.executable, "-c", COMPACT, str(lake)]
    cpu_s, wall_s, peak_kib = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(cpu_s), float(wall_s), float(peak_kib) / 1024


def columns_of(files: list[Path]) -> dict[str, float]:
    """Bytes by column, the largest first."""
    found: dict[str, int] = {}
    for path in files:
        metadata = pq.ParquetFile(path).metadata
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column = metadata.row_group(group).column(number)
                found[column.path_in_schema] = found.get(column.path_in_schema, 0) + column.total_compressed_size
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--commit", type=int, default=50_000, help="points that are committed at once")
    arguments = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, pyarrow {pa.__version__}\n"
    )
    print("| samples | points | as committed | merged | compacted | CPU s/M points | s/M points | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    columns = {}
    for case, (late_ns, tasks_on_host) in CASES.items():
        points = hour(arguments.tasks, tasks_on_host, arguments.seconds, late_ns)
        count = points.num_rows
        with tempfile.TemporaryDirectory() as directory:
            lake = Path(directory, "lake")
            committed = store(lake, points, arguments.commit)
            del points
            before = sum(path.stat().st_size for path in lake.glob(f"points/*/{WRITER}*")) / count
            cpu_s, wall_s, peak_mib = compacted(lake)
            named = [lake / one.path for one in LakeWriter(lake, WRITER).manifest.files]
            after = sum(path.stat().st_size for path in named) / count
            columns[case] = {name: size / count for name, size in columns_of(named).items()}
        millions = count / 1e6
        print(
            f"| {case} | {count:,} | {committed:.2f} | {before:.2f} | {after:.2f} "
            f"| {cpu_s / millions:.2f} | {wall_s / millions:.2f} | {peak_mib:.0f} |",
            flush=True,
        )
    print("\nBytes a point by column, after compaction:\n")
    for case, sizes in columns.items():
        shown = ", ".join(f"`{name}` {size:.2f}" for name, size in sizes.items() if size >= 0.005)
        print(f"- {case}: {shown}")


if __name__ == "__main__":
    main()
