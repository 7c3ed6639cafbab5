"""Settings of thread pools that disagree with the cores of a step.

What comes in: evidence, and the cores that the step will have. What goes out: sentences. Pure.

Numeric libraries start a thread for each core that they see, which is the host's number and not the container's, unless
a variable says otherwise. More threads than cores wait for each other; fewer leave cores idle.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.cpu.limits import NEAR
from stepsize.analyzer.sizing.rounding import covers
from stepsize.identity import THREAD_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepsize.analyzer.sizing.cpu.limits import Limits
    from stepsize.analyzer.usage import StepEvidence

FIRST = "OMP_NUM_THREADS"
"""What most numeric libraries read, and so the one to set where none is."""

_AT_MOST = {"OMP_THREAD_LIMIT": "OMP_NUM_THREADS", "NUMEXPR_MAX_THREADS": "NUMEXPR_NUM_THREADS"}
"""Variables that start no thread themselves, by those whose threads they bound."""
_DIGITS = 64


def thread_reasons(evidence: StepEvidence, held: Limits, cores: float, requested: float | None) -> tuple[str, ...]:
    """What to set so that threads fit ``cores``; empty where they do, or where the step uses no pool to speak of."""
    used = max((a.cpu_max for a in evidence.ended if a.cpu_max is not None), default=0.0)
    pools = newest_pools(evidence)
    threads = max(1, math.ceil(cores))
    reasons = []
    crowded = held.is_throttled or not covers(cores, used)
    if crowded and (large := {name: count for name, count in pools.items() if count > threads}):
        starts = "starts" if len(large) == 1 else "start"
        reasons.append(f"{_listed(large)} {starts} more threads than {threads}: set {_them(large)} to {threads}.")
    small = {name: count for name, count in pools.items() if NEAR * count <= used <= count / NEAR}
    if requested and small and (most := max(small.values())) < requested:
        was, has = "was" if most == 1 else "were", "has" if len(small) == 1 else "have"
        reasons.append(
            f"No more than {most} of the {requested:g} cores asked for {was} used, as many as {_listed(small)} {has} "
            f"libraries start threads: ask for {threads if cores < requested else 'fewer'}, or set "
            f"{_them(small)} to {math.ceil(requested)}."
        )
    if crowded and not pools and held.host_cpus and held.host_cpus > threads:
        reasons.append(
            "Nothing was seen that says how many threads to start: numeric libraries then start one for each of the "
            f"host's {held.host_cpus} cores. {FIRST}={threads} has them start as many as there are to be."
        )
    return tuple(reasons)


def newest_pools(evidence: StepEvidence) -> Mapping[str, int]:
    """Threads by variable, as the newest attempt of which any are known had them set."""
    known = [a for a in evidence.ended if a.thread_limits]
    if not known:
        return {}
    newest = max(known, key=lambda a: (a.started_at_s or 0.0, a.run, a.owner, a.task, a.attempt))
    return _counts(newest.thread_limits or "")


def _counts(settings: str) -> dict[str, int]:
    """Counts above zero of a JSON object; of ``4,2``, which is by level of nesting, the first."""
    try:
        found = json.loads(settings)
    except ValueError:
        return {}
    counts = {}
    for name, value in sorted(found.items()) if isinstance(found, dict) else ():
        first = str(value).partition(",")[0].strip()
        if (
            name in THREAD_VARIABLES
            and first.isdecimal()
            and first.isascii()
            and len(first) < _DIGITS
            and int(first) > 0
        ):
            counts[name] = int(first)
    for most, threads in _AT_MOST.items():
        if most in counts and threads in counts:  # of the two the lower one holds
            counts.pop(most if counts[most] >= counts[threads] else threads)
    return counts


def _listed(pools: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={count}" for name, count in pools.items())


def _them(pools: Mapping[str, int]) -> str:
    return "it" if len(pools) == 1 else "them"
