"""The peaks of a level (memory, VRAM, disk) over a step's attempts, those cut off by a limit among them.

What comes in: evidence, and which column to read. What goes out: a frozen :class:`Peaks`. Pure.

An attempt that ran out of memory says only that its peak was *at least* its limit (a censored observation); how far
above is a guess that the policy makes. Attempts that failed, were killed or lost count with what they had reached,
since their whole need was at least that; only tasks that finished show what a whole task takes, so only they are
counted where a request may fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.model import SAMPLED_SOURCES, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.analyzer.usage import Attempt, StepEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What a level reached: the highest true peak and whose it was, one peak for each finished task, and the limits
    that were not enough."""

    highest_bytes: int
    highest_at: str
    finished_bytes: tuple[int, ...]
    exceeded_limits_bytes: tuple[int, ...] = ()
    sampled_only: bool = False
    """Whether the highest peak comes from samples alone, between which a spike can hide."""

    @property
    def tasks(self) -> int:
        """Tasks that finished, with their peak known."""
        return len(self.finished_bytes)

    def needed_bytes(self, bump: float) -> float:
        """The most that was needed, an exceeded limit counted as ``bump`` times itself."""
        return max([self.highest_bytes, *(limit * bump for limit in self.exceeded_limits_bytes)])


def level_peaks(evidence: StepEvidence, read: Callable[[Attempt], int | None]) -> Peaks | None:
    """The peaks of the level that ``read`` takes from an attempt; None where no attempt that ended has one."""
    whose: Attempt | None = None
    highest = -1
    finished: dict[tuple[str, str, str], int] = {}
    for attempt in evidence.ended:
        peak = read(attempt)
        if peak is None:
            continue
        if whose is None or peak > highest or (peak == highest and _name(attempt) > _name(whose)):
            highest, whose = peak, attempt
        if attempt.outcome is Outcome.OK:
            task = attempt.task_key
            if peak > finished.get(task, -1):
                finished[task] = peak
    if whose is None:
        return None
    return Peaks(
        highest_bytes=highest,
        highest_at=f"{whose.run}/{evidence.step}/{whose.task}",
        finished_bytes=tuple(sorted(finished.values())),
    )


def _name(attempt: Attempt) -> tuple[str, str, int]:
    return attempt.run, attempt.task, attempt.attempt


def memory_peaks(evidence: StepEvidence) -> Peaks | None:
    """The peaks of memory, with the limits at which attempts ran out of it; None where neither is known."""
    exceeded = tuple(
        sorted(limit for attempt in evidence.ended if attempt.outcome is Outcome.OOM and (limit := _limit(attempt)))
    )
    peaks = level_peaks(evidence, lambda attempt: attempt.memory_peak_bytes)
    if peaks is None:
        if not exceeded:
            return None
        return Peaks(highest_bytes=0, highest_at="", finished_bytes=(), exceeded_limits_bytes=exceeded)
    sources = {a.memory_source for a in evidence.ended if a.memory_peak_bytes == peaks.highest_bytes}
    return Peaks(
        highest_bytes=peaks.highest_bytes,
        highest_at=peaks.highest_at,
        finished_bytes=peaks.finished_bytes,
        exceeded_limits_bytes=exceeded,
        sampled_only=bool(sources) and sources <= SAMPLED_SOURCES,
    )


def _limit(attempt: Attempt) -> int:
    """What an attempt that ran out of memory needed at least: its limit or request, or its peak if that was higher."""
    limit = attempt.memory_limit_bytes or attempt.requested_memory_bytes or 0
    return max(limit, attempt.memory_peak_bytes or 0)
