"""``exporters: parquet``: the lake. stepsize's own; exactly one is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.collector.config.language import Section, directory_path, duration_s, lake_place, option
from stepsize.collector.limits import ClockBounds, RollupLimits, UpkeepLimits
from stepsize.collector.wal.limits import WalLimits
from stepsize.errors import UsageError
from stepsize.sizes import parse_size
from stepsize.store.retention import Retention

if TYPE_CHECKING:
    from pathlib import Path

_CLOCK, _ROLLUP, _WAL = ClockBounds(), RollupLimits(), WalLimits()
_LEAST_SEGMENT_BYTES, _LEAST_SEGMENTS = 64 << 10, 4
_LONG = re.compile(r"(\d+(?:\.\d+)?)\s*([dwy])")
_LONG_S = {"d": 86_400.0, "w": 7 * 86_400.0, "y": 365 * 86_400.0}
_DAY_S = 86_400.0


def age_s(value: Any) -> float | None:
    """How long something is kept, in seconds: ``30d``, ``12w``, ``2y`` (365 days each), or as Go has it; 0: ever."""
    match = _LONG.fullmatch(str(value).strip())
    try:
        seconds = float(match[1]) * _LONG_S[match[2]] if match else duration_s(value)
    except ValueError:
        raise ValueError(f"expected an age such as 30d, 12w, 2y or 720h, found {value!r}") from None
    if 0 < seconds < _DAY_S:
        raise ValueError(f"expected a day at least, found {value!r}: whole days are dropped")
    return seconds or None


def size_bytes(value: Any) -> int | None:
    """Room on a disk: ``50GiB``, ``500GB``; 0 is without a bound."""
    try:
        return parse_size(str(value)) or None
    except UsageError as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class RetentionConfig:
    """How long what is kept; without a bound, for ever.

    Attributes:
        points_s: days of points, of every type.
        tasks_s: months of `tasks`.
        max_bytes: room for all files; the oldest days of points give way, `tasks` never.
    """

    points_s: float | None = option(age_s, default=None, key="points", says="days of points, of every type: `30d`")
    tasks_s: float | None = option(age_s, default=None, key="tasks", says="months of `tasks`: `2y`")
    max_bytes: int | None = option(
        size_bytes, default=None, key="max_size", says="room for all files, `50GiB`; the oldest days of points give way"
    )


def bound_bytes(value: Any) -> int:
    """A size that is never without a bound."""
    return size_bytes(value) or 0


@dataclass(frozen=True, slots=True)
class WriteAheadLogConfig:
    """How large the write-ahead log may become while the sink is down or behind; beyond, clients are told to wait.

    Attributes:
        max_bytes: all of it.
        min_free_bytes: what is left free on its disk, so that the sink has room to empty it.
        segment_bytes: one of its files, which is deleted when all of it is stored.
    """

    max_bytes: int = option(bound_bytes, default=_WAL.max_total_bytes, key="max_size", says="all of it")
    min_free_bytes: int = option(
        bound_bytes, default=_WAL.min_free_bytes, key="min_free_size", says="what is left free on its disk"
    )
    segment_bytes: int = option(bound_bytes, default=_WAL.segment_bytes, key="segment_size", says="one of its files")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.segment_bytes < _LEAST_SEGMENT_BYTES:
            raise ValueError(f"segment_size must be {_LEAST_SEGMENT_BYTES} bytes at least")
        if self.max_bytes < _LEAST_SEGMENTS * self.segment_bytes:
            raise ValueError(f"max_size must hold {_LEAST_SEGMENTS} segments (segment_size) at least")


@dataclass(frozen=True, slots=True)
class ParquetExporterConfig:
    """Where the lake lies, and when attempts are closed.

    Attributes:
        directory: the lake, a directory or ``s3://BUCKET/PREFIX``; `~/.stepsize` where it is empty.
        state_directory: the write-ahead log; `wal/` in the data directory where it is empty.
        silence_s: a task that sends nothing for so long is closed as lost.
        linger_s: points may arrive for so long after the end of their task before its row is final.
        max_future_s, max_past_s: points are stored under the day of their arrival where their time is further off.
        retention: how long what is kept.
        write_ahead_log: how large it may become.
    """

    directory: Path | str | None = option(
        lake_place, default=None, says="the lake: a directory, `s3://BUCKET/PREFIX`, or `~/.stepsize` where empty"
    )
    state_directory: Path | None = option(
        directory_path,
        default=None,
        says="the write-ahead log; where empty, `wal/` in the data directory, or for `s3://` `~/.stepsize/stores/…`",
    )
    silence_s: float = option(
        duration_s,
        default=_ROLLUP.silence_s,
        key="silence",
        says="a task that sends nothing for so long is closed as lost",
    )
    linger_s: float = option(
        duration_s, default=_ROLLUP.linger_s, key="linger", says="points may come for so long after their task's end"
    )
    max_future_s: float = option(
        duration_s, default=_CLOCK.future_s, key="max_future", says="a time that is further ahead is not believed"
    )
    max_past_s: float = option(
        duration_s, default=_CLOCK.past_s, key="max_past", says="a time that is further back is not believed"
    )

    retention: RetentionConfig = option(
        Section(RetentionConfig), factory=RetentionConfig, says="how long what is kept; without a bound, for ever"
    )
    write_ahead_log: WriteAheadLogConfig = option(
        Section(WriteAheadLogConfig), factory=WriteAheadLogConfig, says="how large the write-ahead log may become"
    )

    @property
    def clock(self) -> ClockBounds:
        """How far off a sender's clock may be."""
        return ClockBounds(self.max_future_s, self.max_past_s)

    @property
    def rollup(self) -> RollupLimits:
        """When attempts are closed."""
        return RollupLimits(self.silence_s, self.linger_s)

    @property
    def upkeep(self) -> UpkeepLimits:
        """How long what is kept."""
        kept = self.retention
        return UpkeepLimits(Retention(kept.points_s, kept.tasks_s, kept.max_bytes))

    @property
    def wal(self) -> WalLimits:
        """The bounds of the write-ahead log."""
        log = self.write_ahead_log
        return WalLimits(log.segment_bytes, _WAL.max_pending_bytes, log.max_bytes, log.min_free_bytes)

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.silence_s <= 0 or self.linger_s <= 0:
            raise ValueError("silence and linger must be above 0")
