"""What a person is told about cores: sentences to check against the data.

What comes in: figures of the sizing. What goes out: sentences. Pure; decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.cpu.amdahl import Amdahl
from stepsize.analyzer.sizing.rounding import covers, whole_cores

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.cpu.limits import Limits
    from stepsize.analyzer.sizing.cpu.run_time import RunTime
    from stepsize.analyzer.sizing.cpu.settings import CpuSettings

SHOWN = 0.95
"""The share of the time for which the cores are named that were enough."""
WORTH_SAYING = 0.01
"""Run times that differ by less are said to be the same."""
_HARDLY = 0.1
_END = {
    "host": "of the host's {had:g} cores",
    "quota": "of the {had:g} cores of its quota",
    "request": "of the {had:g} cores asked for",
}
_MINUTE_S, _HOUR_S = 60, 3600


def used(enough: float | None, cores: float, run_time: RunTime) -> tuple[str, ...]:
    """What was enough nearly always, and where a reader would wonder, why fewer or more are asked for."""
    if enough is None:
        return ()
    shown = round(enough, 1 if enough >= 10 else 2)
    said = f"{shown:g} {'core was' if shown == 1 else 'cores were'} enough for {SHOWN:.0%} of the time."
    if enough < _HARDLY:
        said = "CPU was hardly used."
    if shown > cores and covers(cores, enough):
        return (said, f"What is above {cores:g} is no more than measuring may add.")
    fewer = float(whole_cores(enough))
    short = run_time.held_back(fewer) / run_time.stretch(fewer) if fewer < cores else 0.0
    if short >= WORTH_SAYING:
        return (said, f"With {_cores(fewer)} it would be short of cores for {short:.0%} of the time.")
    return (said,)


def limited(held: Limits, cores: float, requested: float | None) -> tuple[str, ...]:
    """What kept the step from using more, and what did not keep it from using more than it asked for."""
    if held.is_throttled:
        return (f"A quota held it back for {held.throttled_share or 0:.0%} of the run time, added up over cores.",)
    more = requested is not None and cores > requested
    said = []
    if more:
        said.append(f"That is more than the {requested:g} asked for: where it ran, the request was no limit.")
    if held.is_saturated and held.had_cores and held.had_cores > 1 and not (more and held.end == "request"):
        all_of = f"{held.saturated_share:.0%} of the time it used all {_END[held.end].format(had=held.had_cores)}"
        if held.end == "host":
            said.append(
                f"{all_of}: libraries start a thread for each core they see, so that it may neither need as many nor "
                "have had enough."
            )
        else:
            said.append(f"{all_of}: whether more would help cannot be seen from what it used.")
    return tuple(said)


def expected(
    run_time: RunTime, cores: float, requested: float | None, typical_s: float | None, settings: CpuSettings
) -> tuple[str, ...]:
    """How long a task takes on these cores, and on those asked for now; why not more where more would be faster."""
    if typical_s is None:
        return ()
    then = run_time.stretch(cores)
    said = [f"On {_cores(cores)} a task takes about {duration(typical_s * then)}"]
    if isinstance(run_time, Amdahl):
        tried = " and ".join(f"{each:g}" for each in run_time.tried)
        share = run_time.serial_s / (run_time.serial_s + run_time.parallel_s)
        said.append(f"; by the tasks that ran on {tried} cores, no core shortens {share:.0%} of what it takes on one")
    else:
        said.append(", as it did" if abs(then - 1) < WORTH_SAYING else f"; it took {duration(typical_s)} as measured")
    if requested and abs(run_time.stretch(requested) - then) >= WORTH_SAYING:
        said.append(f"; held to the {requested:g} asked for, about {duration(typical_s * run_time.stretch(requested))}")
    if cores + 1 <= run_time.most and run_time.stretch(cores + 1) < then * (1 - WORTH_SAYING):
        said.append(f". More would shorten that for more than it is worth: {_worth(settings)}")
    return ("".join(said) + ".",)


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would say them in, to two or three figures."""
    if seconds >= _HOUR_S:
        return f"{seconds / _HOUR_S:.3g} h"
    if seconds >= 2 * _MINUTE_S:
        return f"{seconds / _MINUTE_S:.3g} min"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def _worth(settings: CpuSettings) -> str:
    if settings.budget is not None:
        return f"the budget is {settings.budget:g} times the core time of the cheapest"
    return f"to {settings.name!r}, a second short of cores costs as much as {settings.waiting_cores:g} core seconds"


def _cores(cores: float) -> str:
    return "1 core" if cores == 1 else f"{cores:g} cores"
