"""The process tree where there is no /proc: macOS and Windows, through psutil.

What comes in: the root's pid. What goes out: a `TreeSample` per call, ``None`` once the root is gone. Coarser than
`tree`: peaks between samples are seen on Windows alone (``peak_wset``), children that lived between two samples only
where the system hands their time to their parent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from stepsize.instrumentation.agent.probes.memory import MemoryLedger, ProcessMemory
from stepsize.instrumentation.agent.probes.observation import Rest, TreeSample


@dataclass(frozen=True, slots=True)
class _Seen:
    """One process at one sample; its children's CPU time is what it waited for."""

    key: tuple[int, int]
    user_s: float
    system_s: float
    resident_bytes: int
    peak_bytes: int
    threads: int
    read_bytes: int | None
    write_bytes: int | None


class PortableTree:
    """Samples one tree."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._process: psutil.Process | None = None
        self._known: dict[tuple[int, int], psutil.Process] = {}
        self._last: dict[tuple[int, int], _Seen] = {}
        self._lost_user_s = self._lost_system_s = 0.0
        self._total = (0.0, 0.0)
        self._memory = MemoryLedger()
        self._root_key = (root, 0)

    def sample(self) -> TreeSample | None:
        """The tree now, or ``None`` when its root is gone."""
        live = self._look()
        root = next((seen for seen in live.values() if seen.key[0] == self._root), None)
        if root is None:
            return None
        self._root_key = root.key
        user_s, system_s = self._cpu(live)
        usage = self._memory.update(
            [ProcessMemory(s.key, s.resident_bytes, s.resident_bytes, s.peak_bytes) for s in live.values()]
        )
        return TreeSample(
            time_unix_nano=time.time_ns(),
            cpu_user_s=user_s,
            cpu_system_s=system_s,
            memory_usage_bytes=usage,
            memory_peak_bytes=self._memory.peak_bytes,
            memory_source="samples",
            processes=len(live),
            threads=sum(seen.threads for seen in live.values()),
            disk_read_bytes=root.read_bytes,
            disk_write_bytes=root.write_bytes,
        )

    def rest(self, *, with_orphans: bool = False) -> Rest:  # noqa: ARG002 - nobody says who is one
        """What is not the root's: of processes that still live, as nobody says whom the root waited for."""
        others = [seen for seen in self._look().values() if seen.key[0] != self._root]
        return Rest(sum(seen.user_s for seen in others), sum(seen.system_s for seen in others))

    def final_peak(self, root_peak_bytes: int) -> int:
        """The tree's peak in bytes, given the root's own."""
        return self._memory.final(self._root_key, root_peak_bytes)

    def pids(self) -> list[int]:
        """The tree's processes, as the last sample saw them."""
        return [pid for pid, _ in self._known]

    def _look(self) -> dict[tuple[int, int], _Seen]:
        try:
            if self._process is None:
                self._process = psutil.Process(self._root)
            processes = [self._process, *self._process.children(recursive=True), *self._known.values()]
        except psutil.Error:
            return {}
        live: dict[tuple[int, int], _Seen] = {}
        known: dict[tuple[int, int], psutil.Process] = {}
        for process in processes:
            seen = _see(process)
            if seen is not None:
                live[seen.key], known[seen.key] = seen, process
        self._known = known
        return live

    def _cpu(self, live: dict[tuple[int, int], _Seen]) -> tuple[float, float]:
        """CPU of the tree. Without knowing who waited for whom, a fall is what somebody took along."""
        user_s = sum(seen.user_s for seen in live.values())
        system_s = sum(seen.system_s for seen in live.values())
        before_user_s = sum(seen.user_s for seen in self._last.values())
        before_system_s = sum(seen.system_s for seen in self._last.values())
        self._lost_user_s += max(0.0, before_user_s - user_s)
        self._lost_system_s += max(0.0, before_system_s - system_s)
        self._last = live
        return user_s + self._lost_user_s, system_s + self._lost_system_s


def is_running(pid: int) -> bool:
    """Whether a process lives: one that has ended and that nobody has waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def _see(process: psutil.Process) -> _Seen | None:
    try:
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return None
            counters = _io(process)
            return _Seen(
                key=(process.pid, int(process.create_time() * 1000)),
                user_s=times.user + getattr(times, "children_user", 0.0),
                system_s=times.system + getattr(times, "children_system", 0.0),
                resident_bytes=memory.rss,
                peak_bytes=getattr(memory, "peak_wset", memory.rss),
                threads=process.num_threads(),
                read_bytes=counters[0],
                write_bytes=counters[1],
            )
    except psutil.Error:
        return None


def _io(process: psutil.Process) -> tuple[int | None, int | None]:
    try:
        counters = process.io_counters()
    except (AttributeError, psutil.Error):
        return None, None  # macOS does not tell
    return counters.read_bytes, counters.write_bytes
