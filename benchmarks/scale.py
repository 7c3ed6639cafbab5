"""What a report and a roll-up take of lakes of more and more tasks: ``make bench-scale``.

Writes lakes of tasks (`scale_lake`) and of points (`lake_points`), runs ``stepsize report`` and ``stepsize rollup`` on
them, each in a process of its own, and prints as Markdown the CPU time and the most memory of each, as the kernel
counts them. ``--tasks`` and ``--points-of`` choose the sizes; none leave a table out.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.environment import clean_environment
from benchmarks.lake_points import PARTITION, hour
from benchmarks.scale_lake import write_lake
from stepsize.store.lake import Lake
from stepsize.store.writer import LakeWriter

TASKS = (10_000, 100_000, 1_000_000)
TASKS_OF_A_STEP = 100
POINTS_OF_TASKS = (50, 500)
"""Tasks of 12 series for an hour: 43,200 points each."""
_ON_A_HOST = 10
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Taken:
    """CPU seconds of a process and its children, and the most memory of one."""

    cpu_s: float
    memory_mib: float


def measured(home: Path, *command: str) -> Taken:
    """Run a command of ours and wait for it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stepsize", *command],
        env=clean_environment(home, 1.0),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: {said}")
    return Taken(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / _MIB)


def reports(home: Path, sizes: list[int]) -> None:
    """A table of reports."""
    print("| tasks | steps | `tasks` on disk | `stepsize report`, CPU | a task | most memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in sizes:
        steps = max(1, size // TASKS_OF_A_STEP)
        data = home / "lake"
        count = write_lake(data, size, steps)
        disk = sum(path.stat().st_size for path in data.rglob("*.parquet"))
        out = str(home / "report.json")
        taken = measured(home, "report", "--data", str(data), "--format", "json", "--out", out)
        each_us = taken.cpu_s / count * 1e6
        sized = f"{count:,} | {steps:,} | {disk / 1e6:.0f} MB"
        print(f"| {sized} | {taken.cpu_s:.1f} s | {each_us:.0f} µs | {taken.memory_mib:.0f} MiB |", flush=True)
        shutil.rmtree(data)


def roll_ups(home: Path, sizes: list[int], memory: str) -> None:
    """A table of roll-ups by DuckDB."""
    print(f"| points | tasks | points on disk | `stepsize rollup --memory {memory}`, CPU | a point | most memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for size in sizes:
        data, out = home / "lake", home / "out"
        count = write_points(data, size)
        disk = sum(path.stat().st_size for path in data.rglob("*.parquet"))
        taken = measured(home, "rollup", "--data", str(data), "--out", str(out), "--memory", memory)
        each_us = taken.cpu_s / count * 1e6
        sized = f"{count:,} | {size:,} | {disk / 1e6:.0f} MB"
        print(f"| {sized} | {taken.cpu_s:.1f} s | {each_us:.2f} µs | {taken.memory_mib:.0f} MiB |", flush=True)
        shutil.rmtree(data)
        shutil.rmtree(out)


def write_points(data: Path, tasks: int) -> int:
    """A lake of the points of ``tasks``, in files of a few tasks each; returns how many there are."""
    Lake(data).create()
    writer = LakeWriter(data, str(uuid.UUID(int=tasks)))
    stored = []
    points = hour(_ON_A_HOST, _ON_A_HOST, 3600, 300_000)
    place = points.schema.get_field_index("run")
    for part in range(tasks // _ON_A_HOST):
        run = pa.repeat(pa.scalar(f"run-{part}"), len(points)).cast(points.schema.field(place).type)
        rows = points.set_column(place, points.schema.field(place), run)
        stored.append(writer.write("points", PARTITION, rows))
    writer.commit(replace(writer.manifest, files=tuple(stored)))
    return sum(one.rows for one in stored)


def main() -> None:
    """The tables, with what made them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="*", default=list(TASKS))
    parser.add_argument("--points-of", type=int, nargs="*", default=list(POINTS_OF_TASKS))
    parser.add_argument("--memory", default="1GiB")
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"load {os.getloadavg()[0]:.1f}")
    print()
    with tempfile.TemporaryDirectory() as directory:
        reports(Path(directory), options.tasks)
        print()
        roll_ups(Path(directory), options.points_of, options.memory)


if __name__ == "__main__":
    main()
