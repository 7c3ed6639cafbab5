"""How timeouts would have done on recorded tasks: ``python benchmarks/timeouts.py TRACES`` (a directory of CSV files).

Before each run of each step, once eight of its tasks ended well, its timeout is what
``stepsize.analyzer.sizing.timeout`` advises from the runs before. Counted are tasks of the run that it would have ended
although they ended well, and the timeout over the longest time seen. A file of one run is taken in ten parts, each as a
run. Prints Markdown. Records hold no hung task, so what a timeout saves is not to be seen here: only what it would have
cost, and how long a hang would be held. Deterministic.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stepsize.analyzer.backtest.records import read
from stepsize.analyzer.sizing.rounding import round_up_s
from stepsize.analyzer.sizing.timeout import FEWEST_TASKS, SETUP_S, least_cost_s

_PARTS = 10
_WINDOW = 600

Rule = Callable[[Sequence[float], int], float]
"""Durations seen, oldest first, and in how many runs → a timeout, in seconds."""


def _factor(factor: float) -> Rule:
    return lambda seen_s, _runs: round_up_s(factor * max(seen_s))


def _cheapest(seen_s: Sequence[float], runs: int) -> float:
    return least_cost_s(seen_s[-_WINDOW:], runs)


RULES: dict[str, Rule] = {
    "as advised": lambda seen_s, runs: round_up_s(max(2 * max(seen_s), _cheapest(seen_s, runs)) + SETUP_S),
    "the same without the 5 minutes": lambda seen_s, runs: round_up_s(max(2 * max(seen_s), _cheapest(seen_s, runs))),
    "least expected cost alone": lambda seen_s, runs: round_up_s(_cheapest(seen_s, runs)),
    **{f"{factor:g} times the longest": _factor(factor) for factor in (1.2, 1.5, 2, 3)},
}


@dataclass(slots=True)
class Count:
    """What one rule did on one file: tasks, those it would have ended, logarithms of timeouts over the longest."""

    tasks: int = 0
    ended: int = 0
    log_ratios: list[float] = field(default_factory=list)

    def add(self, timeout_s: float, longest_s: float, next_s: Sequence[float]) -> None:
        """One timeout, and the run that came under it."""
        self.tasks += len(next_s)
        self.ended += sum(duration_s > timeout_s for duration_s in next_s)
        self.log_ratios.append(math.log(timeout_s / longest_s))

    @property
    def per_1000(self) -> float:
        """Of a thousand tasks, those that would have been ended."""
        return 1000 * self.ended / self.tasks

    @property
    def ratio(self) -> float:
        """The timeout over the longest time seen, geometric mean."""
        return math.exp(math.fsum(self.log_ratios) / len(self.log_ratios))


def main() -> None:
    """Replay everything, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path, help="a directory of CSV files")
    parser.add_argument("--longer-than", type=float, default=0.0, metavar="S", help="leave out steps of shorter tasks")
    arguments = parser.parse_args()
    files = {path.stem: _replay(path, arguments.longer_than) for path in sorted(arguments.traces.glob("*.csv"))}
    told = {name: counts for name, counts in files.items() if counts["as advised"].tasks}
    print("| rule | tasks ended of 1,000 that ended well | timeout over the longest |\n| --- | --- | --- |")
    for rule in RULES:
        ended = math.fsum(counts[rule].per_1000 for counts in told.values()) / len(told)
        ratio = math.exp(math.fsum(math.log(counts[rule].ratio) for counts in told.values()) / len(told))
        print(f"| {rule} | {ended:.2f} | {ratio:.2f} |")
    print("\n| file | tasks | ended of 1,000 | timeout over the longest |\n| --- | --- | --- | --- |")
    for name, counts in told.items():
        count = counts["as advised"]
        print(f"| {name} | {count.tasks:,} | {count.per_1000:.2f} | {count.ratio:.2f} |")


def _replay(path: Path, longer_than_s: float) -> dict[str, Count]:
    steps: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    tasks = read(path).tasks
    has_runs = len({task.run for task in tasks}) > 1
    for task in tasks:
        steps[task.step][(task.run or "") if has_runs else ""].append(task.runtime_s)
    counts = {rule: Count() for rule in RULES}
    for by_run in steps.values():
        seen_s: list[float] = []
        runs = list(by_run.values()) if has_runs else list(_parts(by_run[""]))
        for number, next_s in enumerate(runs):
            if len(seen_s) >= FEWEST_TASKS and max(seen_s) > longer_than_s:
                for rule, count in counts.items():
                    count.add(RULES[rule](seen_s, number), max(seen_s), next_s)
            seen_s += next_s
    return counts


def _parts(durations_s: list[float]) -> Iterator[list[float]]:
    size = math.ceil(len(durations_s) / _PARTS)
    for start in range(0, len(durations_s), size):
        yield durations_s[start : start + size]


if __name__ == "__main__":
    main()
