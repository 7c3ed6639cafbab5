"""Backtests as text: tables for people, JSON and CSV for what comes after.

What comes in: results. What goes out: text that ends in a newline. Ratios are GB·h allocated over GB·h used: 1 is what
an oracle would have allocated.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.formats.aligned import aligned
from stepsize.analyzer.formats.csv_text import as_csv
from stepsize.analyzer.formats.json_text import as_json
from stepsize.analyzer.formats.markdown import as_markdown, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stepsize.analyzer.backtest.run import Result
    from stepsize.analyzer.backtest.score import Score, Totals

FORMATS = ("table", "json", "csv", "markdown")
_HEAD = ("file", "tasks", "warm ratio", "ratio", "failures per 1,000", "asked for: warm ratio", "failures per 1,000 ")
_OVER_ALL = ("policy, over all files", "warm ratio", "ratio", "failures per 1,000")
_TO_THE_RIGHT = frozenset((*_HEAD[1:], *_OVER_ALL[1:]))
_COLUMNS = ("file", "policy", "tasks", "failures", "wastage_gb_h", "allocated_gb_h", "used_gb_h", "warm")


def render(results: Sequence[Result], form: str) -> str:
    """``results`` in ``form``: one of :data:`FORMATS`."""
    if form == "json":
        return as_json(map(_record, results))
    if form == "csv":
        return as_csv((row for result in results for row in _rows(result)), _COLUMNS)
    by_file, over_all = [_HEAD, *map(_line, results)], [_OVER_ALL, *_means(results)]
    if form == "markdown":
        tables = [
            as_markdown(head, ([escaped(cell) for cell in row] for row in rows)) for head, *rows in (by_file, over_all)
        ]
    else:
        tables = [aligned(rows, _TO_THE_RIGHT) for rows in (by_file, over_all)]
    return "\n\n".join("\n".join(lines) for lines in tables) + "\n"


def _record(result: Result) -> dict[str, Any]:
    return {
        "file": result.file,
        "policy": result.policy,
        **_score(result.score),
        "requested": _score(result.requested),
        "baselines": {name: _score(score) for name, score in result.baselines},
    }


def _score(score: Score) -> dict[str, Any]:
    return {**_totals(score.total), "warm": _totals(score.warm)}


def _totals(totals: Totals) -> dict[str, Any]:
    return {**asdict(totals), "wastage_gb_h": totals.wastage_gb_h}


def _rows(result: Result) -> Iterator[dict[str, Any]]:
    for name, score in _everybody(result).items():
        for warm, totals in ((0, score.total), (1, score.warm)):
            yield {"file": result.file, "policy": name, "warm": warm, **_totals(totals)}


def _everybody(result: Result) -> dict[str, Score]:
    """The policy and all that it is compared with, each once."""
    return {result.policy: result.score, **dict(result.baselines)}


def _line(result: Result) -> tuple[str, ...]:
    score, asked = result.score, result.requested
    return (
        Path(result.file).stem,
        f"{score.total.tasks:,}",
        f"{score.warm.ratio:.3f}",
        f"{score.total.ratio:.3f}",
        f"{score.total.failures_per_1000:.1f}",
        f"{asked.warm.ratio:.3f}",
        f"{asked.total.failures_per_1000:.1f}",
    )


def _means(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Each policy over all files, the lowest ratio first: geometric means of ratios, mean of failures per 1,000
    tasks."""
    scores: dict[str, list[Score]] = {}
    for result in results:
        for name, score in _everybody(result).items():
            scores.setdefault(name, []).append(score)
    means = [
        (
            _geometric([score.warm.ratio for score in listed]),
            _geometric([score.total.ratio for score in listed]),
            math.fsum(score.total.failures_per_1000 for score in listed) / len(listed),
            name,
        )
        for name, listed in scores.items()
    ]
    return [(name, f"{warm:.3f}", f"{total:.3f}", f"{fails:.1f}") for warm, total, fails, name in sorted(means)]


def _geometric(ratios: Sequence[float]) -> float:
    known = [ratio for ratio in ratios if not math.isnan(ratio)]
    return math.exp(math.fsum(map(math.log, known)) / len(known)) if known else math.nan
