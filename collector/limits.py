"""The bounds of a collector, each with its default, declared once: of clocks, of silence, of a commit.

What comes in: nothing. What goes out: frozen values that the configuration fills and the sink obeys. Never does I/O.
Standard library only: the process that receives needs them, and has no Arrow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class ClockBounds:
    """How far a time may lie after or before its arrival and still be believed, in seconds."""

    future_s: float = 86_400.0
    past_s: float = 30 * 86_400.0

    def day(self, time_unix_nano: int, received_at_unix_nano: int) -> int:
        """The day, in days since 1970, under which a point is stored."""
        ahead_s = (time_unix_nano - received_at_unix_nano) / 1e9
        believed = -self.past_s <= ahead_s <= self.future_s
        return (time_unix_nano if believed else received_at_unix_nano) // _DAY_NS


@dataclass(frozen=True, slots=True)
class RollupLimits:
    """How long an attempt may be silent before it is closed, and how long it stays after its end, in seconds."""

    silence_s: float = 600.0
    linger_s: float = 60.0


@dataclass(frozen=True, slots=True)
class CommitLimits:
    """How long points wait for others before they are written, in seconds, and at how many they wait no longer."""

    interval_s: float = 1.0
    points: int = 200_000


@dataclass(frozen=True, slots=True)
class SinkLimits:
    """All bounds of a sink."""

    clock: ClockBounds = field(default_factory=ClockBounds)
    rollup: RollupLimits = field(default_factory=RollupLimits)
    commit: CommitLimits = field(default_factory=CommitLimits)
