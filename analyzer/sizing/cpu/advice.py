"""How many cores to ask for, what that does to the run time, and why.

What comes in: the evidence of a step and :class:`CpuSettings`. What goes out: a :class:`CpuSizing`, or its
:class:`Advice` alone. Pure.

The parts: ``use`` (levels of use), ``limits`` (what held it back), ``run_time`` and ``amdahl`` (how long at n cores),
``cost`` (which n), ``beside`` (what else is held), ``threads`` (settings that disagree), ``reasons`` (sentences).
``docs/cpu.md`` tells them together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.cpu import reasons
from stepsize.analyzer.sizing.cpu.amdahl import fit
from stepsize.analyzer.sizing.cpu.beside import Beside
from stepsize.analyzer.sizing.cpu.cost import cheapest, choose
from stepsize.analyzer.sizing.cpu.limits import limits, unthrottled
from stepsize.analyzer.sizing.cpu.run_time import ByUse, Profile
from stepsize.analyzer.sizing.cpu.settings import SAFE
from stepsize.analyzer.sizing.cpu.threads import thread_reasons
from stepsize.analyzer.sizing.cpu.use import SHORTEST_RUN_S, cores_used, only_means, sampled, timed
from stepsize.analyzer.sizing.policy import Advice
from stepsize.analyzer.sizing.restraint import TASKS_TO_FALL
from stepsize.analyzer.sizing.rounding import covers

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.cpu.limits import Limits
    from stepsize.analyzer.sizing.cpu.run_time import RunTime
    from stepsize.analyzer.sizing.cpu.settings import CpuSettings
    from stepsize.analyzer.usage import StepEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuSizing:
    """The advice on cores, and what was expected of them. Times are in seconds; None where they cannot be known.

    Attributes:
        advice: the cores to ask for, or None to keep the request, with reasons.
        cores: the cores that the step will have asked for then: the advice, else the request.
        run_time_s: the run time expected of a task with them.
        requested_run_time_s: the run time expected with the cores that it asks for now, if those are all it gets.
        held_back_share: the share of ``run_time_s`` in which a task has fewer cores than it could use.
        throttled_share: the share of the run time for which a quota held it back, as measured.
    """

    advice: Advice
    cores: float | None = None
    run_time_s: float | None = None
    requested_run_time_s: float | None = None
    held_back_share: float | None = None
    throttled_share: float | None = None


def advise(evidence: StepEvidence, settings: CpuSettings = SAFE) -> Advice:
    """Whole cores to ask for, or to keep the request, and why."""
    return size(evidence, settings).advice


def size(evidence: StepEvidence, settings: CpuSettings = SAFE) -> CpuSizing:
    """As :func:`advise`, with the run times that are expected."""
    newest = evidence.newest
    requested = (newest.requested_cpu or None) if newest else None
    run_time = run_time_of(evidence)
    held = limits(evidence)
    if run_time is None:
        advice = _without_use(evidence, requested)
        kept = requested if advice.value is None else advice.value
        return CpuSizing(advice=advice, cores=kept, throttled_share=held.throttled_share)
    candidates = _candidates(run_time, requested)
    beside = Beside.of(evidence)
    best = choose(run_time, candidates, settings, beside)
    cores, why_held = _kept(evidence, best, requested, held)
    # Where a request stays though more seemed to be used, the difference is no more than measuring may add.
    worked = cores if why_held else best
    typical_s = _typical_s(evidence)
    said = (
        *(
            reasons.mean(cores_used(evidence, reasons.SHOWN))
            if only_means(evidence)
            else reasons.used(cores_used(evidence, reasons.SHOWN), cores, run_time, held)
        ),
        *((why_held,) if why_held else reasons.limited(held, cores, requested)),
        *(reasons.expected(run_time, worked, requested, typical_s, settings) if why_held or worked == cores else ()),
        *(_weighed(best, run_time, candidates, settings, beside) if best == cores else ()),
        *reasons.apart(evidence, cores, run_time),
        *reasons.newest_code(evidence, cores, held),
        *thread_reasons(evidence, held, cores, requested),
    )
    times = run_time.stretch(worked)
    asked = worked if cores == requested else requested
    return CpuSizing(
        advice=Advice(None if cores == requested else math.ceil(cores), said, held=why_held),
        cores=cores,
        run_time_s=None if typical_s is None else typical_s * times,
        requested_run_time_s=None if typical_s is None or not asked else typical_s * run_time.stretch(asked),
        held_back_share=run_time.held_back(worked) / times if times > 0 else 0.0,
        throttled_share=held.throttled_share,
    )


def run_time_of(evidence: StepEvidence) -> RunTime | None:
    """How the step's run time depends on its cores; None where no use was read, or over too short a time.

    Amdahl's law where attempts ran on different numbers of cores, else by what they used.
    """
    by_samples, by_time = sampled(evidence), timed(evidence)
    if not by_samples and not by_time:
        return None
    held = limits(evidence)
    if held.is_throttled:  # what CPU time shows is what the quota left of it
        source = by_samples or by_time
        measured_s = math.fsum(level.seconds for level in source)
        by_use = ByUse(Profile.of(sorted(unthrottled(source, held)), measured_s))
    else:
        by_use = ByUse.of(by_samples, by_time)
    return fit(evidence, by_use) or by_use


def stretch(evidence: StepEvidence, cores: float) -> float:
    """How many times as long as it took a task takes on ``cores``; one where nothing is known of its use."""
    run_time = run_time_of(evidence)
    return 1.0 if run_time is None else run_time.stretch(cores)


def _weighed(
    best: float, run_time: RunTime, candidates: list[float], settings: CpuSettings, beside: Beside
) -> tuple[str, ...]:
    """What the best cores were weighed by, where the run time alone does not tell."""
    for_beside = best > choose(run_time, candidates, settings)
    least = cheapest(run_time, candidates, beside)
    budgeted = reasons.budgeted(run_time, best, least, settings, beside)
    return (*(reasons.held_beside(best, beside) if for_beside else ()), *budgeted)


def _candidates(run_time: RunTime, requested: float | None) -> list[float]:
    """Whole cores up to what is known to help, and the request, which may be a fraction."""
    numbers = [float(cores) for cores in range(1, run_time.most + 1)]
    return numbers if not requested or requested in numbers else [*numbers, requested]


def _kept(evidence: StepEvidence, best: float, requested: float | None, held: Limits) -> tuple[float, str]:
    """The cores to ask for, and why the request is kept where use alone does not justify it; else empty."""
    if not requested:
        return best, ""
    if best >= requested:  # more is worth an edit where it is more than measuring may add
        return (requested if covers(requested, best) else best), ""
    if held.is_throttled:
        share = reasons.held_back(held)
        return requested, f"CPU stays at {requested:g}: a quota held it back for {share} of the run time."
    if only_means(evidence):
        return requested, f"CPU stays at {requested:g}: a mean does not tell how many cores it used at once."
    measured = (a for a in evidence.succeeded if a.cpu_seconds is not None or a.cpu_max is not None)
    tasks = len({a.task_key for a in measured})
    if tasks < TASKS_TO_FALL:
        return requested, f"CPU stays at {requested:g} until {TASKS_TO_FALL} tasks have finished ({tasks} so far)."
    return best, ""


def _typical_s(evidence: StepEvidence) -> float | None:
    """The mean run time of a task that went well; of any that ended where none did."""
    for attempts in (evidence.succeeded, evidence.ended):
        durations = [a.duration_s for a in attempts if a.duration_s]
        if durations:
            return math.fsum(durations) / len(durations)
    return None


def _without_use(evidence: StepEvidence, requested: float | None) -> Advice:
    """The request, or one core where none is known and all that was seen is over in a moment."""
    run_s = math.fsum(a.duration_s or 0.0 for a in evidence.ended if a.cpu_seconds is not None or a.cpu_max is not None)
    seen_s = max(run_s, math.fsum(bucket.seconds for bucket in evidence.cpu_histogram))
    if not 0 < seen_s < SHORTEST_RUN_S:
        held = "CPU stays as it is: no use could be read."
        return Advice(None, (held,), held=held)
    short = f"{max(1, round(1000 * seen_s))} ms in all are too short to count cores"
    if requested is None:
        return Advice(1, (f"{short}: 1 will do.",))
    held = f"CPU stays as it is: {short}."
    return Advice(None, (held,), held=held)
