"""What a person is told about cores: sentences to check against the data.

What comes in: figures of the sizing. What goes out: sentences. Pure; decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.cpu.amdahl import Amdahl
from stepsize.analyzer.sizing.cpu.cost import core_time
from stepsize.analyzer.sizing.cpu.use import mean_cores
from stepsize.analyzer.sizing.restraint import TASKS_TO_FALL
from stepsize.analyzer.sizing.rounding import covers, whole_cores

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.cpu.beside import Beside
    from stepsize.analyzer.sizing.cpu.limits import Limits
    from stepsize.analyzer.sizing.cpu.run_time import RunTime
    from stepsize.analyzer.sizing.cpu.settings import CpuSettings
    from stepsize.analyzer.usage import StepEvidence

SHOWN = 0.95
"""The share of the time for which the cores are named that were enough."""
WORTH_SAYING = 0.01
"""Run times that differ by less are said to be the same."""
APART = 1.25
"""A task is named whose run time grows by so many times more than that of all."""
FAR = 2.0
"""Advice of so many times what the newest code used is pointed out."""
_HARDLY = 0.1
_END = {
    "host": "of the host's {had:g} cores",
    "quota": "of the {had:g} cores of its quota",
    "request": "of the {had:g} cores asked for",
}
_MINUTE_S, _HOUR_S = 60, 3600


def used(enough: float | None, cores: float, run_time: RunTime, held: Limits) -> tuple[str, ...]:
    """What was enough nearly always, and where a reader would wonder, why fewer or more are asked for."""
    if enough is None:
        return ()
    shown = round(enough, 1 if enough >= 10 else 2)
    said = f"{shown:g} {'core was' if shown == 1 else 'cores were'} enough for {SHOWN:.0%} of the time."
    if held.is_throttled:  # what it used then is what the quota left of it
        said = f"It used no more than {_cores(shown)} for {SHOWN:.0%} of the time."
    elif enough < _HARDLY:
        said = "CPU was hardly used."
    if shown > cores and covers(cores, enough) and not run_time.held_back(cores):
        return (said, f"What is above {cores:g} is no more than measuring may add.")
    fewer = float(whole_cores(enough))
    told = held.is_throttled  # by the share that the quota did
    short = run_time.held_back(fewer) / run_time.stretch(fewer) if fewer < cores and not told else 0.0
    if short >= WORTH_SAYING:
        return (said, f"With {_cores(fewer)} it would be short of cores for {short:.0%} of the time.")
    return (said,)


def mean(cores: float | None) -> tuple[str, ...]:
    """What was used where nothing but CPU time is known: a mean."""
    if cores is None:
        return ()
    shown = round(cores, 1 if cores >= 10 else 2)
    return (f"It used {_cores(shown)} on average, by CPU time.",)


def limited(held: Limits, cores: float, requested: float | None) -> tuple[str, ...]:
    """What kept the step from using more, and what did not keep it from using more than it asked for."""
    if held.is_throttled:
        return (f"A quota held it back for {held_back(held)} of the run time, added up over cores.",)
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


def held_back(held: Limits) -> str:
    """The share of the run time for which a quota did; threads that are stopped together may come to more than all."""
    share = held.throttled_share or 0.0
    return "all" if share >= 1 else f"{share:.0%}"


def expected(
    run_time: RunTime, cores: float, requested: float | None, typical_s: float | None, settings: CpuSettings
) -> tuple[str, ...]:
    """How long a task takes on these cores, and on those asked for now; why not more where more would be faster."""
    if typical_s is None:
        return ()
    then, as_asked = run_time.stretch(cores), run_time.stretch(requested or cores)
    takes = duration(typical_s * then)
    said = [f"On {_cores(cores)} a task takes about {takes}"]
    held_to = abs(as_asked - then) >= WORTH_SAYING
    if isinstance(run_time, Amdahl):
        *first, last = (f"{each:g}" for each in run_time.tried)
        tried = f"; by the tasks that ran on {', '.join(first)} and {last} cores, "
        share = run_time.serial_s / (run_time.serial_s + run_time.parallel_s)
        stays = (
            f"no core shortens {share:.0%} of what it takes on one"
            if share >= WORTH_SAYING
            else "all of it is spread over them"
        )
        said.append(tried + stays)
    elif abs(then - 1) < WORTH_SAYING:
        said = [f"A task takes about {takes}"] if cores == requested else [*said, ", no longer than it took"]
    elif held_to and abs(as_asked - 1) < WORTH_SAYING:
        said.append(f"; it took {duration(typical_s)} with the {requested:g} asked for")
        held_to = False
    else:
        said.append(f"; it took {duration(typical_s)} as measured")
    if held_to:
        said.append(f"; held to the {requested:g} asked for, about {duration(typical_s * as_asked)}")
    if run_time.stretch(max(cores, run_time.most)) < then * (1 - WORTH_SAYING):
        said.append(f". More would shorten that for more than it is worth: {_worth(settings)}")
    return ("".join(said) + ".",)


def apart(evidence: StepEvidence, cores: float, run_time: RunTime) -> tuple[str, ...]:
    """The few tasks that these cores slow down by more than the rest: who waits for all tasks waits for these."""
    if isinstance(run_time, Amdahl):  # its run times are those on the cores that each task had
        return ()
    means = {a.task_key: mean for a in evidence.succeeded if (mean := mean_cores(a)) is not None}
    longer = [mean / cores for mean in means.values() if mean > cores * APART]
    if len(means) == 1 or not longer or max(longer) <= APART * max(1.0, run_time.stretch(cores)):
        return ()
    of, times = f"of {len(means):,} tasks would take", f"{round(max(longer), 1):g}"
    most = _cores(_three(max(longer) * cores))
    if len(longer) == 1:
        return (f"1 {of} at least {times} times as long: it kept {most} busy.",)
    some = f"{len(longer):,} {of} over {APART:g} times as long"
    return (f"{some}, the busiest at least {times} times: they kept up to {most} busy.",)


def newest_code(evidence: StepEvidence, cores: float, held: Limits) -> tuple[str, ...]:
    """That the newest version of the code needs far less than the advice, which stands on older ones too."""
    newest = evidence.newest
    if newest is None or newest.code_version is None or held.is_throttled:
        return ()
    since = [a for a in evidence.succeeded if a.code_version == newest.code_version and a.cpu_max is not None]
    tasks = len({a.task_key for a in since})
    most = float(whole_cores(max((a.cpu_max or 0.0 for a in since), default=0.0)))
    older_too = any(a.code_version != newest.code_version for a in evidence.succeeded)
    if tasks < TASKS_TO_FALL or not older_too or most * FAR > cores:
        return ()
    older = "Its older code counts here too: `stepsize report` with --since or --runs leaves it out."
    return (f"The {tasks:,} tasks of its newest code used no more than {_cores(most)}. {older}",)


def held_beside(cores: float, beside: Beside) -> tuple[str, ...]:
    """That fewer would do but for what is held for longer then; empty where that is little."""
    if beside.cores < 1:
        return ()
    devices = f"{beside.gpus:g} {'GPU' if beside.gpus == 1 else 'GPUs'}"
    memory = f"{_three(beside.memory_bytes / 10**9):,g} GB of memory"
    held = f"{devices} and {memory}" if beside.gpus else memory
    worth = _cores(_three(beside.cores))
    return (f"Fewer than {_cores(cores)} would hold {held} for longer, which cost as much as {worth}.",)


def budgeted(
    run_time: RunTime, cores: float, cheapest: float, settings: CpuSettings, beside: Beside
) -> tuple[str, ...]:
    """What the cores cost beside those that cost least, where a budget decides; empty where none does."""
    if settings.budget is None:
        return ()
    if cores == cheapest:
        return (f"{_cores(cores)} {'costs' if cores == 1 else 'cost'} least a task.",)
    times = core_time(run_time, cores, beside) / core_time(run_time, cheapest, beside)
    least = f"{times:.2f} times what it does on {_cores(cheapest)}, the least"
    return (f"A task costs {least}; the budget is {settings.budget:g}.",)


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would say them in, to two or three figures."""
    if seconds >= _HOUR_S:
        return f"{_three(seconds / _HOUR_S):,g} h"
    if seconds >= 2 * _MINUTE_S:
        return f"{seconds / _MINUTE_S:.3g} min"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def _three(value: float) -> float:
    """To three figures, so that no exponent is printed before a million."""
    return float(f"{value:.3g}")


def _worth(settings: CpuSettings) -> str:
    if settings.budget is not None:
        return f"the budget is {settings.budget:g} times the cheapest"
    return f"to {settings.name!r}, a second short of cores costs as much as {settings.waiting_cores:g} core seconds"


def _cores(cores: float) -> str:
    return "1 core" if cores == 1 else f"{cores:g} cores"
