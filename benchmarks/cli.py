"""How long the command line takes to start and to answer from the catalogue.

What comes in: nothing. What goes out: medians and spreads of many runs, each command in turn with the others so that
all see the same machine, beside ``python -c pass`` and ``python -c "import duckdb"``; wall clock and CPU time.
Run: ``make bench-cli``; ``python benchmarks/cli.py --runs 40 --results benchmarks/results``.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from environment import clean_environment

COMMANDS: dict[str, tuple[str, ...]] = {
    "python -c pass": ("-c", "pass"),
    'python -c "import duckdb"': ("-c", "import duckdb"),
    "stepsize --version": ("-m", "stepsize", "--version"),
    "stepsize --help": ("-m", "stepsize", "--help"),
    "stepsize match --help": ("-m", "stepsize", "match", "--help"),
    "stepsize match --cpu 4 --memory 16GiB": ("-m", "stepsize", "match", "--cpu", "4", "--memory", "16GiB"),
    "stepsize match ... --tasks 40 --duration 10m": (
        *("-m", "stepsize", "match", "--cpu", "4", "--memory", "16GiB", "--tasks", "40", "--duration", "10m"),
    ),
}
START = """
import time
import duckdb
began, used = time.perf_counter(), time.process_time()
duckdb.connect(config={"threads": 1}).execute("SELECT 1").fetchall()
print(time.perf_counter() - began, time.process_time() - used)
"""
"""DuckDB's engine starts, in a process of its own: it starts once in each."""
INSIDE = """
import time
from datetime import date
import duckdb
import stepsize.cli, stepsize.commands.match, stepsize.store.bounds
from stepsize.analyzer.catalog import place
from stepsize.analyzer.formats.offers import render
from stepsize.analyzer.matching import Catalog, Need

marks = []
def mark():
    marks.append((time.perf_counter(), time.process_time()))

mark()
with Catalog.open(place.directory()) as catalog:
    mark()
    offers = catalog.cheapest(Need(4, 16384), 5)
    mark()
    render(offers, "table", date(2026, 11, 22))
    mark()
    catalog.cheapest(Need(4, 16384), 6)
    mark()
for (wall, cpu), (later, more) in zip(marks, marks[1:]):
    print(later - wall, more - cpu)
"""
"""A match after its imports: the catalogue is opened, which starts DuckDB, and asked, and the answer written."""
PARTS = (
    "DuckDB's engine starts (a process of its own)",
    "the catalogue is opened, that within",
    "the first answer",
    "it is written",
    "the next answer",
)


def once(arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[float, float]:
    """Wall clock and CPU seconds of a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def inside(environment: dict[str, str]) -> list[tuple[float, float]]:
    """Wall clock and CPU seconds of the parts of a match after its imports."""
    printed = ""
    for code in (START, INSIDE):
        command = [sys.executable, "-c", code]
        printed += subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return [(float(wall), float(cpu)) for wall, cpu in map(str.split, printed.splitlines())]


def spread(values: list[float]) -> str:
    """Median and quartiles in ms."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle * 1000:.0f} ({low * 1000:.0f} to {high * 1000:.0f})"


def measure(runs: int, environment: dict[str, str]) -> list[str]:
    """The lines of the results."""
    walls: dict[str, list[float]] = {name: [] for name in COMMANDS}
    cpus: dict[str, list[float]] = {name: [] for name in COMMANDS}
    parts: list[list[tuple[float, float]]] = []
    for run in range(runs + 1):
        for name, arguments in COMMANDS.items():
            wall, cpu = once(arguments, environment)
            if run:  # the first compiles and warms up
                walls[name].append(wall)
                cpus[name].append(cpu)
        if run:
            parts.append(inside(environment))
    bare, duckdb = (statistics.median(walls[name]) for name in list(COMMANDS)[:2])
    lines = [
        "| | wall ms (quartiles) | CPU ms | times `pass` | times `import duckdb` |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in COMMANDS:
        wall = statistics.median(walls[name])
        cpu = statistics.median(cpus[name]) * 1000
        lines.append(f"| `{name}` | {spread(walls[name])} | {cpu:.0f} | {wall / bare:.1f} | {wall / duckdb:.2f} |")
    lines += [
        "",
        "Within `stepsize match`, once it is imported:",
        "",
        "| | wall ms (quartiles) | CPU ms |",
        "| --- | --- | --- |",
    ]
    columns = [list(column) for column in zip(*parts, strict=True)]
    after = [[tuple(sum(part[i] for part in run[1:4]) - run[0][i] for i in (0, 1)) for run in parts]]
    for title, column in zip(
        (*PARTS, "**opened, answered and written, less DuckDB's start**"), columns + after, strict=True
    ):
        cpu = statistics.median(cpu for _, cpu in column) * 1000
        lines.append(f"| {title} | {spread([wall for wall, _ in column])} | {cpu:.0f} |")
    return lines


def main() -> None:
    """Measures, prints, and keeps the results where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--results", type=Path, help="directory for cli.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        environment = clean_environment(Path(directory), 5.0)
        lines = measure(options.runs, environment)
    load = os.getloadavg()[0]
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} at the end"
    text = "\n".join(
        ["# Start-up and matching", "", f"`make bench-cli`: medians of {options.runs} runs; {machine}.", "", *lines]
    )
    print(text)
    if options.results is not None:
        (options.results / "cli.md").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
