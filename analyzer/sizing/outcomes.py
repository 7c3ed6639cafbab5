"""What may be said of how a step's attempts ended. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.analyzer.sizing.policy import Advice, Confidence, Recommendation
from stepsize.model import Outcome

if TYPE_CHECKING:
    from stepsize.analyzer.usage import StepEvidence


def nothing_ended(evidence: StepEvidence) -> Recommendation:
    """The answer where everything still runs: to keep all of it."""
    running = len(evidence.attempts)
    seen = "The one attempt seen is" if running == 1 else f"All {running} attempts seen are"
    keep = Advice(None)
    held = f"{seen} still running: everything stays as it is."
    memory = Advice(None, (held,), held=held)
    return Recommendation(cpu=keep, memory_mb=memory, gpu=keep, vram_mb=keep, disk_mb=keep, confidence=Confidence.NONE)


def outcomes(evidence: StepEvidence) -> tuple[str, ...]:
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
            counted.append(f"{count:,} {word if count == 1 else plural.get(outcome, word)}")
    if not counted:
        return ()
    attempts = f"{len(evidence.ended):,} attempt{'' if len(evidence.ended) == 1 else 's'}"
    return (f"Of {attempts} {', '.join(counted)}: use until then counts as the least that was needed.",)
