"""What the operating system counts of this process and its sink.

What comes in: a registry. What goes out: metrics that are read when they are asked for. Never samples by itself.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.collector.telemetry.registry import GAUGE, SUM

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.telemetry.registry import Registry


def observe_process(registry: Registry, sink_pid: Callable[[], int | None]) -> None:
    """Register the metrics of this process, named as the Collector's, and of the sink's."""
    started_s = time.monotonic()
    registry.observe("otelcol_process_uptime", SUM, "s", "Uptime of the process", lambda: time.monotonic() - started_s)
    registry.observe(
        "otelcol_process_cpu_seconds", SUM, "s", "Total CPU user and system time in seconds", time.process_time
    )
    rss = "Total physical memory (resident set size)"
    registry.observe("otelcol_process_memory_rss", GAUGE, "By", rss, lambda: resident_bytes(os.getpid()))
    registry.observe(
        "stepsize_sink_memory_rss",
        GAUGE,
        "By",
        "Total physical memory (resident set size) of the sink's process",
        lambda: resident_bytes(pid) if (pid := sink_pid()) else None,
    )


def resident_bytes(pid: int) -> int:
    """Memory that a process holds.

    Raises:
        OSError: there is no such process, or it cannot be read.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except FileNotFoundError:
        if Path("/proc/self/statm").exists():
            raise
        import psutil  # noqa: PLC0415 - not Linux

        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error as error:
            raise ProcessLookupError(str(error)) from None
    return pages * os.sysconf("SC_PAGE_SIZE")
