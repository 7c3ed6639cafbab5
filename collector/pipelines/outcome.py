"""What became of a request that was sent.

What comes in: nothing. What goes out: one frozen value for OTLP over gRPC and HTTP alike. What each answer means says
`stepsize.otlp_answers`; as upstream's exporters have it, whatever may not be sent again is never taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

SENT, FAILED = "sent", "failed"
"""What is counted of points."""


class Verdict(Enum):
    """Whether a request is settled."""

    TAKEN = "taken"
    AGAIN = "again"
    """It may be taken later."""
    NEVER = "never"
    """It will not be taken however often it is sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer.

    Attributes:
        verdict: whether the request is settled.
        reason: in words; never holds a header.
        retry_after_s: when it may be sent again, where the server said so; up to a bound.
        rejected_points: how many points of a request that was taken were not.
    """

    verdict: Verdict
    reason: str = ""
    retry_after_s: float | None = None
    rejected_points: int = 0


class Sender(Protocol):
    """Sends requests; each call may block its thread as long as its timeout."""

    def send(self, request: bytes) -> Outcome:
        """Send one ``ExportMetricsServiceRequest``."""

    def close(self) -> None:
        """Let go of connections."""
