"""Whether a step could have used more cores than it did: held back by a quota, at the end of what it had, or neither.

What comes in: the evidence of a step. What goes out: a :class:`Limits`, and levels of use as they would have been
without the quota. Pure.

A quota stops a thread that wants to run until the next period begins, and the kernel counts that time for each core on
which it stops one (``throttled_time`` of a control group's ``cpu.stat``). Cores in use and seconds throttled a second
therefore add up to the cores that would have been in use, or more where others wanted the host's cores too: a thread
under a quota of half a core runs for half of the time and is throttled for the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.cpu.use import Level, sampled
from stepsize.analyzer.sizing.rounding import covers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.analyzer.usage import Attempt, StepEvidence

THROTTLED_SHARE = 0.02
"""From this share of the run time on, a quota is said to have held the step back."""
NEAR = 0.9
"""From this share of what it had on, a step is taken to use all of it: samples are means over their interval."""
NEAR_QUOTA = 0.8
"""As :data:`NEAR` under a quota, whose periods of 100 ms cut the use of threads that begin and end in between."""
SATURATED_SHARE = 0.05
"""From this share of the time on, use at the end of what there was says that more might have been used."""
RAISED_AT_ONCE = 2.0
"""Cores beyond so many times the quota are not concluded from throttling: libraries start a thread for each core of the
host, which all wait where they would not all help."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step had, and how far it was at its end.

    Attributes:
        throttled_s: seconds throttled with the cores that are asked for now, added up over cores and attempts; None
            where it could not be read.
        run_s: the run time of the attempts for which it could.
        quota: the lowest quota that is known of these attempts, in cores; None where none is.
        had_cores: the most cores that any attempt could have used; None where that is not known.
        end: what they are, in words: ``quota``, ``host`` or ``request``.
        host_cpus: cores of the largest host; None where that is not known.
        saturated_share: share of the time in which all of them were in use.
    """

    throttled_s: float | None
    run_s: float
    quota: float | None
    had_cores: float | None
    end: str
    host_cpus: int | None
    saturated_share: float

    @property
    def throttled_share(self) -> float | None:
        """Throttled seconds of a second of run time, at most one; None where they could not be read."""
        if self.throttled_s is None or self.run_s <= 0:
            return None
        return min(1.0, self.throttled_s / self.run_s)

    @property
    def is_throttled(self) -> bool:
        """Whether a quota held the step back."""
        return (self.throttled_share or 0.0) >= THROTTLED_SHARE

    @property
    def is_saturated(self) -> bool:
        """Whether it was at the end of what it had for long enough to say that more might have been used."""
        return self.saturated_share >= SATURATED_SHARE


def limits(evidence: StepEvidence) -> Limits:
    """What held the step back, over all attempts that ended; a quota counts only where it is the one of today."""
    newest = evidence.newest
    asked = newest.requested_cpu if newest else None
    read = [a for a in evidence.ended if a.throttled_s is not None and a.duration_s and a.requested_cpu == asked]
    had, end = max(filter(None, map(available, evidence.ended)), default=(None, ""))
    return Limits(
        throttled_s=math.fsum(a.throttled_s or 0.0 for a in read) if read else None,
        run_s=math.fsum(a.duration_s or 0.0 for a in read),
        quota=min((a.cpu_limit for a in read if a.cpu_limit), default=None),
        had_cores=had,
        end=end,
        host_cpus=max((a.host_cpus for a in evidence.ended if a.host_cpus), default=None),
        saturated_share=_saturated_share(evidence, had),
    )


def available(attempt: Attempt) -> tuple[float, str] | None:
    """Cores that an attempt could have used, and what they are; None where nothing says.

    A request counts where its use came up to it and not beyond: something holds it there, though no quota is known.
    """
    known = [(float(attempt.host_cpus), "host")] if attempt.host_cpus else []
    if attempt.cpu_limit:
        known.append((attempt.cpu_limit, "quota"))
    elif attempt.requested_cpu and _ends_at(attempt, attempt.requested_cpu):
        known.append((attempt.requested_cpu, "request"))
    return min(known, default=None)


def unthrottled(levels: Sequence[Level], held: Limits) -> tuple[Level, ...]:
    """The levels of use without the quota: what was near it is higher and shorter by what was throttled."""
    if not held.is_throttled or not levels:
        return tuple(levels)
    assert held.throttled_s is not None
    quota = held.quota or max(level.cores for level in levels)
    near = [level for level in levels if level.cores >= NEAR_QUOTA * quota]
    work_s = math.fsum(level.cores * level.seconds for level in near)
    if work_s <= 0:
        return tuple(levels)
    more = min(RAISED_AT_ONCE, 1 + held.throttled_s / work_s)
    if held.host_cpus:
        more = max(1.0, min(more, held.host_cpus / quota))
    return tuple(
        Level(level.cores * more, level.seconds / more) if level.cores >= NEAR_QUOTA * quota else level
        for level in levels
    )


def _ends_at(attempt: Attempt, cores: float) -> bool:
    return attempt.cpu_max is not None and attempt.cpu_max >= NEAR * cores and covers(cores, attempt.cpu_max)


def _saturated_share(evidence: StepEvidence, had: float | None) -> float:
    """Of the run time of the attempts that are not known to have had fewer: only their use can have come near to it."""
    if had is None:
        return 0.0
    run_s = math.fsum(a.duration_s or 0.0 for a in evidence.ended if (available(a) or (had,))[0] >= had)
    near_s = math.fsum(level.seconds for level in sampled(evidence) if level.cores >= NEAR * had)
    return min(1.0, near_s / run_s) if run_s > 0 else 0.0
