"""The default policy: the highest true peak with headroom, and the cores that were enough nearly all of the time.

What comes in: the evidence of a step. What goes out: a :class:`Recommendation`. Pure. The rules, their reasons and what
they cannot see are in ``docs/policies.md``; how fast a request may fall is in ``restraint``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing import cores
from stepsize.analyzer.sizing.certainty import confidence, failures_per_1000
from stepsize.analyzer.sizing.peaks import Peaks, level_peaks, memory_peaks
from stepsize.analyzer.sizing.policy import Advice, Confidence, Recommendation
from stepsize.analyzer.sizing.restraint import TASKS_TO_FALL, Falling, restrain
from stepsize.analyzer.sizing.rounding import round_up_mb
from stepsize.model import BYTES_PER_MB, Outcome

if TYPE_CHECKING:
    from stepsize.analyzer.usage import StepEvidence

MEMORY_FLOOR_MB = 250
"""Before the step's own process starts, a remote task's container fetches and unpacks the code package; installing what
that takes with pip peaks at 93 MB (pip 23, boto3 and requests), none of which is in the step's process tree."""
KUBERNETES_DEFAULT_DISK_MB = 10_240
"""What a step without ``disk`` gets (metaflow/plugins/kubernetes/kubernetes_decorator.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadroomPolicy:
    """Memory, VRAM and disk: highest peak times (1 + ``headroom``). CPU: the ``cpu_quantile`` of use over time.

    ``oom_bump``: an attempt that ran out of memory counts as a peak of its limit times this, before headroom.
    """

    name: str = "headroom"
    headroom: float = 0.20
    cpu_quantile: float = 0.95
    oom_bump: float = 1.25

    def recommend(self, evidence: StepEvidence) -> Recommendation:
        """What the step should ask for, and why."""
        if not evidence.ended:
            return _nothing_ended(evidence)
        peaks = memory_peaks(evidence)
        memory = self._memory(evidence, peaks)
        newest = evidence.newest
        requested_bytes = newest.requested_memory_bytes if newest else None
        allocated = requested_bytes if memory.value is None else memory.value * BYTES_PER_MB
        return Recommendation(
            memory_mb=memory,
            cpu=cores.advise(evidence, self.cpu_quantile),
            gpu=_gpu(evidence),
            vram_mb=self._vram(evidence),
            disk_mb=self._disk(evidence),
            reasons=_outcomes(evidence),
            confidence=confidence(peaks, len({attempt.run_key for attempt in evidence.succeeded})),
            failures_expected_per_1000=failures_per_1000(allocated, peaks),
        )

    def _memory(self, evidence: StepEvidence, peaks: Peaks | None) -> Advice:
        if peaks is None:
            unread = "Memory stays as it is: no attempt's peak could be read."
            return Advice(None, (unread,), held=unread)
        newest = evidence.newest
        requested_bytes = newest.requested_memory_bytes if newest else None
        needed = peaks.needed_bytes(self.oom_bump)
        enough = max(needed * (1 + self.headroom), MEMORY_FLOOR_MB * BYTES_PER_MB)
        value, held = self._level("memory", peaks, enough, needed, requested_bytes)
        target = round_up_mb(enough)
        reasons = [*_peak_reasons("memory", peaks), *self._oom_reasons(peaks)]
        if enough > needed * (1 + self.headroom):
            reasons.append(
                f"With {self.headroom:.0%} headroom that is under the {MEMORY_FLOOR_MB} MB that starting a task takes."
            )
        else:
            reasons.append(f"With {self.headroom:.0%} headroom and rounded up that is {target:,} MB.")
        if held:
            reasons.append(held)
        elif value is None:
            reasons.append("The request covers that: memory stays as it is.")
        if peaks.sampled_only:
            reasons.append("The peak comes from samples alone: a short spike between two may have been missed.")
        return _advice(value, reasons, held)

    def _level(
        self, what: str, peaks: Peaks, enough: float, needed: float, requested_bytes: float | None
    ) -> tuple[int | None, str | None]:
        return restrain(
            Falling(
                target=round_up_mb(enough),
                enough=enough / BYTES_PER_MB,
                requested=None if requested_bytes is None else requested_bytes / BYTES_PER_MB,
                twice_the_peak=round_up_mb(2 * needed),
                tasks=peaks.tasks,
                what=what,
            )
        )

    def _oom_reasons(self, peaks: Peaks) -> list[str]:
        count = len(peaks.exceeded_limits_bytes)
        if not count:
            return []
        limit = peaks.exceeded_limits_bytes[-1]
        ran = "1 attempt ran" if count == 1 else f"{count} attempts ran"
        counted = f"counted as {_mb(limit * self.oom_bump)} ({self.oom_bump:g} times the limit)"
        return [f"{ran} out of memory at up to {_mb(limit)}: more was needed, {counted}."]

    def _vram(self, evidence: StepEvidence) -> Advice:
        peaks = level_peaks(evidence, lambda attempt: attempt.gpu_memory_peak_bytes)
        if peaks is None or peaks.highest_bytes == 0:
            return Advice(None)
        needed = float(peaks.highest_bytes)
        value, held = self._level("VRAM", peaks, needed * (1 + self.headroom), needed, None)
        return _advice(value, [*_peak_reasons("VRAM", peaks), *((held,) if held else ())], held)

    def _disk(self, evidence: StepEvidence) -> Advice:
        peaks = level_peaks(evidence, lambda attempt: attempt.disk_peak_bytes)
        newest = evidence.newest
        if peaks is None or newest is None:
            return Advice(None)
        needed = float(peaks.highest_bytes)
        enough = needed * (1 + self.headroom)
        if newest.requested_disk_bytes is None and enough <= KUBERNETES_DEFAULT_DISK_MB * BYTES_PER_MB:
            return Advice(None)  # the platform's default covers it: nothing to write into the flow
        value, held = self._level("disk", peaks, enough, needed, newest.requested_disk_bytes)
        if value is None and held is None:
            return Advice(None)
        return _advice(value, [*_peak_reasons("disk", peaks), *((held,) if held else ())], held)


def _gpu(evidence: StepEvidence) -> Advice:
    known = [attempt for attempt in evidence.ended if attempt.gpu_count is not None]
    newest = evidence.newest
    requested = newest.requested_gpu if newest else None
    if not known:
        if not requested:
            return Advice(None)
        unread = "GPUs stay as they are: none could be read where the step ran."
        return Advice(None, (unread,), held=unread)
    most = math.ceil(max(attempt.gpu_count or 0 for attempt in known))
    if most == (requested or 0):
        return Advice(None)
    reason = f"{most} GPU{'s' * (most != 1)} in use at once at most."
    tasks = len({a.task_key for a in known if a.outcome is Outcome.OK})
    if requested is not None and most < requested and tasks < TASKS_TO_FALL:
        held = f"GPUs stay at {requested:g} until {TASKS_TO_FALL} tasks have finished ({tasks} so far)."
        return Advice(None, (reason, held), held=held)
    return Advice(most, (reason,))


def _nothing_ended(evidence: StepEvidence) -> Recommendation:
    running = len(evidence.attempts)
    seen = "The one attempt seen is" if running == 1 else f"All {running} attempts seen are"
    keep = Advice(None)
    held = f"{seen} still running: everything stays as it is."
    memory = Advice(None, (held,), held=held)
    return Recommendation(cpu=keep, memory_mb=memory, gpu=keep, vram_mb=keep, disk_mb=keep, confidence=Confidence.NONE)


def _advice(value: int | None, reasons: list[str], held: str | None) -> Advice:
    """``held`` explains a value as well as a request that is kept; only the latter is held."""
    return Advice(value, tuple(reasons), held=held if held and value is None else "")


def _peak_reasons(what: str, peaks: Peaks) -> tuple[str, ...]:
    if not peaks.highest_at:
        return ()
    among = {0: "no task finished", 1: "1 task finished"}.get(peaks.tasks, f"{peaks.tasks} tasks finished")
    return (f"The highest {what} peak was {_mb(peaks.highest_bytes)} (task {peaks.highest_at}; {among}).",)


def _outcomes(evidence: StepEvidence) -> tuple[str, ...]:
    """The attempts that did not end well, other than for memory: their peaks count as the least that was needed."""
    words = {
        Outcome.FAILED: "failed",
        Outcome.KILLED: "was killed",
        Outcome.LOST: "was lost",
        Outcome.UNKNOWN: "ended unseen",
    }
    plural = {Outcome.KILLED: "were killed", Outcome.LOST: "were lost"}
    counted = []
    for outcome, word in words.items():
        count = sum(1 for attempt in evidence.ended if attempt.outcome is outcome)
        if count:
            counted.append(f"{count} {word if count == 1 else plural.get(outcome, word)}")
    if not counted:
        return ()
    return (
        f"Of {len(evidence.ended)} attempts {', '.join(counted)}: use until then counts as the least that was needed.",
    )


def _mb(size_bytes: float) -> str:
    return f"{size_bytes / BYTES_PER_MB:,.0f} MB"
