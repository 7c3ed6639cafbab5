"""What a step used of its cores: how long at which level, by samples and by CPU time.

What comes in: the evidence of a step. What goes out: levels of use with their seconds. Pure.

The two see different things. Samples see how use varies within a task, in buckets that are 4.4 % wide, by clocks that
are read a little too early or late. CPU time by run time is exact, and holds what lived and died between two samples,
but is one number a task.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from stepsize.model import CPU_BUCKET_MAX, cpu_bucket_upper, cpu_quantile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.usage import Attempt, CpuBucket, StepEvidence

SHORTEST_RUN_S = 1.0
"""In less time than this use says more of when clocks were read than of cores."""
MOST_CORES = cpu_bucket_upper(CPU_BUCKET_MAX)
"""No mean is believed beyond what the histogram can hold."""
_STEPS_PER_OCTAVE = 256
"""Means are told apart by 0.3 %: a million tasks then have no more levels than some thousand."""


class Level(NamedTuple):
    """Seconds in which ``cores`` were in use."""

    cores: float
    seconds: float


def telling(evidence: StepEvidence) -> tuple[CpuBucket, ...]:
    """The histogram of cores in use; empty where it saw too short a time to say anything."""
    seen_s = math.fsum(bucket.seconds for bucket in evidence.cpu_histogram)
    return evidence.cpu_histogram if seen_s >= SHORTEST_RUN_S else ()


def sampled(evidence: StepEvidence) -> tuple[Level, ...]:
    """Levels by samples, in ascending order: the upper edge of each bucket, none above the highest sample."""
    highest = max((a.cpu_max for a in evidence.ended if a.cpu_max is not None), default=math.inf)
    found = telling(evidence)
    return _levels((min(cpu_bucket_upper(bucket.bucket), highest), bucket.seconds) for bucket in found)


def timed(evidence: StepEvidence) -> tuple[Level, ...]:
    """Levels by CPU time, in ascending order: each attempt's mean for its run time, those of moments taken together."""
    attempts = _with_times(evidence)
    if math.fsum(a.duration_s or 0.0 for a in attempts) < SHORTEST_RUN_S:
        return ()
    moments = [a for a in attempts if (a.duration_s or 0.0) < SHORTEST_RUN_S]
    whole = [(_mean([a]), a.duration_s or 0.0) for a in attempts if (a.duration_s or 0.0) >= SHORTEST_RUN_S]
    if moments:
        whole.append((_mean(moments), math.fsum(a.duration_s or 0.0 for a in moments)))
    return _levels(whole)


def only_means(evidence: StepEvidence) -> bool:
    """Whether nothing but CPU time is known of any attempt, as of history that was imported: no sample, no maximum."""
    return not evidence.cpu_histogram and all(a.cpu_max is None for a in evidence.ended)


def cores_used(evidence: StepEvidence, quantile: float) -> float | None:
    """Cores that were enough for ``quantile`` of the time, by samples; at least the mean that CPU time shows.

    None where nothing was read, or over too short a time (:data:`SHORTEST_RUN_S`). A bucket's edge is cut at the
    highest sample.
    """
    enough = cpu_quantile({bucket.bucket: bucket.seconds for bucket in telling(evidence)}, quantile)
    attempts = _with_times(evidence)
    run_s = math.fsum(a.duration_s or 0.0 for a in attempts)
    mean = math.fsum(a.cpu_seconds or 0.0 for a in attempts) / run_s if run_s >= SHORTEST_RUN_S else None
    highest = max((a.cpu_max for a in evidence.ended if a.cpu_max is not None), default=None)
    if enough is not None and highest is not None:
        enough = min(enough, highest)
    known = [value for value in (enough, mean) if value is not None]
    return max(known) if known else None


def mean_cores(attempt: Attempt) -> float | None:
    """Cores in use by CPU time; None where it is not known, or over in a moment."""
    known = attempt.cpu_seconds is not None and (attempt.duration_s or 0.0) >= SHORTEST_RUN_S
    return _mean([attempt]) if known else None


def _with_times(evidence: StepEvidence) -> list[Attempt]:
    return [a for a in evidence.ended if a.cpu_seconds is not None and a.duration_s]


def _mean(attempts: Sequence[Attempt]) -> float:
    """Cores in use by CPU time, to the nearest of the levels that are told apart; no more than any host has."""
    cores = math.fsum(a.cpu_seconds or 0.0 for a in attempts) / math.fsum(a.duration_s or 0.0 for a in attempts)
    cores = min(cores, max(float(a.host_cpus or MOST_CORES) for a in attempts))
    return float(2 ** (round(math.log2(cores) * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE)) if cores > 0 else 0.0


def _levels(found: Iterable[tuple[float, float]]) -> tuple[Level, ...]:
    """In ascending order, each once; sums do not depend on the order of the evidence."""
    seconds_at: dict[float, list[float]] = {}
    for cores, seconds in found:
        if seconds > 0:
            seconds_at.setdefault(cores, []).append(seconds)
    return tuple(Level(cores, math.fsum(each)) for cores, each in sorted(seconds_at.items()))
