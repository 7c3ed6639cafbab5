"""``processors: batch``: how long points wait for others before they are written, and how many at most.

Keys as upstream's batchprocessor. It bounds the time until points can be queried, never that of an acknowledgement,
which comes as soon as they are on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.config.language import duration_s, option, whole
from stepsize.collector.limits import CommitLimits

_COMMIT = CommitLimits()


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """The bounds of a commit. ``send_batch_max_size`` 0 is no bound but the sink's own."""

    timeout_s: float = option(duration_s, default=_COMMIT.interval_s, key="timeout")
    send_batch_max_size: int = option(whole, default=0)

    @property
    def commit(self) -> CommitLimits:
        """The bounds as the sink knows them."""
        return CommitLimits(self.timeout_s, self.send_batch_max_size or _COMMIT.points)

    def validate(self) -> None:
        """Refuse what cannot work."""
        if not 0.05 <= self.timeout_s <= 4.0:
            raise ValueError("timeout must be from 50ms to 4s: newest points are to be visible within 5 s")
