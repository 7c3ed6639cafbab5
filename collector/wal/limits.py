"""The bounds of a write-ahead log, each with its default, declared once.

What comes in: nothing. What goes out: frozen values that the writer obeys. Never does I/O. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WalLimits:
    """Bounds of a write-ahead log, in bytes.

    Attributes:
        segment_bytes: a segment that is longer is followed by the next; what is one sync's work comes on top.
        max_pending_bytes: requests beyond so many bytes that wait for the disk are refused.
        max_total_bytes: so are they when all segments together would be longer, because the sink is down or behind.
        min_free_bytes: so are they when the disk would have less left.
    """

    segment_bytes: int = 64 << 20
    max_pending_bytes: int = 256 << 20
    max_total_bytes: int = 16 << 30
    min_free_bytes: int = 64 << 20
