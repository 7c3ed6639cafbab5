"""Are the policy's constants fitted to the data sets that they were chosen with?

    python benchmarks/sizing_validation.py TRACES      (``make bench-sizing TRACES=DIR`` runs it too)

Cross-validation by workflow family: each family is held out once; the constants of a small grid, and the three failure
prices, are chosen on all others, each family counting alike, and what was chosen is told on the one held out, beside
what the policy ships with. Prints Markdown; ``--results`` leaves it in a directory. Deterministic.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.analyzer.backtest import baselines
from stepsize.analyzer.backtest.feedback import Mode
from stepsize.analyzer.backtest.learned import LearnedSizer
from stepsize.analyzer.backtest.records import Records, read
from stepsize.analyzer.backtest.replay import replay
from stepsize.analyzer.backtest.score import Scorer
from stepsize.analyzer.sizing.memory.exceedances import Prior
from stepsize.analyzer.sizing.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

PRICES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0)
MODES = (Mode.ONLINE, Mode.RUN)
_PRIOR_BATCHES, _OWN_WEIGHTS = (4.0, 8.0, 16.0), (1.0, 3.0, 9.0)
_PREFERENCES: dict[Mode, tuple[float | None, ...]] = {Mode.ONLINE: (0.9, None, 1.0), Mode.RUN: (None,)}
"""None is the shipped one, the only one where one predictor sizes alone."""
_BOUNDS = {"balanced": "vpa", "safe": "max-1.2-all"}
"""The rule than which the preset is to fail no more often, in either mode."""


@dataclass(frozen=True, slots=True)
class Constants:
    """One point of the grid. ``preference`` None is the shipped one."""

    prior: Prior = field(default_factory=Prior)
    preference: float | None = None

    def __str__(self) -> str:
        preference = "" if self.preference is None else f", preference {self.preference:g}"
        return f"prior {self.prior.batches:g}, own weight {self.prior.own_weight:g}{preference}"


@dataclass(frozen=True, slots=True)
class Job:
    """One replay of one file. ``who``: a rule, or a price with constants."""

    path: Path
    mode: Mode
    who: str | float
    constants: Constants = field(default_factory=Constants)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Warm, on one file: GB·h allocated over GB·h used, failures per 1,000, and the first with what failures cost."""

    ratio: float
    failures: float
    cost: float


Found = dict[Job, Outcome]


def main() -> None:
    """Replay the grid, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("traces", type=Path, help="a directory of CSV files")
    parser.add_argument("--results", type=Path, help="where to leave sizing_validation.md")
    arguments = parser.parse_args()
    began_s = time.monotonic()
    with ProcessPoolExecutor() as pool:
        paths = sorted(arguments.traces.glob("*.csv"))
        jobs = [job for found in pool.map(_jobs, paths) for job in found]
        jobs.sort(key=lambda job: job.path.stat().st_size, reverse=True)
        found = dict(zip(jobs, pool.map(_outcome, jobs), strict=True))
    lines = [*_head(time.monotonic() - began_s), *(line for mode in MODES for line in _constants(found, mode))]
    text = "\n".join([*lines, *_prices(found)]) + "\n"
    print(text)
    if arguments.results:
        (arguments.results / "sizing_validation.md").write_text(text, "utf-8")


def family(path: Path) -> str:
    """Whose workflow a file is of: pipelines of nf-core are one family, every other file one of its own."""
    return "nf-core" if path.stem.startswith("cws_") or "nextflow" in path.stem else path.stem


def grid(mode: Mode) -> list[Constants]:
    """The constants to choose from; the shipped ones are among them."""
    return [
        Constants(Prior(batches, own), preference)
        for batches in _PRIOR_BATCHES
        for own in _OWN_WEIGHTS
        for preference in _PREFERENCES[mode]
    ]


def _jobs(path: Path) -> list[Job]:
    runs = len({task.run for task in _read(path).tasks})
    modes = [mode for mode in MODES if mode is Mode.ONLINE or runs > 1]
    found = []
    for mode in modes:
        found += [Job(path, mode, PRESETS["balanced"], constants) for constants in grid(mode)]
        found += [Job(path, mode, price) for price in PRICES if price != PRESETS["balanced"]]
        found += [Job(path, mode, rule) for rule in _BOUNDS.values()]
    return found


def _outcome(job: Job) -> Outcome:
    if isinstance(job.who, str):
        sizer = baselines.RULES[job.who].sizer()
        price = 0.0
    else:
        constants = job.constants
        sizer = LearnedSizer(
            job.who, static=job.mode is Mode.RUN, preference=constants.preference, prior=constants.prior
        )
        price = sizer.failure_price
    scorer = Scorer(1.0)
    for attempt in replay(_read(job.path), sizer, job.mode):
        scorer.add(attempt)
    score = scorer.score()
    typical_gb_h = score.total.used_gb_h / score.total.tasks
    paid = score.warm.allocated_gb_h + price * typical_gb_h * score.warm.failures
    return Outcome(score.warm.ratio, score.warm.failures_per_1000, paid / score.warm.used_gb_h)


@functools.lru_cache(maxsize=16)
def _read(path: Path) -> Records:
    return read(path)


def _constants(found: Found, mode: Mode) -> Iterator[str]:
    """Each family held out, constants chosen on the rest at the price of `balanced`."""
    price = PRESETS["balanced"]
    points = grid(mode)
    families = _families(job.path for job in found if job.mode is mode)

    def cost(constants: Constants, names: Iterable[str]) -> float:
        return _of_families(names, families, lambda path: found[Job(path, mode, price, constants)].cost)

    def told(constants: Constants, name: str) -> str:
        outcomes = [found[Job(path, mode, price, constants)] for path in families[name]]
        return _told(outcomes)

    yield f"\n## Constants, mode {mode.value}\n"
    yield (
        f"{len(points)} settings at the price of `balanced`; cost is GB·h allocated and the price of failures, over "
        "GB·h used, a geometric mean.\n"
    )
    yield _line("held out", "chosen on the others", "there: chosen", "there: shipped", "cost, chosen over shipped")
    yield _line(*["---"] * 5)
    over = []
    for name in families:
        chosen = min(points, key=lambda each: cost(each, [other for other in families if other != name]))
        over.append(cost(chosen, [name]) / cost(Constants(), [name]))
        yield _line(name, str(chosen), told(chosen, name), told(Constants(), name), f"{over[-1]:.3f}")
    by_cost = sorted(points, key=lambda each: cost(each, families))
    best, worst = (cost(each, families) / cost(Constants(), families) for each in (by_cost[0], by_cost[-1]))
    yield (
        f"\nOn families that had no say in it, what was chosen costs {_geometric(over):.3f} times what the shipped "
        f"constants do. Over all families the best of the grid ({by_cost[0]}) costs {best:.3f} times as much as they, "
        f"the worst ({by_cost[-1]}) {worst:.3f}."
    )


def _prices(found: Found) -> Iterator[str]:
    """Each family held out, the prices of `balanced` and `safe` chosen on the rest: the lowest that keeps its bound."""
    families = {mode: _families(job.path for job in found if job.mode is mode) for mode in MODES}

    def failures(mode: Mode, who: str | float, names: Iterable[str]) -> float:
        """Means of means: each family counts alike."""
        means = [
            _mean([found[Job(path, mode, who)] for path in families[mode][n]]) for n in names if n in families[mode]
        ]
        return math.fsum(mean.failures for mean in means) / len(means) if means else 0.0

    def chosen(bound: str, names: Sequence[str]) -> float:
        kept = [
            price
            for price in PRICES
            if all(failures(mode, price, names) <= failures(mode, bound, names) for mode in MODES)
        ]
        return min(kept, default=PRICES[-1])

    yield "\n## Prices\n"
    yield (
        "Chosen on the others: the lowest price that fails no more often than "
        + ", and ".join(f"`{bound}` for `{preset}`" for preset, bound in _BOUNDS.items())
        + ", in mode online and in mode run. Warm ratio at failures per 1,000."
    )
    for preset, bound in _BOUNDS.items():
        yield f"\n### `{preset}` (shipped: {PRESETS[preset]:g})\n"
        yield _line("held out", "mode", "chosen", "there", "shipped price there", f"`{bound}` there")
        yield _line(*["---"] * 6)
        held_out: dict[Mode, list[tuple[Outcome, ...]]] = {mode: [] for mode in MODES}
        for name in families[Mode.ONLINE]:
            price = chosen(bound, [other for other in families[Mode.ONLINE] if other != name])
            whose = (price, PRESETS[preset], bound)
            for mode in MODES:
                paths = families[mode].get(name, ())
                if paths:
                    cells = [[found[Job(path, mode, who)] for path in paths] for who in whose]
                    held_out[mode].append(tuple(_mean(outcomes) for outcomes in cells))
                    yield _line(name, mode.value, f"{price:g}", *map(_told, cells))
        for mode in MODES:
            together = (_told(outcomes) for outcomes in zip(*held_out[mode], strict=True))
            yield _line("**all, each family alike**", mode.value, "", *together)


def _families(paths: Iterable[Path]) -> dict[str, list[Path]]:
    grouped: dict[str, list[Path]] = {}
    for path in sorted(set(paths)):
        grouped.setdefault(family(path), []).append(path)
    return grouped


def _of_families(names: Iterable[str], families: Mapping[str, list[Path]], cost: Callable[[Path], float]) -> float:
    """Each family counts alike, however many files it has."""
    return _geometric([_geometric([cost(path) for path in families[name]]) for name in names])


def _mean(outcomes: Sequence[Outcome]) -> Outcome:
    return Outcome(
        ratio=_geometric([outcome.ratio for outcome in outcomes]),
        failures=math.fsum(outcome.failures for outcome in outcomes) / len(outcomes),
        cost=_geometric([outcome.cost for outcome in outcomes]),
    )


def _told(outcomes: Sequence[Outcome]) -> str:
    mean = _mean(outcomes)
    return f"{mean.ratio:.3f} at {mean.failures:.1f}"


def _head(seconds: float) -> Iterator[str]:
    yield "# Sizing constants, chosen on some families and confirmed on the rest\n"
    yield f"{time.strftime('%Y-%m-%d')}. Command: `make bench-sizing TRACES=DIR`, {seconds:.0f} s of it. Nothing here"
    yield "is measured by a clock. Warm, time to failure 1.0. *Shipped* is what the policy has; it was chosen with all"
    yield "of these data sets in view, which is what this page is to judge."


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _geometric(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


if __name__ == "__main__":
    sys.exit(main())
