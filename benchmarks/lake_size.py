"""What a point takes on disk, and what compaction costs: ``python benchmarks/lake_size.py`` (``make bench-lake``).

Makes the points of tasks that are sampled once a second (``lake_points.py``), hands them to the lake as a sink does (a
commit of so many points, files merged by levels), and compacts the day as the collector does, in a process of its own.
Beside it, the same points in VictoriaMetrics and Prometheus (``databases.py``), where their Debian packages can be had.
Prints Markdown, and writes what it found as JSON for ``plots.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import databases
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from databases import Held
from lake_points import PARTITION, commits, hour

from stepsize.store.lake import Lake
from stepsize.store.merge import due, merged
from stepsize.store.writer import LakeWriter

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
CASES = {
    "on the second, 1 task on a host": (0, 1),
    "late by 200 µs, 8 tasks on a host": (200_000, 8),
    "late by 200 µs, 1 task on a host": (200_000, 1),
}
"""How late samples are, in nanoseconds (standard deviation), and how many tasks share a host's clock."""
QUERY = "SELECT flow, avg(value) FROM points WHERE metric = 'stepsize.task.cpu.usage' GROUP BY flow"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one case.

    Attributes:
        committed, merged, compacted: bytes a point of what was written first, lay there before compaction and after it.
        cpu_s, wall_s: of compaction, a million points.
        peak_mib: the most memory that compaction took.
        columns: bytes a point by column, the largest first.
        beside: database → what it made of the same points.
    """

    case: str
    points: int
    committed: float
    merged: float
    compacted: float
    cpu_s: float
    wall_s: float
    peak_mib: float
    query_cpu_ms: float
    columns: dict[str, float]
    beside: dict[str, Held]


def store(lake: Path, points: pa.Table, rows: int) -> float:
    """Write the points as a sink does; bytes a point of what was written first."""
    Lake(lake).create()
    writer = LakeWriter(lake, WRITER)
    written_bytes = 0
    for part in commits(points, rows):
        stored = writer.write("points", PARTITION, part)
        written_bytes += stored.size_bytes
        files = [*writer.manifest.files, stored]
        while groups := due(files):
            for group in groups:
                one = merged(writer.read(group, "points"), "points")
                larger = writer.write("points", PARTITION, one, level=group[0].level + 1)
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


def query_cpu_ms(lake: Path) -> float:
    """CPU milliseconds of the mean of one metric by flow, on one thread; the mean of some."""
    with duckdb.connect(str(lake / "stepsize.duckdb"), read_only=True, config={"threads": 1}) as connection:
        started_s = time.process_time()
        for _ in range(5):
            connection.execute(QUERY).fetchall()
        return (time.process_time() - started_s) / 5 * 1e3


def beside(points: pa.Table, seconds: int) -> dict[str, Held]:
    """The same points in the databases that can be had here; says which cannot."""
    found = {}
    for name, keep, package in (
        ("VictoriaMetrics", databases.in_victoria_metrics, databases.VICTORIA_METRICS),
        ("Prometheus", databases.in_prometheus, databases.PROMETHEUS),
    ):
        try:
            package.unpacked()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"not beside {name}: {package.name} {package.version} cannot be had here: {error}", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as directory:
            found[f"{name} {package.version.partition('+')[0]}"] = keep(points, seconds, Path(directory))
    return found


def measured(case: str, tasks: int, seconds: int, commit: int) -> Found:
    """One case."""
    late_ns, tasks_on_host = CASES[case]
    points = hour(tasks, tasks_on_host, seconds, late_ns)
    count = points.num_rows
    others = beside(points, seconds)
    with tempfile.TemporaryDirectory() as directory:
        lake = Path(directory, "lake")
        committed = store(lake, points, commit)
        del points
        before = sum(path.stat().st_size for path in lake.glob(f"points/*/{WRITER}*")) / count
        cpu_s, wall_s, peak_mib = compacted(lake)
        named = [lake / one.path for one in LakeWriter(lake, WRITER).manifest.files]
        after = sum(path.stat().st_size for path in named) / count
        columns = {name: size / count for name, size in columns_of(named).items()}
        asked_ms = query_cpu_ms(lake)
    millions = count / 1e6
    return Found(
        case, count, committed, before, after, cpu_s / millions, wall_s / millions, peak_mib, asked_ms, columns, others
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--commit", type=int, default=50_000, help="points that are committed at once")
    parser.add_argument("--json", type=Path, help="where to leave what was found")
    arguments = parser.parse_args()
    machine = (
        f"{platform.platform()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, pyarrow {pa.__version__}, DuckDB {duckdb.__version__}"
    )
    results = [measured(case, arguments.tasks, arguments.seconds, arguments.commit) for case in CASES]
    print("\n".join([machine, "", *_tables(results)]))
    if arguments.json:
        found = {"machine": machine, "cases": [asdict(one) for one in results]}
        arguments.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _tables(results: list[Found]) -> list[str]:
    lines = [
        "| samples | points | as committed | merged | compacted | CPU s/M points | s/M points | peak MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.case} | {one.points:,} | {one.committed:.2f} | {one.merged:.2f} | {one.compacted:.2f} "
        f"| {one.cpu_s:.2f} | {one.wall_s:.2f} | {one.peak_mib:.0f} |"
        for one in results
    ]
    names = sorted({name for one in results for name in one.beside}, reverse=True)
    lines += [
        "",
        "Beside others, bytes a point once all is merged (index included, and of that), and CPU ms of one query:",
        "",
        f"| samples | this lake | {' | '.join(names)} |",
        "| --- | --- |" + " --- |" * len(names),
    ]
    lines += [
        f"| {one.case} | {one.compacted:.2f}, {one.query_cpu_ms:.0f} ms | "
        + " | ".join(_held(one.beside[name]) if name in one.beside else "" for name in names)
        + " |"
        for one in results
    ]
    lines += ["", "Bytes a point by column, after compaction:", ""]
    for one in results:
        shown = ", ".join(f"`{name}` {size:.2f}" for name, size in one.columns.items() if size >= 0.005)
        lines.append(f"- {one.case}: {shown}")
    return lines


def _held(held: Held) -> str:
    asked = "" if held.query_cpu_ms is None else f", {held.query_cpu_ms:.0f} ms"
    return f"{held.bytes_a_point:.2f} ({held.index_bytes_a_point:.2f}){asked}"


if __name__ == "__main__":
    main()
