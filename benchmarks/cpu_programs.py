"""Real programs under ``stepsize run``: their use over time, and the run time expected on one core beside the measured.

What comes in: how often to repeat. What goes out: a :class:`cpu_rules.Part`. Each program runs on all cores and on one
(its affinity is set), in turns, so that other load on the machine meets both alike. Linux.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cpu_rules import Part
from environment import clean_environment, settle

from stepsize.analyzer.sizing import cpu
from stepsize.analyzer.sizing.cpu.advice import run_time_of
from stepsize.analyzer.usage import Query, StepEvidence, histories
from stepsize.store.lake import Lake

if TYPE_CHECKING:
    from collections.abc import Mapping

_IDLE_S = 5.0
_BUSY = 0.5
"""Load, as a share of the cores, from which on programs are not run."""
_INPUT_BYTES = 48 * 10**6

_PYTHON = """
    total = 0
    for number in range(40_000_000):
        total += number * number % 7
"""
_SERIAL_THEN_POOL = """
    import multiprocessing
    def work(until):
        total = 0
        for number in range(until):
            total += number * number % 7
    if __name__ == "__main__":
        work(12_000_000)
        with multiprocessing.Pool(2) as pool:
            pool.map(work, [9_000_000] * 4)
"""
_WAITS_AND_MULTIPLIES = """
    import time
    import numpy
    chance = numpy.random.default_rng(1)
    for _ in range(4):
        time.sleep(0.8)
        left = chance.random((2200, 2200))
        for _ in range(2):
            left = left @ left
            left /= left.max()
"""

_PROGRAMS: Mapping[str, str] = {
    "Python loop": "{python} loop.py",
    "gzip -9": "gzip -9 -k -f -c input > out.gz",
    "xz -2 -T2": "xz -2 -T2 -k -f -c --block-size=4MiB input > out.xz",
    "sort --parallel=2": "LC_ALL=C sort --parallel=2 -S 200M input -o sorted",
    "serial, then a pool of 2": "{python} pool.py",
    "waits, then numpy products": "{python} products.py",
}

_HONEST = """Real programs on this machine under `stepsize run`, {repeats} times on all {cpus} cores and as often on
one, in turns. *Expected* is what the evidence of the runs on all cores says of one core; *measured* is the median
there. With {cpus} cores there is not much to choose: this is for the run times, not for the choice."""
_HEAD = """| program | mean cores | highest | short on one core, % | run time on one: expected | measured | presets |
| --- | --- | --- | --- | --- | --- | --- |"""


@dataclass(frozen=True, slots=True)
class _Found:
    """A program's evidence on all cores, and its run times."""

    evidence: StepEvidence
    all_s: float
    one_s: float


def programs_part(repeats: int) -> Part:
    """Run them all, and the table; on a machine that has other work to do, only that it has."""
    busy, cpus = os.getloadavg()[0], os.cpu_count() or 1
    if busy > _BUSY * cpus:
        left_out = f"Not run: the load was {busy:.1f} on {cpus} cores, so that no run time would hold."
        return Part(f"## Programs\n\n{left_out}", {})
    with tempfile.TemporaryDirectory(prefix="ss-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        _write_inputs(directory)
        environment = clean_environment(directory, _IDLE_S) | {"STEPSIZE_INTERVAL": "0.5"}
        took = _run_all(directory, environment, repeats)
        settle(environment)
        connection = Lake(directory / "lake").connect()
        try:
            evidence = {step.step: step for step in histories(connection, Query(flow="all"))}
        finally:
            connection.close()
    lines = [_HEAD]
    for program, (all_s, one_s) in took.items():
        lines.append(_line(program, _Found(evidence[program], all_s, one_s)))
    honest = _HONEST.format(repeats=repeats, cpus=os.cpu_count())
    return Part("\n".join(["## Programs", "", honest, "", *lines]), {})


def _run_all(directory: Path, environment: Mapping[str, str], repeats: int) -> dict[str, tuple[float, float]]:
    """Median seconds of each program on all cores and on one."""
    every, first = sorted(os.sched_getaffinity(0)), min(os.sched_getaffinity(0))
    took: dict[str, tuple[list[float], list[float]]] = {program: ([], []) for program in _PROGRAMS}
    for number in range(repeats):
        for program, command in _PROGRAMS.items():
            for which, (flow, cpus) in enumerate((("all", every), ("one", [first]))):
                took[program][which].append(_run(directory, environment, program, command, flow, str(number), cpus))
    return {program: (statistics.median(both[0]), statistics.median(both[1])) for program, both in took.items()}


def _run(
    directory: Path, environment: Mapping[str, str], program: str, command: str, flow: str, run: str, cpus: list[int]
) -> float:
    """Seconds that one run took. Only the command is kept to ``cpus``: the agent may run on all."""
    kept = f"taskset -c {','.join(map(str, cpus))} sh -c"
    shell = command.format(python=sys.executable)
    tracked = [
        sys.executable,
        "-m",
        "stepsize",
        "run",
        "--quiet",
        "--flow",
        flow,
        "--run",
        run,
        "--step",
        program,
        "--",
    ]
    began = time.monotonic()
    subprocess.run([*tracked, *kept.split(), shell], cwd=directory, env=dict(environment), check=True)
    return time.monotonic() - began


def _line(program: str, found: _Found) -> str:
    run_time = run_time_of(found.evidence)
    if run_time is None:
        return f"| {program} | not measured | | | | | |"
    ended = found.evidence.ended
    mean = sum(a.cpu_seconds or 0.0 for a in ended) / sum(a.duration_s or 0.0 for a in ended)
    highest = max(a.cpu_max or 0.0 for a in ended)
    short = run_time.held_back(1) / run_time.stretch(1)
    asked = ", ".join(f"{cpu.size(found.evidence, preset).cores:g}" for preset in cpu.PRESETS.values())
    return (
        f"| {program} | {mean:.2f} | {highest:.2f} | {100 * short:.0f} | {run_time.stretch(1):.2f} "
        f"| {found.one_s / found.all_s:.2f} | {asked} |"
    )


def _write_inputs(directory: Path) -> None:
    """Lines of words in no order, the same at each time, and the programs."""
    import random  # noqa: PLC0415 - here alone

    chance = random.Random(7)
    words = [f"{chance.getrandbits(40):x}" for _ in range(5000)]
    with (directory / "input").open("w", encoding="ascii") as file:
        written = 0
        while written < _INPUT_BYTES:
            written += file.write(" ".join(chance.choices(words, k=3)) + "\n")
    for name, text in (("loop.py", _PYTHON), ("pool.py", _SERIAL_THEN_POOL), ("products.py", _WAITS_AND_MULTIPLIES)):
        (directory / name).write_text(textwrap.dedent(text), "utf-8")
