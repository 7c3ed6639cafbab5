"""How sure a recommendation is: failures to expect, and a word for the evidence behind it. Pure.

The estimate rests on exchangeability: of n + 1 tasks alike, each is as likely to be the largest, so the next exceeds
the largest of the n seen with probability 1/(n + 1) (W. Feller, An Introduction to Probability Theory and Its
Applications, vol. II, I.5, "The persistence of bad luck"). How far above it lands is taken as log-logistic
with shape one: of the tasks that exceed the largest, the share that also exceeds headroom x is 1 / (1 + x / scale), a
heavy tail. The scale, 6 % of the peak (8 % after one task), was fitted to 42,000 records of public workflows, on which
``docs/policies.md`` compares what was expected with what came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.policy import Confidence
from stepsize.analyzer.sizing.restraint import TASKS_TO_FALL, TASKS_TO_FALL_FREELY

if TYPE_CHECKING:
    from stepsize.analyzer.sizing.peaks import Peaks

EXCESS_SCALE = 0.06
EXCESS_SCALE_AFTER_ONE = 0.08


def failures_per_1000(allocated_bytes: float | None, peaks: Peaks | None) -> float | None:
    """Of a thousand next tasks, those expected to need more than ``allocated_bytes``; None without a finished task.

    Tasks already seen above the allocation count as themselves; the one that may exceed all of them counts in part.
    """
    if allocated_bytes is None or peaks is None or not peaks.finished_bytes:
        return None
    tasks = len(peaks.finished_bytes)
    above = sum(1 for peak in peaks.finished_bytes if peak > allocated_bytes)
    largest = max(peaks.finished_bytes[-1], *peaks.exceeded_limits_bytes, 1)
    room = max(0.0, allocated_bytes / largest - 1)
    scale = EXCESS_SCALE_AFTER_ONE if tasks == 1 else EXCESS_SCALE
    beyond = 1 / (1 + room / scale)
    return round(1000 * (above + beyond) / (tasks + 1), 1)


def confidence(peaks: Peaks | None, runs: int) -> Confidence:
    """A word for the evidence: ``high`` takes eight finished tasks in two runs and true peaks, not samples alone."""
    if peaks is None or peaks.tasks == 0:
        return Confidence.NONE
    if peaks.tasks < TASKS_TO_FALL:
        return Confidence.LOW
    if peaks.tasks < TASKS_TO_FALL_FREELY or runs < 2 or peaks.sampled_only:
        return Confidence.MEDIUM
    return Confidence.HIGH
