"""How sizing policies do on recorded tasks: ``python benchmarks/sizing.py TRACES`` (``make bench-sizing TRACES=DIR``).

Replays every CSV file of a directory (`docs/backtest.md` says what is in one) with stepsize's policy at a row of
failure prices, and with every published rule, in the modes ``online``, ``causal`` (files with times) and ``run`` (files
with several runs; one request a step and run), where attempts that are too small fail at the end of the run time, and
halfway. Prints the tables of ``sizing_tables.py`` as Markdown; ``--results`` leaves them in a directory, with the
figures to be drawn (`plots.py`). Deterministic: the machine changes nothing but the time it takes.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sizing_tables import NO_COLD_START, Scored, as_data, told

from stepsize.analyzer.backtest import baselines
from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.learned import LearnedSizer
from stepsize.analyzer.backtest.records import Records, read
from stepsize.analyzer.backtest.replay import replay
from stepsize.analyzer.backtest.score import Scorer
from stepsize.analyzer.sizing.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.analyzer.backtest.sizer import Sizer

PRICES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0)
"""What one failed attempt costs, in typical tasks."""
AT_ONCE, HALFWAY = 1.0, 0.5
"""Shares of the run time after which an attempt that is too small fails."""


@dataclass(frozen=True, slots=True)
class Job:
    """One replay of one file: a price, or a rule. A rule knows nothing of when attempts fail: one replay does for both
    shares."""

    path: Path
    mode: Mode
    who: str
    price: float | None = None
    cold_start: bool = True
    time_to_failure: float | None = None

    def sizer(self) -> Sizer:
        """What sizes the tasks."""
        if self.price is None:
            return baselines.RULES[self.who].sizer()
        return LearnedSizer(
            self.price, self.time_to_failure or AT_ONCE, static=self.mode is Mode.RUN, cold_start=self.cold_start
        )


def main() -> None:
    """Replay everything, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path, help="a directory of CSV files")
    parser.add_argument("--results", type=Path, help="where to leave sizing.md and sizing.json")
    arguments = parser.parse_args()
    began_s = time.monotonic()
    scored = replayed(sorted(arguments.traces.glob("*.csv")))
    text = f"{_head(time.monotonic() - began_s)}\n{told(scored)}"
    print(text)
    if arguments.results:
        (arguments.results / "sizing.md").write_text(text, "utf-8")
        (arguments.results / "sizing.json").write_text(json.dumps(as_data(scored), indent=1) + "\n", "utf-8")


def replayed(paths: list[Path]) -> list[Scored]:
    """Every job of every file, longest ones first."""
    with ProcessPoolExecutor() as pool:
        taken = [job for found in pool.map(_jobs, paths) for job in found]
        taken.sort(key=lambda job: job.path.stat().st_size * (job.price is not None), reverse=True)
        return [each for found in pool.map(_scored, taken) for each in found]


def _jobs(path: Path) -> list[Job]:
    records = _read(path)
    return [job for mode in Mode if _is_of_use(records, mode) for job in _of_mode(path, mode)]


def _is_of_use(records: Records, mode: Mode) -> bool:
    if mode is Mode.CAUSAL:
        return all(task.submitted_at_s is not None and task.ended_at_s is not None for task in records.tasks)
    return mode is Mode.ONLINE or len({task.run for task in records.tasks}) > 1


def _of_mode(path: Path, mode: Mode) -> Iterator[Job]:
    names = {price: name for name, price in PRESETS.items()}
    for price in PRICES:
        yield Job(path, mode, names.get(price, f"price {price:g}"), price, time_to_failure=AT_ONCE)
    for name, price in PRESETS.items():
        yield Job(path, mode, name, price, time_to_failure=HALFWAY)
        yield Job(path, mode, name + NO_COLD_START, price, cold_start=False, time_to_failure=AT_ONCE)
    yield from (Job(path, mode, name) for name in baselines.RULES)


def _scored(job: Job) -> list[Scored]:
    shares = (AT_ONCE, HALFWAY) if job.time_to_failure is None else (job.time_to_failure,)
    scorers = [(share, Scorer(share), Scorer(share)) for share in shares]
    sizer = job.sizer()
    first_runs: dict[tuple[str, str], str | None] = {}
    for attempt in replay(_read(job.path), sizer, job.mode):
        record = attempt.record
        is_later = first_runs.setdefault(record.step, record.run) != record.run
        for _, everything, later in scorers:
            everything.add(attempt)
            if is_later:
                later.add(attempt)
    price = sizer.failure_price if isinstance(sizer, LearnedSizer) else None
    return [
        Scored(
            file=job.path.stem,
            mode=job.mode.value,
            who=job.who,
            time_to_failure=share,
            failure_price=price,
            score=everything.score(),
            later=later.score().total,
        )
        for share, everything, later in scorers
    ]


@functools.lru_cache(maxsize=16)
def _read(path: Path) -> Records:
    """A file is replayed with many policies."""
    return read(path)


def _head(seconds: float) -> str:
    cpu = sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return f"""# Sizing policies on recorded tasks

{time.strftime("%Y-%m-%d")}, Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} CPUs.
Command: `make bench-sizing TRACES=DIR`, the data sets that [docs/sizing.md](../../docs/sizing.md) names. Nothing here
is measured by a clock: the same files give the same figures on any machine. The whole took {seconds:.0f} s,
{cpu:.0f} s of CPU.

*Warm* leaves out the first task of each step; ratios are GB·h allocated over GB·h used, geometric means over files;
failures are failed attempts per 1,000 tasks, means over files. `price N` is the policy at a failure price of N typical
tasks; {_presets()}. Attempts that are too small fail at the end of the run time, but
where it says otherwise. In mode `run` the warm figures still hold the first run, of which nothing can be known, but for
its first task of each step; *later runs* are those of a step but its first.

What users asked for is not drawn.

![online](sizing_online.svg)
![causal](sizing_causal.svg)
![run](sizing_run.svg)
![beside the best rule](sizing_hindsight.svg)
"""


def _presets() -> str:
    return ", ".join(f"`{name}` is {price:g}" for name, price in PRESETS.items())


if __name__ == "__main__":
    sys.exit(main())
