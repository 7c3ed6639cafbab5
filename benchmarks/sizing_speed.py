"""What a backtest takes: ``python benchmarks/sizing_speed.py`` (``make bench-sizing TRACES=DIR`` runs it too).

Replays 6,000 and 60,000 made tasks (50 steps of three workflows, ten runs, inputs, items, times) with every policy, and
prints CPU seconds and how they grow, as Markdown; ``--results`` leaves that in a directory. CPU time of one process:
other work on the machine disturbs it by some per cent.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.analyzer.backtest.baselines import RULES
from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.learned import LearnedSizer
from stepsize.analyzer.backtest.records import Records, read
from stepsize.analyzer.backtest.replay import replay
from stepsize.analyzer.backtest.score import Scorer
from stepsize.analyzer.sizing.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.analyzer.backtest.sizer import Sizer

FEW, MANY = 6_000, 60_000
_STEPS, _RUNS, _DAYS = 50, 10, 10
_HEADER = (
    "workflow,task,run,submit_order,item,input_bytes,peak_mem_bytes,runtime_s,requested_mem_bytes,submit_ts,end_ts"
)
_OURS = "balanced"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="where to leave sizing_speed.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        text = "\n".join(_told(Path(directory))) + "\n"
    print(text)
    if arguments.results:
        (arguments.results / "sizing_speed.md").write_text(text, "utf-8")


def made(path: Path, tasks: int) -> Path:
    """A CSV file of so many tasks, the same each time."""
    chance = random.Random(1)
    with path.open("w", encoding="utf-8") as out:
        print(_HEADER, file=out)
        for number in range(tasks):
            step, run = chance.randrange(_STEPS), number * _RUNS // tasks
            size = chance.lognormvariate(18, 1.5)
            peak = 2e8 * (1 + step % 20) + size * 3 * chance.lognormvariate(0, 0.2)
            at_s, runtime = 1.7e9 + number * _DAYS * 86400 / tasks, chance.lognormvariate(4, 1)
            print(
                f"w{step % 3},s{step},r{run},{number},it{chance.randrange(500)},{size:.0f},{peak:.0f},{runtime:.2f},"
                f"{16 << 30},{at_s:.3f},{at_s + runtime:.3f}",
                file=out,
            )
    return path


def _told(directory: Path) -> Iterator[str]:
    cpu_s: dict[str, list[float]] = {}
    for tasks in (FEW, MANY):
        path = made(directory / f"{tasks}.csv", tasks)
        began = time.process_time()
        records = read(path)
        cpu_s.setdefault("reading the file", []).append(time.process_time() - began)
        for mode in Mode:
            cpu_s.setdefault(f"{_OURS}, mode {mode.value}", []).append(_replay(records, _ours(mode), mode))
        alone = Records(records.name, tuple(replace(task, run=None) for task in records.tasks), records.largest_bytes)
        cpu_s.setdefault(f"{_OURS}, mode run, each task a run of its own", []).append(
            _replay(alone, _ours(Mode.RUN), Mode.RUN)
        )
        for name, rule in RULES.items():
            cpu_s.setdefault(name, []).append(_replay(records, rule.sizer(), Mode.ONLINE))
    online = [taken[1] for who, taken in cpu_s.items() if "mode" not in who or who.endswith("online")]
    yield "# What a backtest takes\n"
    yield (
        f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} CPUs. Command: "
        "`python benchmarks/sizing_speed.py`. CPU seconds of one process; rules in mode online.\n"
    )
    yield f"| | {FEW:,} tasks | {MANY:,} tasks | growth at ten times as many |"
    yield "| --- | --- | --- | --- |"
    for who, (few, many) in cpu_s.items():
        yield f"| {who} | {few:.2f} | {many:.2f} | {many / few:.1f} |"
    yield (
        f"\n`stepsize backtest` of {MANY:,} tasks with every rule, mode online: {sum(online):.0f} s of CPU, the "
        f"longest of its replays {max(online):.0f} s; on two cores {max(sum(online) / 2, *online):.0f} s."
    )


def _ours(mode: Mode) -> Sizer:
    return LearnedSizer(PRESETS[_OURS], static=mode is Mode.RUN)


def _replay(records: Records, sizer: Sizer, mode: Mode) -> float:
    began = time.process_time()
    scorer = Scorer(1.0)
    for attempt in replay(records, sizer, mode):
        scorer.add(attempt)
    assert scorer.score().total.tasks == len(records.tasks)
    return time.process_time() - began


if __name__ == "__main__":
    main()
