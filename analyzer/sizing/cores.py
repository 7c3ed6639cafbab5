"""How many cores to ask for: from the distribution of use over time, never from its mean alone.

What comes in: the evidence of a step and the share of the time for which the cores must be enough. What goes out: an
:class:`Advice`. Pure.

A request limits use only where the platform enforces it. Elsewhere (a laptop, a pod without a limit) a step takes what
the host has: a numeric library starts a thread for every core it sees. What was used is then what *could* be used, not
what a slower and cheaper run needs, and the reasons say so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.policy import Advice
from stepsize.analyzer.sizing.restraint import TASKS_TO_FALL
from stepsize.analyzer.sizing.rounding import covers, whole_cores
from stepsize.model import cpu_quantile

if TYPE_CHECKING:
    from stepsize.analyzer.usage import CpuBucket, StepEvidence

SHORTEST_RUN_S = 1.0
"""In less time than this, all attempts together, use says more of when clocks were read than of cores."""
THROTTLED_SHARE = 0.02
"""From this share of the run time on, a quota is said to have held the step back."""
WHOLE_HOST_SHARE = 0.8
"""From this share of a host's cores on, use is taken to be the host's size rather than the step's need."""


def cores_used(evidence: StepEvidence, quantile: float) -> float | None:
    """Cores that were enough for ``quantile`` of the time, by samples; at least the mean that CPU time shows.

    None where nothing was read, or over too short a time (:data:`SHORTEST_RUN_S`). CPU time holds what lived and died
    between two samples; a bucket's edge is cut at the highest sample.
    """
    enough = cpu_quantile({bucket.bucket: bucket.seconds for bucket in telling(evidence)}, quantile)
    timed = [a for a in evidence.ended if a.cpu_seconds is not None and a.duration_s]
    run_s = math.fsum(a.duration_s or 0.0 for a in timed)
    mean = math.fsum(a.cpu_seconds or 0.0 for a in timed) / run_s if run_s >= SHORTEST_RUN_S else None
    highest = max((a.cpu_max for a in evidence.ended if a.cpu_max is not None), default=None)
    if enough is not None and highest is not None:
        enough = min(enough, highest)
    known = [value for value in (enough, mean) if value is not None]
    return max(known) if known else None


def telling(evidence: StepEvidence) -> tuple[CpuBucket, ...]:
    """The histogram of cores in use; empty where it saw too short a time to say anything."""
    seen_s = math.fsum(bucket.seconds for bucket in evidence.cpu_histogram)
    return evidence.cpu_histogram if seen_s >= SHORTEST_RUN_S else ()


def advise(evidence: StepEvidence, quantile: float) -> Advice:
    """Whole cores to ask for, or to keep the request, and why."""
    used = cores_used(evidence, quantile)
    newest = evidence.newest
    requested = newest.requested_cpu if newest else None
    if used is None:
        return _without_use(evidence, requested)
    target = whole_cores(used)
    enough = _enough(used, quantile)
    if requested is None or (target > requested and not covers(requested, used)):
        return Advice(target, (enough, *_rounded(target, used), *_beyond_request(evidence, used, requested)))
    if target >= requested:
        return Advice(None, (enough, *_rounded(requested, used)))
    held = _why_held(evidence, requested)
    if held:
        return Advice(None, (enough, held), held=held)
    return Advice(target, (enough, *_rounded(target, used)))


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


def _rounded(asked: float, used: float) -> tuple[str, ...]:
    """Why ``asked`` cores are enough although more were in use, where a reader would wonder."""
    if _shown(used) <= asked:
        return ()
    return (f"What is above {asked:g} is no more than measuring may add.",)


def _enough(used: float, quantile: float) -> str:
    if used < 0.1:
        return "CPU was hardly used."
    cores = f"{_shown(used):g}"
    return f"{cores} {'core was' if cores == '1' else 'cores were'} enough for {quantile:.0%} of the time."


def _shown(used: float) -> float:
    return round(used, 1 if used >= 10 else 2)


def _why_held(evidence: StepEvidence, requested: float) -> str:
    """Why cores that were not used are kept nevertheless; empty where they may go."""
    throttled = _throttled_share(evidence)
    if throttled >= THROTTLED_SHARE:
        return f"CPU stays at {requested:g}: a quota held it back for {throttled:.0%} of the run time."
    measured = (a for a in evidence.succeeded if a.cpu_seconds is not None or a.cpu_max is not None)
    tasks = len({a.task_key for a in measured})
    if tasks < TASKS_TO_FALL:
        return f"CPU stays at {requested:g} until {TASKS_TO_FALL} tasks have finished ({tasks} so far)."
    return ""


def _throttled_share(evidence: StepEvidence) -> float:
    known = [a for a in evidence.ended if a.throttled_s is not None and a.duration_s]
    run_s = math.fsum(a.duration_s or 0.0 for a in known)
    return math.fsum(a.throttled_s or 0.0 for a in known) / run_s if run_s else 0.0


def _beyond_request(evidence: StepEvidence, used: float, requested: float | None) -> tuple[str, ...]:
    hosts = {a.host_cpus for a in evidence.ended if a.host_cpus}
    reasons = []
    if requested is not None:
        reasons.append(f"That is more than the {requested:g} asked for: where it ran, the request was no limit.")
    if hosts and used >= WHOLE_HOST_SHARE * min(hosts) and min(hosts) > 1:
        reasons.append(
            f"It took nearly all of a host with {min(hosts)} cores: libraries start a thread for each core they see, "
            "and fewer cores may only make it slower."
        )
    return tuple(reasons)
