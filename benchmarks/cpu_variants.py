"""Other rules of cost on recorded tasks, each sized before it is seen: what was tried beside the one that is used.

What comes in: CSV files (``docs/backtest.md``). What goes out: a :class:`cpu_rules.Part`. Deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cpu_records import family, tasks_of
from cpu_rules import HEAD, KRR, PUBLISHED, Judged, Means, Part, Seen, row

from stepsize.analyzer.sizing.cpu.run_time import Profile
from stepsize.analyzer.sizing.cpu.use import Level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from stepsize.analyzer.backtest.records import Record
    from stepsize.analyzer.sizing.cpu.run_time import RunTime

PRICES = (64, 128)
HALF_LIFE_TASKS = 16
CORES_OF_PRICE = 4
ALLOWANCE_CORES = 0.01
_RENEW = 2.0**300
"""Weights grow instead of shrinking; beyond this all are divided by it."""

_HONEST = f"""What was tried to be short of cores for less time at KRR's allocation. *As it is*: the rule of the tables
above. *And {CORES_OF_PRICE} a core*: the price of waiting grows by {CORES_OF_PRICE} for each core asked for. *Recent*:
a task counts half as much for each {HALF_LIFE_TASKS} tasks of its step after it. *Exact*: use of more than a hundredth
of a core above the cores counts as short, where the rule lets a hundredth of the cores pass."""


def variants_part(paths: Sequence[Path]) -> Part:
    """Rows over all files, and over those of all families but the one that decides."""
    judged = {name: _replayed(tasks) for name, tasks in tasks_of(paths).items()}
    rest = {name: rules for name, rules in judged.items() if family(name) != "openproblems"}
    texts = ["### Other rules of cost", _HONEST]
    for title, figures in (("All files:", judged), ("Without `openproblems`:", rest)):
        rules = next(iter(figures.values()))
        table = [row(rule, Means.of([found[rule] for found in figures.values()])) for rule in rules]
        texts += [title, "\n".join([HEAD, *table])]
    return Part("\n\n".join(texts), {})


@dataclass(frozen=True)
class _Exact:
    """The run time by what was used, by means of tasks, with next to no allowance for measuring."""

    profile: Profile

    def stretch(self, cores: float) -> float:
        return self.profile.stretch(cores, cores + ALLOWANCE_CORES)

    def held_back(self, cores: float) -> float:
        return self.profile.waiting(cores, cores + ALLOWANCE_CORES)


@dataclass
class _Step:
    """A step's evidence, each task alike and recent ones more; what the rules say of it."""

    alike: Seen = field(default_factory=Seen)
    recent: Seen = field(default_factory=Seen)
    weight: float = 1.0

    def add(self, levels: list[Level]) -> None:
        self.alike.add(levels)
        if self.weight > _RENEW:
            self.recent.buckets = {bucket: each / self.weight for bucket, each in self.recent.buckets.items()}
            self.recent.by_mean = {cores: each / self.weight for cores, each in self.recent.by_mean.items()}
            self.weight = 1.0
        self.recent.add([Level(cores, seconds * self.weight) for cores, seconds in levels])
        self.weight *= 2 ** (1 / HALF_LIFE_TASKS)

    def asks(self) -> Mapping[str, float]:
        if not self.alike.known:
            by_use, lately = self.alike.run_time, self.recent.run_time
            exact = _Exact(Profile.of([Level(*level) for level in sorted(self.alike.by_mean.items())]))
            known, most = self.alike.known, by_use.most
            for price in PRICES:
                known[f"{price}, as it is"] = _least(by_use, most, price)
                known[f"{price} and {CORES_OF_PRICE} a core"] = _least(by_use, most, price, CORES_OF_PRICE)
                known[f"{price}, recent"] = _least(lately, lately.most, price)
                known[f"{price}, exact"] = _least(exact, most, price)
            known[KRR] = max(1.0, _whole(PUBLISHED[KRR])(self.alike))
        return self.alike.known


def _replayed(tasks: Sequence[Record]) -> dict[str, Judged]:
    steps: dict[tuple[str, str], _Step] = {}
    judged: dict[str, Judged] = {}
    for task in tasks:
        step = steps.setdefault(task.step, _Step())
        levels = [Level((task.cpu_pct or 0.0) / 100, task.runtime_s)]
        if step.alike.means:
            for name, cores in step.asks().items():
                judged.setdefault(name, Judged()).add(levels, cores)
        step.add(levels)
    return judged


def _least(run_time: RunTime | _Exact, most: int, price: float, a_core: float = 0.0) -> float:
    """As ``cost.choose``, where the price of waiting may grow with the cores."""
    best, least = 1, float("inf")
    for cores in range(1, most + 1):
        cost = cores * run_time.stretch(cores) + (price + a_core * cores) * run_time.held_back(cores)
        if cost < least * (1 - 1e-9):
            best, least = cores, cost
    return float(best)


def _whole(rule: Callable[[Seen], float]) -> Callable[[Seen], float]:
    return lambda seen: float(-(-(rule(seen) - 1e-9) // 1))
