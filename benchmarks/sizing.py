"""How sizing policies do on recorded tasks: ``python benchmarks/sizing.py TRACES`` (``make bench-sizing TRACES=DIR``).

Replays every CSV file of a directory (`docs/backtest.md` says what is in one) with stepsize's policy at a row of
failure prices, and with every published rule, in the modes ``online``, ``causal`` (files with times) and ``run`` (files
with several runs; one request a step and run). Prints, as Markdown, geometric means over the files of GB·h allocated
over GB·h used and means of failed attempts per 1,000 tasks, and for each preset every file; ``--json`` leaves them to
be drawn (`make plots`). Deterministic: the machine changes nothing but the time it takes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.analyzer.backtest import baselines
from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.learned import LearnedSizer
from stepsize.analyzer.backtest.records import Records, read
from stepsize.analyzer.backtest.replay import replay
from stepsize.analyzer.backtest.score import Score, Scorer
from stepsize.analyzer.sizing.presets import PRESETS

if TYPE_CHECKING:
    from stepsize.analyzer.backtest.sizer import Sizer

PRICES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""What one failed attempt costs, in typical tasks."""
_NO_COLD_START = "balanced, no cold start"


@dataclass(frozen=True, slots=True)
class Job:
    """One replay of one file: a price, or a rule; ``cold_start`` concerns prices."""

    path: Path
    mode: Mode
    who: str
    price: float | None = None
    cold_start: bool = True
    time_to_failure: float = 1.0


def main() -> None:
    """Replay everything, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path, help="a directory of CSV files")
    parser.add_argument("--time-to-failure", type=float, default=1.0)
    parser.add_argument("--json", type=Path, help="where to leave the tables")
    arguments = parser.parse_args()
    paths = sorted(arguments.traces.glob("*.csv"))
    began_s = time.monotonic()
    left: dict[str, list[dict[str, object]]] = {}
    with ProcessPoolExecutor() as pool:
        for mode in Mode:
            taken = [path for path in paths if _is_of_use(read(path), mode)]
            jobs = [job for path in taken for job in _jobs(path, mode, arguments.time_to_failure)]
            scores: dict[str, list[tuple[Path, Score]]] = {}
            for job, score in zip(jobs, pool.map(_score, jobs), strict=True):
                scores.setdefault(job.who, []).append((job.path, score))
            left[mode.value] = _print(mode, scores)
    print(f"\n{time.monotonic() - began_s:.0f} s in all.")
    if arguments.json:
        arguments.json.write_text(json.dumps(left, indent=1) + "\n", "utf-8")


def _is_of_use(records: Records, mode: Mode) -> bool:
    if mode is Mode.CAUSAL:
        return all(task.submitted_at_s is not None and task.ended_at_s is not None for task in records.tasks)
    return mode is Mode.ONLINE or len({task.run for task in records.tasks}) > 1


def _jobs(path: Path, mode: Mode, time_to_failure: float) -> list[Job]:
    prices = {f"price {price:g}": price for price in PRICES} | PRESETS
    ours = [Job(path, mode, who, price, time_to_failure=time_to_failure) for who, price in prices.items()]
    ours.append(Job(path, mode, _NO_COLD_START, PRESETS["balanced"], cold_start=False, time_to_failure=time_to_failure))
    return [*ours, *(Job(path, mode, name, time_to_failure=time_to_failure) for name in baselines.RULES)]


def _score(job: Job) -> Score:
    scorer = Scorer(job.time_to_failure)
    for attempt in replay(read(job.path), _sizer(job), job.mode):
        scorer.add(attempt)
    return scorer.score()


def _sizer(job: Job) -> Sizer:
    if job.price is None:
        return baselines.RULES[job.who].sizer()
    return LearnedSizer(job.price, job.time_to_failure, static=job.mode is Mode.RUN, cold_start=job.cold_start)


def _print(mode: Mode, scores: dict[str, list[tuple[Path, Score]]]) -> list[dict[str, object]]:
    rows = sorted((_means(who, [score for _, score in listed]) for who, listed in scores.items()), key=_by_ratio)
    files = len(next(iter(scores.values())))
    print(f"\n## Mode {mode.value}, {files} files\n")
    print("| policy | warm ratio | warm failures per 1,000 | ratio | failures per 1,000 |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        print("| {who} | {warm:.3f} | {warm_failures:.1f} | {ratio:.3f} | {failures:.1f} |".format(**row))
    print(f"\n| file | {' | '.join(PRESETS)} | max-1.2-all |\n| --- |{' --- |' * (len(PRESETS) + 1)}")
    for number in range(files):
        told = [scores[who][number][1].warm for who in (*PRESETS, "max-1.2-all")]
        name = scores["max-1.2-all"][number][0].stem
        print(f"| {name} | {' | '.join(f'{t.ratio:.3f} at {t.failures_per_1000:.1f}' for t in told)} |")
    return rows


def _by_ratio(row: dict[str, object]) -> float:
    return float(str(row["warm"]))


def _means(who: str, scores: list[Score]) -> dict[str, object]:
    return {
        "who": who,
        "warm": _geometric([score.warm.ratio for score in scores]),
        "warm_failures": math.fsum(score.warm.failures_per_1000 for score in scores) / len(scores),
        "ratio": _geometric([score.total.ratio for score in scores]),
        "failures": math.fsum(score.total.failures_per_1000 for score in scores) / len(scores),
    }


def _geometric(ratios: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios))


if __name__ == "__main__":
    main()
