"""resource-tracker's four rules, for whoever wants its answer from stepsize's measurements.

What comes in: the evidence of a step. What goes out: a :class:`Recommendation`. Pure.

Source: ``ResourceTracker.recommend_resources``, ``round_memory`` and ``aggregate_stats`` of resource-tracker 0.5.0
(https://sparecores.github.io/resource-tracker/): cores by the mean of use, rounded half to even, at least one; the
highest memory with a fifth on top; the most GPUs used; the highest VRAM with a fifth on top; both sizes rounded to its
own steps. Its rules are applied as documented: not the division that makes its release answer 128 for nearly every
step, and to every attempt that ended rather than to the first task of the last five runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.certainty import confidence
from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.analyzer.sizing.levels import MEMORY, Sized, learned
from stepsize.analyzer.sizing.memory.static import static_settings
from stepsize.analyzer.sizing.peaks import memory_peaks
from stepsize.analyzer.sizing.policy import DEFAULT_POLICY, Advice, Recommendation
from stepsize.analyzer.sizing.presets import PRESETS
from stepsize.model import BYTES_PER_MB
from stepsize.sizes import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.usage import StepEvidence

_BUFFER = 1.2
_STEPS_MIB = (128, 256, 512, 1024, 2048)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceTrackerPolicy:
    """The four rules. Memory and VRAM are numbers of MiB in that tool; ``@resources`` is given the same numbers."""

    name: str = "resource-tracker"

    def recommend(self, evidence: StepEvidence, lessons: Lessons = ALONE) -> Recommendation:
        """What resource-tracker's rules ask for; a resource that was not measured is kept.

        Failures are expected by what the default policy knows: these rules have no opinion on them.
        """
        attempts = evidence.ended
        memory = _memory([a.memory_peak_bytes for a in attempts])
        newest = evidence.newest
        requested_bytes = newest.requested_memory_bytes if newest else None
        asked = requested_bytes if memory.value is None else memory.value * BYTES_PER_MB
        static = learned(evidence, lessons, static_settings(PRESETS[DEFAULT_POLICY]), MEMORY)
        sized = Sized(advice=memory, asked_bytes=asked, static=static)
        return Recommendation(
            cpu=_cpu([a.cpu_mean for a in attempts]),
            memory_mb=memory,
            gpu=_gpu([a.gpu_utilization_mean for a in attempts], [a.gpu_utilization_max for a in attempts]),
            vram_mb=_vram([a.gpu_memory_peak_bytes for a in attempts]),
            disk_mb=Advice(None),
            reasons=() if attempts else ("No attempt has ended: everything stays as it is.",),
            confidence=confidence(evidence, memory_peaks(evidence)),
            failures_expected_per_1000=sized.failures_per_1000,
            failures_range_per_1000=sized.failures_range_per_1000,
        )


def round_memory_mib(size_mib: float) -> int:
    """``size_mib`` rounded up to 128, 256, 512, 1024, 2048 MiB, above that to whole GiB."""
    for step in _STEPS_MIB:
        if size_mib <= step:
            return step
    return math.ceil(size_mib / 1024) * 1024


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _cpu(means: Iterable[float | None]) -> Advice:
    known = _known(means)
    if not known:
        return Advice(None)
    mean = math.fsum(known) / len(known)
    return Advice(
        max(1, round(mean)), (f"Mean use was {mean:.2f} cores, rounded; a mean hides the busy part of a step.",)
    )


def _memory(peaks_bytes: Iterable[float | None]) -> Advice:
    known = _known(peaks_bytes)
    if not known:
        return Advice(None)
    highest_mib = max(known) / MIB
    value = round_memory_mib(highest_mib * _BUFFER)
    return Advice(value, (f"The highest memory peak was {highest_mib:,.0f} MiB; with 20% on top, rounded, {value:,}.",))


def _gpu(means: Iterable[float | None], highest: Iterable[float | None]) -> Advice:
    known = _known(means)
    if not known:
        return Advice(None)
    most = max(_known(highest), default=0.0)
    value = max(1, round(most)) if max(known) > 0 else 0
    return Advice(value, (f"GPU use was {most:.2f} devices at most.",) if value else ())


def _vram(peaks_bytes: Iterable[float | None]) -> Advice:
    highest_mib = max(_known(peaks_bytes), default=0.0) / MIB
    if not highest_mib:
        return Advice(None)
    value = round_memory_mib(highest_mib * _BUFFER)
    return Advice(value, (f"The highest VRAM peak was {highest_mib:,.0f} MiB; with 20% on top, rounded, {value:,}.",))
