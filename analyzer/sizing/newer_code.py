"""That the newest version of a step's code needs far less, while too few of its runs are known to count alone. Pure.

What comes in: evidence, and the largest peak that the request stands on. What goes out: a sentence, or nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.memory.static import FEWEST_BELOW
from stepsize.model import BYTES_PER_MB

if TYPE_CHECKING:
    from stepsize.analyzer.usage import StepEvidence

APART = 1.25
"""From so many times the largest peak of the newest code on, the smallest of the code before it is far above."""

_FEWEST_OLDER = 2
"""In fewer runs of older code no change is looked for (``memory/regime.py``)."""


def newer_code(evidence: StepEvidence, largest_bytes: float) -> tuple[str, ...]:
    """The sentence; empty where the newest code needs as much, or counts alone already."""
    version = evidence.newest.code_version if evidence.newest else None
    measured = [attempt for attempt in evidence.succeeded if attempt.memory_peak_bytes]
    new = [attempt for attempt in measured if attempt.code_version == version]
    old = [attempt for attempt in measured if attempt.code_version != version]
    if version is None or not new or len({attempt.run_key for attempt in old}) < _FEWEST_OLDER:
        return ()
    highest = max(attempt.memory_peak_bytes or 0 for attempt in new)
    lowest = min(attempt.memory_peak_bytes or 0 for attempt in old)
    began_s = min(_or_never(attempt.started_at_s) for attempt in new)
    runs = len({attempt.run_key for attempt in new})
    if lowest < APART * highest or largest_bytes <= highest or runs >= FEWEST_BELOW:
        return ()
    if began_s <= max(_or_never(attempt.started_at_s) for attempt in old):
        return ()
    seen = "In 1 run" if runs == 1 else f"In {runs} runs"
    less = f"{seen} of its newest code no task took more than {highest / BYTES_PER_MB:,.0f} MB"
    before = f"before that none less than {lowest / BYTES_PER_MB:,.0f} MB"
    missing = f"from {FEWEST_BELOW} runs on older code no longer counts, {FEWEST_BELOW - runs} more needed"
    return (f"{less}, {before}: {missing}.",)


def _or_never(started_at_s: float | None) -> float:
    return -math.inf if started_at_s is None else started_at_s
