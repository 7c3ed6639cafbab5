"""A word for how far the evidence behind a recommendation carries. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.policy import Confidence
from stepsize.analyzer.sizing.restraint import TASKS_TO_FALL

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.peaks import Peaks
    from stepsize.analyzer.usage import StepEvidence

MANY_TASKS = 8


def confidence(evidence: StepEvidence, peaks: Peaks | None) -> Confidence:
    """``high`` takes eight finished tasks in two runs and true peaks of memory (``peaks``), not samples alone."""
    if peaks is None or peaks.tasks == 0:
        return Confidence.NONE
    if peaks.tasks < TASKS_TO_FALL:
        return Confidence.LOW
    runs = len({attempt.run_key for attempt in evidence.succeeded})
    if peaks.tasks < MANY_TASKS or runs < 2 or peaks.sampled_only:
        return Confidence.MEDIUM
    return Confidence.HIGH
