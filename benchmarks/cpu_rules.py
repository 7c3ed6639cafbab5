"""Rules that size cores, each on what was seen of one step, and how they are judged.

What comes in: use of cores with its seconds. What goes out: whole cores, and figures of what they would have done.
The rules of others take quantiles of use over time; none of them knows a run time, so that whole cores are the only
change made to them.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.cpu.cost import choose
from stepsize.analyzer.sizing.cpu.run_time import ByUse
from stepsize.analyzer.sizing.cpu.settings import PRESETS, CpuSettings
from stepsize.analyzer.sizing.cpu.use import Level
from stepsize.model import cpu_bucket, cpu_bucket_upper, cpu_quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WAITING_CORES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
NOTICED = 1.05
"""Use so many times the cores: the task takes 5 % longer."""


@dataclass(slots=True)
class Seen:
    """What is known of a step: seconds by bucket of use, seconds by mean of a task, each task's mean."""

    buckets: dict[int, float] = field(default_factory=dict)
    by_mean: dict[float, float] = field(default_factory=dict)
    means: list[float] = field(default_factory=list)
    highest: float = 0.0
    core_s: float = 0.0
    run_s: float = 0.0
    known: dict[str, float] = field(default_factory=dict)

    def add(self, levels: list[Level]) -> None:
        """One more task, by its levels of use."""
        run_s = math.fsum(level.seconds for level in levels)
        core_s = math.fsum(level.cores * level.seconds for level in levels)
        for cores, seconds in levels:
            index = cpu_bucket(cores)
            self.buckets[index] = self.buckets.get(index, 0.0) + seconds
            self.highest = max(self.highest, cores)
        mean = core_s / run_s
        rounded = 2 ** (round(math.log2(max(mean, 1e-6)) * 256) / 256)
        self.by_mean[rounded] = self.by_mean.get(rounded, 0.0) + run_s
        bisect.insort(self.means, mean)
        self.core_s, self.run_s = self.core_s + core_s, self.run_s + run_s
        self.known.clear()

    @property
    def run_time(self) -> ByUse:
        """How long a task of the step takes, as ``stepsize.analyzer.sizing.cpu`` has it."""
        sampled = [Level(min(cpu_bucket_upper(index), self.highest), each) for index, each in self.buckets.items()]
        timed = [Level(cores, each) for cores, each in self.by_mean.items()]
        return ByUse.of(sorted(sampled), sorted(timed))

    def asks(self) -> Mapping[str, float]:
        """Whole cores by each rule."""
        if not self.known:
            run_time = self.run_time
            candidates = range(1, run_time.most + 1)
            for settings in CURVE:
                self.known[settings.name] = choose(run_time, candidates, settings)
            for name, rule in PUBLISHED.items():
                self.known[name] = max(1.0, float(math.ceil(rule(self) - 1e-9)))
        return self.known


CURVE = tuple(CpuSettings(name=f"{cores:g}", waiting_cores=cores) for cores in WAITING_CORES)
PRESET_OF = {f"{settings.waiting_cores:g}": name for name, settings in PRESETS.items()}


def _over_time(quantile: float) -> Callable[[Seen], float]:
    return lambda seen: min(seen.highest, cpu_quantile(seen.buckets, quantile) or 0.0)


def _of_tasks(quantile: float) -> Callable[[Seen], float]:
    def rule(seen: Seen) -> float:
        place = quantile * (len(seen.means) - 1)
        low = math.floor(place)
        high = min(low + 1, len(seen.means) - 1)
        return seen.means[low] + (place - low) * (seen.means[high] - seen.means[low])

    return rule


PUBLISHED: Mapping[str, Callable[[Seen], float]] = {
    "resource-tracker (mean)": lambda seen: float(round(seen.core_s / seen.run_s)),
    "KRR (p95 over time)": _over_time(0.95),
    "p95 of tasks' means": _of_tasks(0.95),
    "Kubernetes VPA (p90 + 15 %)": lambda seen: 1.15 * _over_time(0.90)(seen),
    "largest": lambda seen: seen.highest,
}
"""KRR: ``robusta_krr/strategies/simple.py``, the 95th percentile of use over time. VPA: ``pkg/recommender``, the 90th
with 15 % on top; its decay by 24 hours is left out, since most records hold no times. resource-tracker 0.5.0: the mean,
rounded half to even."""
KRR = "KRR (p95 over time)"


@dataclass(slots=True)
class Judged:
    """What a rule did on one data set."""

    allocated_core_s: float = 0.0
    used_core_s: float = 0.0
    run_s: float = 0.0
    stretched_s: float = 0.0
    held_back_s: float = 0.0
    tasks: int = 0
    short: int = 0
    noticed: int = 0

    def add(self, levels: list[Level], cores: float) -> None:
        """One task that got ``cores``: work above them is spread over them."""
        run_s = math.fsum(level.seconds for level in levels)
        held_back_s = math.fsum(level.seconds * level.cores / cores for level in levels if level.cores > cores)
        stretched_s = held_back_s + math.fsum(level.seconds for level in levels if level.cores <= cores)
        self.allocated_core_s += cores * stretched_s
        self.used_core_s += math.fsum(level.cores * level.seconds for level in levels)
        self.run_s += run_s
        self.stretched_s += stretched_s
        self.held_back_s += held_back_s
        self.tasks += 1
        self.short += held_back_s > 0
        self.noticed += stretched_s > NOTICED * run_s

    @property
    def ratio(self) -> float:
        """Core seconds allocated over core seconds used."""
        return self.allocated_core_s / self.used_core_s


@dataclass(frozen=True, slots=True)
class Means:
    """Over data sets: the geometric mean of ratios, means of the rest, in per cent."""

    ratio: float
    short: float
    noticed: float
    held_back: float
    longer: float

    @classmethod
    def of(cls, judged: list[Judged]) -> Means:
        """Each data set counts as much as any other."""

        def mean(value: Callable[[Judged], float]) -> float:
            return 100 * math.fsum(map(value, judged)) / len(judged)

        return cls(
            ratio=math.exp(math.fsum(math.log(one.ratio) for one in judged) / len(judged)),
            short=mean(lambda one: one.short / one.tasks),
            noticed=mean(lambda one: one.noticed / one.tasks),
            held_back=mean(lambda one: one.held_back_s / one.stretched_s),
            longer=mean(lambda one: one.stretched_s / one.run_s - 1),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of the benchmark found: Markdown, and charts (title, axis, curve, points) by their file's name."""

    text: str
    charts: Mapping[str, tuple[str, str, list[tuple[float, float]], Mapping[str, tuple[float, float]]]]


def row(name: str, means: Means) -> str:
    """A row of the table of rules."""
    cells = (means.short, means.noticed, means.held_back, means.longer)
    return f"| {name} | {means.ratio:.3f} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |"


HEAD = """| rule | allocated / used | tasks short, % | tasks 5 % longer, % | time short, % | run time added, % |
| --- | --- | --- | --- | --- | --- |"""


def named(waiting_cores: float) -> str:
    """A price of waiting, as tables name it."""
    preset = PRESET_OF.get(f"{waiting_cores:g}")
    return f"waiting {waiting_cores:g}" + (f" (`{preset}`)" if preset else "")
