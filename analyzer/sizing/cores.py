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
from stepsize.analyzer.sizing.rounding import CORE_TOLERANCE, cpu_quantile, whole_cores

if TYPE_CHECKING:
    from stepsize.analyzer.usage import StepEvidence

SHORTEST_RUN_S = 1.0
"""In less time than this, CPU time over run time says more of when the clock was read than of cores."""
THROTTLED_SHARE = 0.02
"""From this share of the run time on, a quota is said to have held the step back."""
WHOLE_HOST_SHARE = 0.8
"""From this share of a host's cores on, use is taken to be the host's size rather than the step's need."""


def cores_used(evidence: StepEvidence, quantile: float) -> float | None:
    """Cores that were enough for ``quantile`` of the time, by samples; at least the mean that CPU time shows.

    CPU time holds what lived and died between two samples; a bucket's edge is cut at the highest sample.
    """
    enough = cpu_quantile(evidence.cpu_histogram, quantile)
    timed = [a for a in evidence.ended if a.cpu_seconds is not None and a.duration_s]
    run_s = math.fsum(a.duration_s or 0.0 for a in timed)
    mean = math.fsum(a.cpu_seconds or 0.0 for a in timed) / run_s if run_s >= SHORTEST_RUN_S else None
    highest = max((a.cpu_max for a in evidence.ended if a.cpu_max is not None), default=None)
    if enough is not None and highest is not None:
        enough = min(enough, highest)
    known = [value for value in (enough, mean) if value is not None]
    return max(known) if known else None


def advise(evidence: StepEvidence, quantile: float) -> Advice:
    """Whole cores to ask for, or to keep the request, and why."""
    used = cores_used(evidence, quantile)
    if used is None:
        return Advice(None, ("CPU stays as it is: no use could be read.",))
    newest = evidence.newest
    requested = newest.requested_cpu if newest else None
    target = whole_cores(used)
    reasons = [_enough(used, quantile)]
    if requested is None or (target > requested and used > requested * CORE_TOLERANCE):
        return Advice(target, (*reasons, *_beyond_request(evidence, used, requested)))
    held = "" if target >= requested else _why_held(evidence, requested)
    if target >= requested or held:
        return Advice(None, (*reasons, held) if held else tuple(reasons))
    return Advice(target, tuple(reasons))


def _enough(used: float, quantile: float) -> str:
    if used < 0.1:
        return "CPU was hardly used."
    cores = f"{used:.0f}" if used >= 10 else f"{used:.2f}".rstrip("0").rstrip(".")
    return f"{cores} {'core was' if cores == '1' else 'cores were'} enough for {quantile:.0%} of the time."


def _why_held(evidence: StepEvidence, requested: float) -> str:
    """Why cores that were not used are kept nevertheless; empty where they may go."""
    throttled = _throttled_share(evidence)
    if throttled >= THROTTLED_SHARE:
        held = f"A CPU quota held it back for {throttled:.0%} of the run time"
        return f"{held}: it could have used more, so CPU does not fall."
    measured = (a for a in evidence.succeeded if a.cpu_seconds is not None or a.cpu_max is not None)
    tasks = len({(a.run, a.task) for a in measured})
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
