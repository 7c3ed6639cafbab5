"""Adds up what a process tree read from storage and wrote to it, whoever comes and goes.

What comes in: which processes live, sample by sample. What goes out: bytes that never fall: when a process takes its
own along (see `cpu`), what was last seen of it is kept. Reads their counters (``/proc/<pid>/io``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from stepsize.instrumentation.agent.processes import Processes


class DiskLedger:
    """Storage bytes of one tree."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._lost = (0, 0)
        self._last = (0, 0)
        self._counts: dict[int, tuple[int, int] | None] = {}

    def seen(self, pid: int) -> tuple[int, int]:
        """Bytes of a process that the last sample counted."""
        return self._counts.get(pid) or (0, 0)

    def update(self, live: Collection[int], owed: tuple[int, int]) -> tuple[int | None, int | None]:
        """Bytes read and written; ``None`` where none can be read. A process of another user hides its own.

        ``owed`` is what of it belongs to other attempts.
        """
        self._counts = {pid: self._processes.disk_bytes(pid) for pid in live}
        if not any(self._counts.values()):
            return None, None
        now = _sum(self._counts.values(), owed)
        lost, last = self._lost, self._last
        self._lost = lost[0] + max(0, last[0] - now[0]), lost[1] + max(0, last[1] - now[1])
        self._last = now
        return now[0] + self._lost[0], now[1] + self._lost[1]

    def rest(self, live: Collection[int], owed: tuple[int, int], *, with_lost: bool = True) -> tuple[int, int]:
        """Bytes of these processes and of those that took theirs along, less what belongs to other attempts."""
        now = _sum([self._processes.disk_bytes(pid) for pid in live], owed)
        return (now[0] + self._lost[0], now[1] + self._lost[1]) if with_lost else now


def _sum(counts: Iterable[tuple[int, int] | None], owed: tuple[int, int]) -> tuple[int, int]:
    read, written = -owed[0], -owed[1]
    for count in counts:
        if count is not None:
            read += count[0]
            written += count[1]
    return read, written
