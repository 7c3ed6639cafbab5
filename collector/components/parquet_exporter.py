"""``exporters: parquet``: the lake. stepsize's own; exactly one is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.collector.config.language import directory_path, duration_s, option
from stepsize.collector.limits import ClockBounds, RollupLimits

if TYPE_CHECKING:
    from pathlib import Path

_CLOCK, _ROLLUP = ClockBounds(), RollupLimits()


@dataclass(frozen=True, slots=True)
class ParquetExporterConfig:
    """Where the lake lies, and when attempts are closed.

    Attributes:
        directory: the data directory; `~/.stepsize` where it is empty.
        state_directory: the write-ahead log; `wal/` in the data directory where it is empty.
        silence_s: a task that sends nothing for so long is closed as lost.
        linger_s: points may arrive for so long after the end of their task before its row is final.
        max_future_s, max_past_s: points are stored under the day of their arrival where their time is further off.
    """

    directory: Path | None = option(directory_path, default=None)
    state_directory: Path | None = option(directory_path, default=None)
    silence_s: float = option(duration_s, default=_ROLLUP.silence_s, key="silence")
    linger_s: float = option(duration_s, default=_ROLLUP.linger_s, key="linger")
    max_future_s: float = option(duration_s, default=_CLOCK.future_s, key="max_future")
    max_past_s: float = option(duration_s, default=_CLOCK.past_s, key="max_past")

    @property
    def clock(self) -> ClockBounds:
        """How far off a sender's clock may be."""
        return ClockBounds(self.max_future_s, self.max_past_s)

    @property
    def rollup(self) -> RollupLimits:
        """When attempts are closed."""
        return RollupLimits(self.silence_s, self.linger_s)

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.silence_s <= 0 or self.linger_s <= 0:
            raise ValueError("silence and linger must be above 0")
