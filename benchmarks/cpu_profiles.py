"""Rules for cores on made-up steps whose use varies within each task; deterministic.

What comes in: nothing. What goes out: a :class:`cpu_rules.Part`. No record at hand holds use over time by task, so that
what rules trade there can only be shown on steps that a generator made up: idle, serial and parallel parts of random
lengths, on random numbers of threads.
"""

from __future__ import annotations

import random

from cpu_rules import CURVE, HEAD, PUBLISHED, Judged, Means, Part, Seen, named, row

from stepsize.analyzer.sizing.cpu.use import Level

_SEED = 5
_SETS, _STEPS, _TASKS = 8, 25, 20
_THREADS = (1, 1, 1, 2, 4, 8, 16, 32)

_HONEST = f"""**Synthetic**, since no record at hand holds use over time by task: {_SETS} sets of {_STEPS} steps of
{_TASKS} tasks, each task idle, serial and parallel for random shares of its time, on {_THREADS[0]} to {_THREADS[-1]}
threads (the generator is `benchmarks/cpu_profiles.py`). What a rule costs is reckoned by the same spreading of work
that the advice stands on. So this shows what each rule trades, and nothing of whether steps are like that."""


def profiles_part() -> Part:
    """The table of all rules over the sets that were made up."""
    figures = [_judged(random.Random(_SEED + number)) for number in range(_SETS)]

    def means(rule: str) -> Means:
        return Means.of([judged[rule] for judged in figures])

    curve = [row(named(settings.waiting_cores), means(settings.name)) for settings in CURVE]
    published = sorted((means(name).ratio, name) for name in PUBLISHED)
    table = "\n".join([HEAD, *curve, *(row(name, means(name)) for _, name in published)])
    places = {name: (means(name).ratio, means(name).held_back) for name in PUBLISHED}
    drawn = [(means(settings.name).ratio, means(settings.name).held_back) for settings in CURVE]
    below = "core hours allocated over used (synthetic steps)"
    charts = {"cpu_profiles": ("Time short of cores, %: synthetic steps", below, drawn, places)}
    return Part(f"## Profiles\n\n{_HONEST}\n\n{table}\n\n![trade-off](cpu_profiles.svg)", charts)


def _judged(chance: random.Random) -> dict[str, Judged]:
    judged: dict[str, Judged] = {}
    for _ in range(_STEPS):
        step, seen = _Step(chance), Seen()
        for number in range(_TASKS):
            levels = step.task(chance)
            if number:
                for name, cores in seen.asks().items():
                    judged.setdefault(name, Judged()).add(levels, cores)
            seen.add(levels)
    return judged


class _Step:
    """What the tasks of one step have in common."""

    def __init__(self, chance: random.Random) -> None:
        self._threads = chance.choice(_THREADS)
        self._efficiency = chance.uniform(0.6, 1.0)
        self._shares = [chance.random() ** 2 for _ in range(3)]
        self._typical_s = 10 ** chance.uniform(1, 3.5)

    def task(self, chance: random.Random) -> list[Level]:
        """Levels of one task: idle, serial, and parallel at three heights."""
        run_s = self._typical_s * chance.lognormvariate(0, 0.3)
        idle, serial, parallel = (share * chance.uniform(0.7, 1.3) + 1e-3 for share in self._shares)
        whole = idle + serial + parallel
        top = max(1.0, self._threads * self._efficiency)
        levels = [
            Level(chance.uniform(0.02, 0.3), run_s * idle / whole),
            Level(chance.uniform(0.9, 1.0), run_s * serial / whole),
        ]
        levels += [
            Level(top * chance.uniform(0.6, 1.0) if self._threads > 1 else 1.0, run_s * parallel / whole / 3)
            for _ in range(3)
        ]
        return levels
