"""The bounds of a collector, each with its default, declared once: of clocks, of silence, of a commit, of what
is kept.

What comes in: nothing. What goes out: frozen values that the configuration fills and the sink obeys. Never does I/O.
Standard library only: the process that receives needs them, and has no Arrow.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stepsize.store.retention import Retention

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
class RequestLimits:
    """What one request, one sender and all of them together may bring; 0 is no bound.

    Attributes:
        in_flight_bytes: requests that arrive, are checked and wait for the disk, together.
        points: of one request.
        attributes: of one resource, scope or point.
        attribute_bytes: one attribute as it is sent, key and value.
        resources: different ones in a window.
        series: different ones of one resource in a window.
        window_s: after so long resources and series count anew.
    """

    in_flight_bytes: int = 128 << 20
    points: int = 500_000
    attributes: int = 256
    attribute_bytes: int = 64 << 10
    resources: int = 200_000
    series: int = 20_000
    window_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class UpkeepLimits:
    """How long rows are kept, and how long a day that is past has to be quiet before it is compacted, in seconds."""

    retention: Retention = field(default_factory=Retention)
    quiet_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class SinkLimits:
    """All bounds of a sink."""

    clock: ClockBounds = field(default_factory=ClockBounds)
    rollup: RollupLimits = field(default_factory=RollupLimits)
    commit: CommitLimits = field(default_factory=CommitLimits)
    upkeep: UpkeepLimits = field(default_factory=UpkeepLimits)
