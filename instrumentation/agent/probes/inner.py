"""Attempts of the same step below an attempt, which are counted for themselves.

What comes in: which attempts lie below (`Host`), and what the ledgers of the outer tree had counted of them. What goes
out: their processes, and what of their use comes to whoever waited for them all the same. Reads their processes' state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs

if TYPE_CHECKING:
    from stepsize.instrumentation.agent.host import Host, Root
    from stepsize.instrumentation.agent.probes.cpu import CpuLedger
    from stepsize.instrumentation.agent.probes.disk import DiskLedger


@dataclass(frozen=True, slots=True)
class _Below:
    """Another attempt below the root, and what this tree had counted of its process before it was one."""

    attempt: Root
    start: int | None
    ticks: tuple[int, int]
    disk: tuple[int, int]


class InnerAttempts:
    """Attempts of the same step below a root, which are counted for themselves."""

    def __init__(self, host: Host, instance_id: str, root: int) -> None:
        self._host = host
        self._key = instance_id, root
        self._noted = 0
        self._live: list[_Below] = []
        self._gone: list[_Below] = []
        self.pids: frozenset[int] = frozenset()
        """Their processes, as long as somebody can be seen under these numbers."""

    def look(self, cpu: CpuLedger, disk: DiskLedger) -> None:
        """See who came and who went; the ledgers say what was counted of those who came."""
        attempts = self._host.inner_of(*self._key)
        if len(attempts) == self._noted and not self._live:
            return
        for attempt in attempts[self._noted :]:
            stat = self._host.processes.stat(attempt.pid)
            known = attempt.pid in self.pids  # the next attempt in the same process
            counted = ((0, 0), (0, 0)) if known else (cpu.seen(attempt.pid), disk.seen(attempt.pid))
            self._live.append(_Below(attempt, stat and stat.start, *counted))
        self._noted = len(attempts)
        if self._live:
            starts = {each: self._host.processes.stat(each.attempt.pid) for each in self._live}
            self._gone += [each for each, stat in starts.items() if stat is None or stat.start != each.start]
            self._live = [each for each, stat in starts.items() if stat is not None and stat.start == each.start]
            self.pids = frozenset(each.attempt.pid for each in self._live)

    @property
    def any_gone(self) -> bool:
        """Whether any of them has ended."""
        return bool(self._gone)

    def owed_ticks(self) -> tuple[int, int]:
        """User and system ticks that come to whoever waited for those that went, and that are not this tree's."""
        if not self._gone:
            return 0, 0
        used = [each.attempt.used() for each in self._gone]
        return (
            sum(each.ticks[0] for each in self._gone) + round(sum(u.cpu_user_s for u in used) * procfs.TICKS_PER_S),
            sum(each.ticks[1] for each in self._gone) + round(sum(u.cpu_system_s for u in used) * procfs.TICKS_PER_S),
        )

    def owed_bytes(self) -> tuple[int, int]:
        """The same of bytes read and written."""
        if not self._gone:
            return 0, 0
        used = [each.attempt.used() for each in self._gone]
        return (
            sum(each.disk[0] for each in self._gone) + sum(u.disk_read_bytes for u in used),
            sum(each.disk[1] for each in self._gone) + sum(u.disk_write_bytes for u in used),
        )
