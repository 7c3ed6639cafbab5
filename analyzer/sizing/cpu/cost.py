"""The number of cores that costs least, or is fastest within a budget.

What comes in: how long a task takes at n cores, numbers of cores to choose from, what it holds beside them, and
settings. What goes out: one of the numbers. Pure.

A task on n cores costs n for each second that it takes, as many more as its memory and GPUs are worth (``beside``),
and the price of waiting for each of these seconds in which it has fewer cores than it could use. All are in core
seconds, so that prices of clouds cancel. This is the newsvendor's problem (Arrow, Harris and Marschak, "Optimal
Inventory Policy", Econometrica 19, 1951), whose answer is a quantile of use. Which one it is follows from what a core
costs beside a second of waiting: a step of one core gets nearly all that it ever uses, for next to nothing; one of
ninety-six gets what it keeps busy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.cpu.beside import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.analyzer.sizing.cpu.beside import Beside
    from stepsize.analyzer.sizing.cpu.run_time import RunTime
    from stepsize.analyzer.sizing.cpu.settings import CpuSettings

_TIE = 1e-9
"""Cores. What differs by less costs the same: far more than rounding, far less than money. It is no share of the cost,
for then what is held beside the cores, which is in the cost, would move the line and could take cores away."""
AS_FAST = 1.01
"""Within a budget, fewer cores are taken where they are so nearly as fast."""


def core_time(run_time: RunTime, cores: float, beside: Beside = NOTHING) -> float:
    """Core seconds held, and what is held ``beside`` them, in multiples of the run time that was measured."""
    return (cores + beside.cores) * run_time.stretch(cores)


def cost(run_time: RunTime, cores: float, settings: CpuSettings, beside: Beside = NOTHING) -> float:
    """As :func:`core_time`, and what waiting costs."""
    return core_time(run_time, cores, beside) + settings.waiting_cores * run_time.held_back(cores)


def cheapest(run_time: RunTime, candidates: Iterable[float], beside: Beside = NOTHING) -> float:
    """That of ``candidates`` with the least core time; of equals the fewest cores."""
    numbers = sorted(candidates)
    return _lowest(numbers, [core_time(run_time, cores, beside) for cores in numbers])


def choose(run_time: RunTime, candidates: Iterable[float], settings: CpuSettings, beside: Beside = NOTHING) -> float:
    """The best of ``candidates``, of which there is at least one; of equals the fewest cores."""
    numbers = sorted(candidates)
    if settings.budget is None:
        return _lowest(numbers, [cost(run_time, cores, settings, beside) for cores in numbers])
    least = cheapest(run_time, numbers, beside)
    budget = settings.budget * core_time(run_time, least, beside) + _TIE
    numbers = [cores for cores in numbers if cores >= least and core_time(run_time, cores, beside) <= budget]
    fastest = min(run_time.stretch(cores) for cores in numbers)
    return next(cores for cores in numbers if run_time.stretch(cores) <= fastest * AS_FAST)


def _lowest(numbers: list[float], values: list[float]) -> float:
    """The first of ``numbers``, which ascend, whose value is as good as the lowest."""
    enough = min(values) + _TIE
    return next(number for number, value in zip(numbers, values, strict=True) if value <= enough)
