"""The tables of `sizing.py`: scores of policies on files in, Markdown and data to be drawn out. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.backtest import baselines
from stepsize.analyzer.sizing.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stepsize.analyzer.backtest.score import Score, Totals

NO_COLD_START = ", no cold start"
MODES = ("online", "causal", "run")
_OF_RUNS = "run"
_JUDGED = "balanced"
_AIM = 1.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One replay: which file, how, by whom, and what came of it. ``failure_price``: in typical tasks, of a policy of
    ours; None of a rule. ``later``: of the tasks that were not of their step's first run."""

    file: str
    mode: str
    who: str
    time_to_failure: float
    failure_price: float | None
    score: Score
    later: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One policy over all files of a mode: geometric means of ratios, means of failures per 1,000 tasks. ``later``: of
    runs but the first; NaN where files have no other."""

    who: str
    warm: float
    warm_failures: float
    ratio: float
    failures: float
    later: float
    later_failures: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    """Ours on one file beside the rule that did best there, by GB·h allocated and failures at our own price.

    ``cost_gb_h``, ``best_gb_h``: without the first task of each step. ``warm``, ``total``: ours over the best, without
    those tasks and with them (the best may be another). ``ours_at``,
    ``best_at``: what each allocated over what was used, and how often it failed. ``later``: as ``warm``, of runs but
    the first; NaN where there is no other.
    """

    file: str
    cost_gb_h: float
    best: str
    best_gb_h: float
    warm: float
    total: float
    later: float
    ours_at: str
    best_at: str


def told(scored: Sequence[Scored]) -> str:
    """All tables."""
    parts = []
    for mode in MODES:
        of_mode = [each for each in scored if each.mode == mode]
        if of_mode:
            parts += [*_mode(mode, of_mode), *_hindsight(of_mode)]
    return "\n".join([*parts, *_halfway(scored), *_cold_start(scored)]) + "\n"


def as_data(scored: Sequence[Scored]) -> dict[str, Any]:
    """What is drawn: for each mode its rows and what beats hindsight."""
    found: dict[str, Any] = {}
    for mode in MODES:
        of_mode = [each for each in scored if each.mode == mode]
        if of_mode:
            found[mode] = {
                "rows": [
                    {name: getattr(row, name) for name in ("who", "warm", "warm_failures")} for row in rows(of_mode)
                ],
                "prices": list(_curve(of_mode)),
                "hindsight": {each.file: round(each.warm, 4) for each in hindsight(of_mode)},
            }
    return found


def rows(scored: Iterable[Scored], time_to_failure: float = 1.0) -> list[Row]:
    """Everybody of one mode, the least allocated first."""
    by_who: dict[str, list[Scored]] = {}
    for each in scored:
        if each.time_to_failure == time_to_failure:
            by_who.setdefault(each.who, []).append(each)
    return sorted((_row(who, found) for who, found in by_who.items()), key=lambda row: row.warm)


def hindsight(scored: Sequence[Scored]) -> list[Hindsight]:
    """For each file of one mode, ours beside the best rule."""
    by_file: dict[str, dict[str, Scored]] = {}
    for each in scored:
        if each.time_to_failure == 1.0:
            by_file.setdefault(each.file, {})[each.who] = each
    return [_beside(file, by_file[file]) for file in sorted(by_file)]


def not_above(everybody: Sequence[Row], curve: Iterable[str]) -> list[Row]:
    """Rules than which no price of ours has both less memory and no more failures."""
    points = [row for row in everybody if row.who in set(curve)]
    return [
        row
        for row in everybody
        if row.who in baselines.RULES
        and not any(p.warm <= row.warm and p.warm_failures <= row.warm_failures for p in points)
    ]


def _row(who: str, found: Sequence[Scored]) -> Row:
    def failures(totals: Iterable[Totals]) -> float:
        return math.fsum(each.failures_per_1000 for each in totals) / len(found)

    return Row(
        who=who,
        warm=_geometric([each.score.warm.ratio for each in found]),
        warm_failures=failures(each.score.warm for each in found),
        ratio=_geometric([each.score.total.ratio for each in found]),
        failures=failures(each.score.total for each in found),
        later=_geometric([each.later.ratio for each in found]),
        later_failures=failures(each.later for each in found),
    )


def _beside(file: str, who: dict[str, Scored]) -> Hindsight:
    ours = who[_JUDGED]
    total = ours.score.total
    price_gb_h = (ours.failure_price or 0.0) * total.used_gb_h / total.tasks

    def cost(totals: Totals) -> float:
        return totals.allocated_gb_h + price_gb_h * totals.failures

    rules = [who[name] for name in baselines.RULES]
    best = min(rules, key=lambda each: cost(each.score.warm))
    least_later = min(cost(each.later) for each in rules)
    return Hindsight(
        file=file,
        cost_gb_h=cost(ours.score.warm),
        best=best.who,
        best_gb_h=cost(best.score.warm),
        warm=cost(ours.score.warm) / cost(best.score.warm),
        total=cost(total) / min(cost(each.score.total) for each in rules),
        later=cost(ours.later) / least_later if least_later else math.nan,
        ours_at=_at(ours.score.warm),
        best_at=_at(best.score.warm),
    )


def _at(totals: Totals) -> str:
    return f"{totals.ratio:.3f} at {totals.failures_per_1000:.1f}"


def _curve(scored: Iterable[Scored]) -> dict[str, float]:
    """Our prices by name, the cheapest first; doubled prices of mode `run` keep their order."""
    prices = {
        each.who: each.failure_price
        for each in scored
        if each.failure_price is not None and not each.who.endswith(NO_COLD_START)
    }
    return dict(sorted(prices.items(), key=lambda item: item[1]))


def _mode(mode: str, scored: Sequence[Scored]) -> Iterator[str]:
    files = sorted({each.file for each in scored})
    everybody = rows(scored)
    yield f"\n## Mode {mode}, {len(files)} files\n"
    of_runs = mode == _OF_RUNS
    head = ("policy", "warm ratio", "warm failures per 1,000", "ratio", "failures per 1,000")
    yield _line(*head, *(("later runs: ratio", "failures per 1,000") if of_runs else ()))
    yield _line(*["---"] * (7 if of_runs else 5))
    for row in everybody:
        cells = (f"{row.warm:.3f}", f"{row.warm_failures:.1f}", f"{row.ratio:.3f}", f"{row.failures:.1f}")
        yield _line(row.who, *cells, *((f"{row.later:.3f}", f"{row.later_failures:.1f}") if of_runs else ()))
    beside = [
        f"`{row.who}` ({row.warm:.3f} at {row.warm_failures:.1f})" for row in not_above(everybody, _curve(scored))
    ]
    yield (
        "\nNo rule asks for less memory at as few failures as one of the prices, or fails less at as little memory."
        if not beside
        else "\nNot above and to the right of the curve: " + ", ".join(beside) + "."
    )
    yield "\n" + _line("file", *PRESETS, "max-1.2-all")
    yield _line(*["---"] * (len(PRESETS) + 2))
    by = {(each.file, each.who): each.score.warm for each in scored if each.time_to_failure == 1.0}
    for file in files:
        yield _line(file, *(_at(by[file, who]) for who in (*PRESETS, "max-1.2-all")))


def _hindsight(scored: Sequence[Scored]) -> Iterator[str]:
    yield f"\n### `{_JUDGED}` beside the best rule in hindsight\n"
    yield (
        "By GB·h allocated and its own price for each failed attempt, warm. The best rule is another for each file, "
        f"known only afterwards. Aim: at most {_AIM:.2f}.\n"
    )
    of_runs = scored[0].mode == _OF_RUNS
    head = ("file", f"`{_JUDGED}`: cost in GB·h", "best rule", "its cost", "warm", "all tasks", "memory and failures")
    yield _line(*head, *(("later runs",) if of_runs else ()))
    yield _line(*["---"] * (8 if of_runs else 7))
    for each in hindsight(scored):
        yield _line(
            each.file,
            f"{each.cost_gb_h:,.2f}",
            each.best,
            f"{each.best_gb_h:,.2f}",
            _aimed(each.warm),
            f"{each.total:.3f}",
            f"{each.ours_at} beside {each.best_at}",
            *((_aimed(each.later),) if of_runs else ()),
        )


def _aimed(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio <= _AIM else f"**{ratio:.3f}**"


def _halfway(scored: Sequence[Scored]) -> Iterator[str]:
    yield "\n## Attempts that fail at the end, and halfway\n"
    yield "Warm ratio at warm failures, of time to failure 1.0 and of 0.5.\n"
    modes = [mode for mode in MODES if any(each.mode == mode for each in scored)]
    yield _line("policy", *(f"{mode}, {share}" for mode in modes for share in (1.0, 0.5)))
    yield _line(*["---"] * (1 + 2 * len(modes)))
    found = {
        (mode, share): {row.who: row for row in rows([each for each in scored if each.mode == mode], share)}
        for mode in modes
        for share in (1.0, 0.5)
    }
    for who in (*PRESETS, *baselines.RULES):
        cells = (f"{of[who].warm:.3f} at {of[who].warm_failures:.1f}" for of in found.values())
        yield _line(who, *cells)


def _cold_start(scored: Sequence[Scored]) -> Iterator[str]:
    yield "\n## First tasks, with what sibling steps teach and without\n"
    yield "All tasks, first ones included: ratio at failures.\n"
    yield _line("mode", "policy", "with siblings", "without", "less memory")
    yield _line(*["---"] * 5)
    for mode in MODES:
        found = {row.who: row for row in rows([each for each in scored if each.mode == mode])}
        for preset in PRESETS:
            if preset in found:
                taught, alone = found[preset], found[preset + NO_COLD_START]
                yield _line(
                    mode,
                    preset,
                    f"{taught.ratio:.3f} at {taught.failures:.1f}",
                    f"{alone.ratio:.3f} at {alone.failures:.1f}",
                    f"{1 - taught.ratio / alone.ratio:.1%}",
                )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _geometric(ratios: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
