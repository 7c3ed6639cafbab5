"""The default policies: one request for all tasks of a step, that of the least expected cost.

What comes in: the evidence of a step, and what other steps teach. What goes out: a :class:`Recommendation`. Pure. What
a failure costs is the one knob: ``cheap``, ``balanced`` and ``safe`` are three settings of it (``presets``). How memory
is sized, and what it was tried on, is told in ``docs/sizing.md``; the other resources in ``docs/policies.md``.

Metaflow gives a retry no more memory than the attempt that ran out of it, so that the answer covers every task that the
size stands on, and ``safe`` is the default.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing import cpu, gpu, timeout
from stepsize.analyzer.sizing.certainty import confidence
from stepsize.analyzer.sizing.lessons import ALONE
from stepsize.analyzer.sizing.levels import MEMORY, Level, Sized, size
from stepsize.analyzer.sizing.memory.static import static_settings
from stepsize.analyzer.sizing.newer_code import newer_code
from stepsize.analyzer.sizing.outcomes import nothing_ended, outcomes
from stepsize.analyzer.sizing.outliers import outliers
from stepsize.analyzer.sizing.peaks import level_peaks, memory_peaks
from stepsize.analyzer.sizing.policy import DEFAULT_POLICY, Advice, Recommendation
from stepsize.analyzer.sizing.presets import PRESETS
from stepsize.analyzer.sizing.replays import replays

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.lessons import Lessons
    from stepsize.analyzer.sizing.memory.learner import Settings
    from stepsize.analyzer.sizing.peaks import Peaks
    from stepsize.analyzer.usage import StepEvidence

KUBERNETES_DEFAULT_DISK_MB = 10_240
"""What a step without ``disk`` gets (metaflow/plugins/kubernetes/kubernetes_decorator.py)."""
RUNS_AHEAD = 7
"""A week of a nightly flow: for so long a request stands until somebody looks at the report again."""

_VRAM = Level(what="VRAM", read=lambda attempt: attempt.gpu_memory_peak_bytes, requested=lambda _: None)
_DISK = Level(
    what="Disk",
    read=lambda attempt: attempt.disk_peak_bytes,
    requested=lambda attempt: attempt.requested_disk_bytes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeastCostPolicy:
    """Memory, VRAM and disk at the least expected cost; cores at the least cost of holding them and of waiting.

    ``failure_price``: what a failed attempt costs, in typical tasks of the flow. ``waiting``: what being short of cores
    does. ``runs_ahead``: how many runs a request is to be enough for, where the step grows from run to run.
    """

    name: str = DEFAULT_POLICY
    failure_price: float = PRESETS[DEFAULT_POLICY]
    waiting: cpu.CpuSettings = cpu.SAFE
    runs_ahead: int = RUNS_AHEAD

    @property
    def settings(self) -> Settings:
        """How steps are learned of."""
        return static_settings(self.failure_price, ahead=self.runs_ahead)

    def recommend(self, evidence: StepEvidence, lessons: Lessons = ALONE) -> Recommendation:
        """What the step should ask for, and why."""
        if not evidence.ended:
            return nothing_ended(evidence)
        settings = self.settings
        peaks = memory_peaks(evidence)
        memory = _memory(evidence, peaks, lessons, settings)
        return Recommendation(
            memory_mb=memory.advice,
            cpu=cpu.advise(evidence, self.waiting),
            gpu=gpu.advise(evidence),
            vram_mb=_vram(evidence, settings),
            disk_mb=_disk(evidence, settings),
            timeout_s=timeout.advise(evidence),
            reasons=outcomes(evidence),
            confidence=confidence(evidence, peaks),
            failures_expected_per_1000=memory.failures_per_1000,
            failures_range_per_1000=memory.failures_range_per_1000,
            replayed=memory.replayed,
        )


def cheap() -> LeastCostPolicy:
    """The preset for work that may fail now and then."""
    return _preset("cheap")


def balanced() -> LeastCostPolicy:
    """The preset between the other two."""
    return _preset("balanced")


def safe() -> LeastCostPolicy:
    """The preset for flows that nobody watches."""
    return _preset("safe")


def _preset(name: str) -> LeastCostPolicy:
    return LeastCostPolicy(name=name, failure_price=PRESETS[name], waiting=cpu.preset(name))


def _memory(evidence: StepEvidence, peaks: Peaks | None, lessons: Lessons, settings: Settings) -> Sized:
    if peaks is None:
        unread = "Memory stays as it is: no attempt's peak could be read."
        return Sized(advice=Advice(None, (unread,), held=unread))
    sized = size(evidence, lessons, settings, MEMORY, peaks)
    newer = newer_code(evidence, sized.static.largest_bytes) if sized.static else ()
    more = [*newer, *outliers(evidence, peaks), *replays(sized.replayed, taught=lessons.exceedances.total[0] > 0)]
    if peaks.sampled_only:
        more.append("The peak comes from samples alone: a short spike between two may have been missed.")
    return sized.because(*more)


def _vram(evidence: StepEvidence, settings: Settings) -> Advice:
    # Peaks are summed over devices: what eight held says nothing of what one has to.
    alike = replace(evidence, attempts=tuple(gpu.alike(evidence)))
    peaks, any_peaks = (level_peaks(seen, _VRAM.read) for seen in (alike, evidence))
    asks = evidence.newest is not None and evidence.newest.requested_gpu
    if asks and peaks is None and any_peaks is not None and any_peaks.highest_bytes:
        return Advice(None, ("What so many GPUs hold is not known: servers are matched without.",))
    if peaks is None or peaks.highest_bytes == 0:
        return Advice(None)
    return size(alike, ALONE, settings, _VRAM, peaks).advice


def _disk(evidence: StepEvidence, settings: Settings) -> Advice:
    peaks = level_peaks(evidence, _DISK.read)
    newest = evidence.newest
    if peaks is None or newest is None:
        return Advice(None)
    sized = size(evidence, ALONE, settings, _DISK, peaks)
    if newest.requested_disk_bytes is None and (sized.advice.value or 0) <= KUBERNETES_DEFAULT_DISK_MB:
        return Advice(None)  # the platform's default covers it: nothing to write into the flow
    return sized.advice if sized.advice.value is not None or sized.advice.held else Advice(None)
