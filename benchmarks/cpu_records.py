"""Rules for cores on recorded tasks, each sized before it is seen; and the price of waiting chosen on other records.

What comes in: CSV files (``docs/backtest.md``). What goes out: a :class:`cpu_rules.Part`. Deterministic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpu_rules import CURVE, HEAD, KRR, PUBLISHED, Judged, Means, Part, Seen, named, row

from stepsize.analyzer.backtest.records import Record, read
from stepsize.analyzer.sizing.cpu.settings import PRESETS
from stepsize.analyzer.sizing.cpu.use import Level
from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ASKED = "what users asked for"
_FEWEST = 100
"""Tasks with a CPU use that a file has to hold."""

_SAFE = f"{PRESETS['safe'].waiting_cores:g}"
_AGAINST = """| what | allocated / used | KRR | tasks short, % | KRR | time short, % | KRR | run time added, % | KRR |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""

Figures = dict[str, dict[str, Judged]]
"""By file, then by rule."""

_HONEST = """Each record holds one mean of CPU use a task, over all of its run time: what rules choose between tasks of
a step can be judged by that; what they make of use that varies within a task cannot. The first task of each step is
left out. Cores are whole; a task that gets fewer than its mean takes so much longer, and holds them so much longer. A
task is *short* where its mean is above its cores at all."""
_RULE = """For each family of files the lowest price of waiting is taken that leaves no more tasks short of cores than
KRR on all other families; the row says what that price does on the family itself."""


def records_part(paths: Sequence[Path]) -> Part:
    """All tables of the records."""
    tasks = tasks_of(paths)
    online = {name: _replayed(found, by_run=False) for name, found in tasks.items()}
    several = {name: found for name, found in tasks.items() if len({one.run for one in found}) > 1}
    by_run = {name: _replayed(found, by_run=True) for name, found in several.items()}
    asked = {name: judged for name, judged in online.items() if ASKED in judged}
    parts = [
        "## Records",
        _HONEST,
        f"### Each task known before the next: {len(online)} files, {_tasks(online):,} tasks",
        _table(online),
        "![trade-off](cpu_records.svg)",
        f"### A run known before the next: the {len(by_run)} files with several runs, {_tasks(by_run):,} tasks",
        _table(by_run),
        f"### Beside what users asked for: the {len(asked)} files that say",
        _table(asked, ASKED),
        "### By file, `safe` beside KRR",
        _by_file(online),
        "### Chosen on some records, confirmed on the rest",
        _validated(online),
    ]
    return Part("\n\n".join(parts), {"cpu_records": _chart(online)})


def tasks_of(paths: Sequence[Path]) -> dict[str, list[Record]]:
    """Tasks with a CPU use by file, of the files that hold enough of them."""
    tasks = {}
    for path in paths:
        try:
            found = [one for one in read(path).tasks if one.cpu_pct and one.runtime_s > 0]
        except UsageError:
            continue
        if len(found) >= _FEWEST:
            tasks[path.stem] = found
    return tasks


def _replayed(tasks: Sequence[Record], *, by_run: bool) -> dict[str, Judged]:
    """What every rule did. With ``by_run``, evidence of a run comes when it is over."""
    steps: dict[tuple[str, str], Seen] = {}
    judged: dict[str, Judged] = {}
    waiting: list[tuple[Seen, list[Level]]] = []
    run: str | None = None
    for task in tasks:
        if by_run and task.run != run:
            for seen, levels in waiting:
                seen.add(levels)
            waiting, run = [], task.run
        seen = steps.setdefault(task.step, Seen())
        levels = [Level((task.cpu_pct or 0.0) / 100, task.runtime_s)]
        if seen.means:
            for name, cores in seen.asks().items():
                judged.setdefault(name, Judged()).add(levels, cores)
            if task.requested_cpus:
                judged.setdefault(ASKED, Judged()).add(levels, max(1.0, task.requested_cpus))
        if by_run:
            waiting.append((seen, levels))
        else:
            seen.add(levels)
    return judged


def _means(figures: Figures, rule: str) -> Means:
    return Means.of([judged[rule] for judged in figures.values()])


def _table(figures: Figures, *more: str) -> str:
    curve = [row(named(settings.waiting_cores), _means(figures, settings.name)) for settings in CURVE]
    published = sorted((_means(figures, name).ratio, name) for name in (*PUBLISHED, *more))
    return "\n".join([HEAD, *curve, *(row(name, _means(figures, name)) for _, name in published)])


def _by_file(figures: Figures) -> str:
    rows = (_against(name, _means({name: one}, _SAFE), _means({name: one}, KRR)) for name, one in figures.items())
    return "\n".join([_AGAINST, *rows])


def _tasks(figures: Figures) -> int:
    return sum(next(iter(judged.values())).tasks for judged in figures.values())


def family(name: str) -> str:
    """Files of one pipeline's authors are alike: all of them are left out together."""
    return name.partition("_")[0]


def _validated(figures: Figures) -> str:
    """What a price that was chosen on all other families does on each."""
    lines = [_RULE, "", _AGAINST]
    held_out: dict[str, list[Judged]] = {"ours": [], "KRR": []}
    for family in sorted({family(name) for name in figures}):
        train = {name: judged for name, judged in figures.items() if family(name) != family}
        test = {name: judged for name, judged in figures.items() if family(name) == family}
        price = _lowest_as_safe(train)
        held_out["ours"] += [judged[price] for judged in test.values()]
        held_out["KRR"] += [judged[KRR] for judged in test.values()]
        lines.append(_against(f"without {family}: {price}", _means(test, price), _means(test, KRR)))
    lines.append(_against("all, each as left out", Means.of(held_out["ours"]), Means.of(held_out["KRR"])))
    return "\n".join(lines)


def _against(what: str, ours: Means, krr: Means) -> str:
    pairs = ((ours.short, krr.short), (ours.held_back, krr.held_back), (ours.longer, krr.longer))
    cells = [f"{ours.ratio:.3f} | {krr.ratio:.3f}", *(f"{one:.2f} | {other:.2f}" for one, other in pairs)]
    return f"| {what} | " + " | ".join(cells) + " |"


def _lowest_as_safe(figures: Figures) -> str:
    most = _means(figures, KRR).short
    return next((one.name for one in CURVE if _means(figures, one.name).short <= most), CURVE[-1].name)


def _chart(
    figures: Figures,
) -> tuple[str, str, list[tuple[float, float]], Mapping[str, tuple[float, float]]]:
    def place(rule: str) -> tuple[float, float]:
        means = _means(figures, rule)
        return means.ratio, means.short

    points = {name: place(name) for name in PUBLISHED}
    below = "core hours allocated over used (geometric mean over files)"
    return "Tasks short of cores, %", below, [place(settings.name) for settings in CURVE], points
