"""Measures each workload three times over: what it truly used, what stepsize says, what resource-tracker says.

What comes in: which workloads. What goes out: a table in Markdown on standard output; the exit code is 1 where a figure
of ours is neither within the bounds nor declared unknowable. The truth of a run comes from a control group that holds
that run alone, so it needs a machine that lets it make one. ``stepsize run`` watches the same run from outside; the
peer watches another run of the same program, beside a group of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import peers
from benchmarks.environment import clean_environment, settle
from benchmarks.truth.groups import truth_group
from benchmarks.truth.workloads import EXACT, PRELUDE, WORKLOADS, Workload

SHARE = 0.02
"""Ours is to be within this of the truth ..."""
FLOORS = {"cpu": 0.03, "memory": 4 << 20, "disk": 1 << 20}
"""... or within this: three clock ticks, a thousand pages, a mebibyte."""
UNITS = {
    "cpu": (1.0, "CPU s", "{:.2f}"),
    "memory": (1 << 20, "peak MiB", "{:.0f}"),
    "disk": (1 << 20, "MiB written", "{:.0f}"),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run used, or is said to have used: CPU seconds, bytes."""

    cpu: float | None
    memory: float | None
    disk: float | None
    source: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="workloads whose name holds this")
    parser.add_argument("--no-peers", action="store_true", help="leave resource-tracker out")
    options = parser.parse_args()
    chosen = [(n, w) for n, w in enumerate(WORKLOADS) if options.only in w.name]
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name:
        place = Place(Path(name))
        place.run_ours("warm", ["true"])
        rows = []
        for number, workload in chosen:
            print(f"{workload.name} ...", file=sys.stderr)
            truth = place.truth_and_ours(f"w{number}", workload)
            peer = None if options.no_peers else place.peer(f"p{number}", workload)
            rows.append((f"w{number}", workload, truth, peer))
        ours = place.lake()
    print(_header())
    failed = [line for key, *row in rows for line in _lines(*row, ours.get(key)) if _print(line)]
    print(f"\n{len(failed)} of ours out of bounds")
    return 1 if failed else 0


class Place:
    """Directories for a lake, an agent and the workloads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._environment = clean_environment(directory, 10)

    def run_ours(self, task: str, command: list[str], *, stopped_agent: bool = False) -> None:
        """Run a command under ``stepsize run``, as a task of this name."""
        identity = ["--flow", "Truth", "--run", "1", "--step", task]
        with subprocess.Popen(  # which is waited for at the end of the block
            [sys.executable, "-m", "stepsize", "run", *identity, "--", *command],
            env=self._environment,
            cwd=self._cwd(task),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ):
            if stopped_agent:
                time.sleep(1.0)  # into the workload
                agent = self._agent()
                os.kill(agent, signal.SIGSTOP)
                time.sleep(3.0)
                os.kill(agent, signal.SIGCONT)

    def truth_and_ours(self, task: str, workload: Workload) -> Figures:
        """Run a workload under ``stepsize run``; what it truly used."""
        with truth_group(f"{'docker-' if workload.contained else 'truth-'}{os.getpid()}-{task}") as group:
            command = [*group.enter(), *self._command(task, workload)]
            self.run_ours(task, command, stopped_agent=workload.stopped_agent)
            charged = group.charged()
        pages = int((self._cwd(task) / "file_pages").read_text()) * 1024
        return Figures(charged.cpu_s, charged.memory_peak_bytes + pages, workload.disk_bytes)

    def peer(self, task: str, workload: Workload) -> Figures:
        """What resource-tracker says of another run of the workload."""
        script = Path(__file__).with_name("resource_tracker_watch.py")
        command = [str(peers.interpreter("resource-tracker")), str(script), *self._command(task, workload)]
        done = subprocess.run(command, cwd=self._cwd(task), capture_output=True, text=True, check=False, timeout=120)
        last = done.stdout.strip().splitlines()[-1:]
        if done.returncode or not last:
            print(done.stderr, file=sys.stderr)
            return Figures(None, None, None)
        found = json.loads(last[0])
        return Figures(found["cpu_s"], found["memory_bytes"], found["write_bytes"])

    def lake(self) -> dict[str, Figures]:
        """What stepsize says, by task."""
        settle(self._environment)
        sql = "SELECT step, cpu_seconds, memory_peak_bytes, disk_write_bytes, memory_source FROM tasks"
        with duckdb.connect(str(self._directory / "lake" / "stepsize.duckdb"), read_only=True) as connection:
            rows: list[tuple[Any, ...]] = connection.sql(sql).fetchall()
        return {row[0]: Figures(*row[1:]) for row in rows}

    def _command(self, task: str, workload: Workload) -> list[str]:
        script = self._cwd(task) / "workload.py"
        script.write_text(PRELUDE + workload.code)
        return [*workload.through, sys.executable, "-I", "-S", str(script)]

    def _cwd(self, task: str) -> Path:
        directory = self._directory / task
        directory.mkdir(exist_ok=True)
        return directory

    def _agent(self) -> int:
        mark = f"STEPSIZE_RUNTIME={self._directory / 'run'}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_agent = b"stepsize.instrumentation.agent" in (process / "cmdline").read_bytes().split(b"\0")
                if is_agent and mark in (process / "environ").read_bytes().split(b"\0"):
                    return int(process.name)
        raise RuntimeError("there is no agent")


def _header() -> str:
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    machine = f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    return (
        f"{today}, {machine}\n\n"
        "| workload | figure | truth | stepsize | off by | resource-tracker 0.5.0 | off by | |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of one workload, as it is printed."""

    text: str
    failed: bool


def _lines(workload: Workload, truth: Figures, peer: Figures | None, ours: Figures | None) -> list[Line]:
    found = []
    for figure, (unit, label, form) in UNITS.items():
        wanted = getattr(workload, figure)
        if not wanted:
            continue
        true, our, its = (None if one is None else getattr(one, figure) for one in (truth, ours, peer))
        good = our is not None and true is not None and abs(our - true) <= max(SHARE * true, FLOORS[figure])
        failed = wanted == EXACT and not good
        remark = "**out of bounds**" if failed else "" if good else f"unknowable: {wanted}"
        cells = [workload.name, label, *(_cell(true, unit, form),)]
        for value in (our, its):
            cells += [_cell(value, unit, form), _off(value, true)]
        found.append(Line("| " + " | ".join([*cells, remark]) + " |", failed))
    return found


def _cell(value: float | None, unit: float, form: str) -> str:
    return "none" if value is None else form.format(value / unit)


def _off(value: float | None, true: float | None) -> str:
    return "" if value is None or not true else f"{100 * (value - true) / true:+.1f} %"


def _print(line: Line) -> bool:
    print(line.text)
    return line.failed


if __name__ == "__main__":
    sys.exit(main())
