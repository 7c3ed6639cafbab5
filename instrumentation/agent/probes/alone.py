"""One process without what it starts, from /proc.

What comes in: its pid and the root of /proc. What goes out: a `TreeSample` per call, ``None`` once it is gone. Reads
only files of /proc of that process. Bytes to and from storage are the exception to "without": the kernel adds those of
a child to its parent's when the child is waited for, and nothing tells them apart afterwards.
"""

from __future__ import annotations

import time

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.memory import MemoryLedger, ProcessMemory
from stepsize.instrumentation.agent.probes.observation import Rest, TreeSample


class ProcessAlone:
    """Samples one process.

    Args:
        pid: the process.
        proc: the root of /proc.
        stood_bytes: its peak when the attempt began, which is then not the attempt's.
    """

    def __init__(self, pid: int, proc: str = "/proc", stood_bytes: int | None = None) -> None:
        self._pid = pid
        self._proc = proc
        self._stood_bytes = stood_bytes
        self._key: tuple[int, int] | None = None
        self._memory = MemoryLedger()

    def sample(self) -> TreeSample | None:
        """The process now, or ``None`` when it is gone."""
        stat = procfs.stat(self._proc, self._pid)
        if stat is None or (self._key is not None and stat.start != self._key[1]):
            return None
        key = stat.pid, stat.start
        if self._key is None and self._stood_bytes is not None:
            self._memory.stand({key: self._stood_bytes})
        self._key = key
        peak = procfs.memory_peak_bytes(self._proc, self._pid) or stat.rss_bytes
        usage = self._memory.update([ProcessMemory(key, stat.rss_bytes, stat.rss_bytes, max(peak, stat.rss_bytes))])
        read_bytes, write_bytes = procfs.disk_bytes(self._proc, self._pid) or (None, None)
        return TreeSample(
            time_unix_nano=time.time_ns(),
            cpu_user_s=stat.user / procfs.TICKS_PER_S,
            cpu_system_s=stat.system / procfs.TICKS_PER_S,
            memory_usage_bytes=usage,
            memory_peak_bytes=self._memory.peak_bytes,
            memory_source=self._memory.source,
            processes=int(stat.is_alive),
            threads=stat.threads if stat.is_alive else 0,
            disk_read_bytes=read_bytes,
            disk_write_bytes=write_bytes,
        )

    def pids(self) -> list[int]:
        """The process."""
        return [self._pid]

    def rest(self, *, with_orphans: bool = False) -> Rest:  # noqa: ARG002 - it has none
        """Nothing: no other process counts."""
        return Rest()

    def final_peak(self, root_peak_bytes: int) -> int:
        """The peak in bytes, given the process's last VmHWM."""
        return self._memory.final(self._key or (self._pid, 0), root_peak_bytes)
