"""``processors: memory_limiter``: refuses requests, retryably, while the receiving process holds too much memory.

Keys as upstream's memorylimiterprocessor. Above ``limit_mib`` less ``spike_limit_mib`` (a fifth of the limit where it
is left out) requests are refused until memory is below it again.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.collector.config.language import duration_s, option, whole

if TYPE_CHECKING:
    from collections.abc import Callable

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class MemoryLimiterConfig:
    """The limits: absolute, or as shares of the machine's memory."""

    check_interval_s: float = option(
        duration_s, default=1.0, key="check_interval", says="how often memory is looked at"
    )
    limit_mib: int = option(whole, default=0, says="memory of the receiving process, in MiB")
    spike_limit_mib: int = option(
        whole, default=0, says="requests are refused from so much below the limit on; 0: a fifth of it"
    )
    limit_percentage: int = option(whole, default=0, says="the limit as a share of the machine's memory")
    spike_limit_percentage: int = option(whole, default=0, says="the same of `spike_limit_mib`")

    def validate(self) -> None:
        """Refuse what cannot work."""
        if self.check_interval_s <= 0:
            raise ValueError("check_interval must be above 0")
        if not self.limit_mib and not self.limit_percentage:
            raise ValueError("limit_mib or limit_percentage is needed")
        if self.limit_percentage > 100 or self.spike_limit_percentage > 100:
            raise ValueError("percentages go up to 100")
        if self.soft_limit_bytes <= 0:
            raise ValueError("the spike limit must be below the limit")

    @property
    def soft_limit_bytes(self) -> int:
        """Above it requests are refused."""
        total_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = self.limit_mib * _MIB or total_bytes * self.limit_percentage // 100
        spike = self.spike_limit_mib * _MIB or total_bytes * self.spike_limit_percentage // 100 or limit // 5
        return limit - spike


def memory_gate(
    config: MemoryLimiterConfig,
    resident_bytes: Callable[[], int] | None = None,
    clock_s: Callable[[], float] = time.monotonic,
) -> Callable[[], str | None]:
    """A gate for an intake, which reads the process's memory at most once each ``check_interval``."""
    read = resident_bytes or _resident_bytes
    soft_limit_bytes = config.soft_limit_bytes
    next_check_s = -1.0
    refused: str | None = None

    def gate() -> str | None:
        nonlocal next_check_s, refused
        now_s = clock_s()
        if now_s >= next_check_s:
            next_check_s = now_s + config.check_interval_s
            over = read() > soft_limit_bytes
            refused = "the collector is above its memory limit; send again later" if over else None
        return refused

    return gate


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:  # not Linux
        import psutil  # noqa: PLC0415 - only needed here

        return int(psutil.Process().memory_info().rss)
    return pages * os.sysconf("SC_PAGE_SIZE")
