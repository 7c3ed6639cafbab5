"""Memory that copies of one program share: processes of which one was forked off another, none having executed since.

What comes in: the states of a tree's live processes. What goes out: what each holds, in bytes, so that their sum counts
a shared page once. Reads PSS, and only of copies: it costs 20 ms for a process of 4 GiB. A group of copies is measured
as often as its own measured cost allows; in between, what each has gained or lost since is added to its share.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from stepsize.instrumentation.procfs import Stat

COST_SHARE = 0.005
"""Of the time, what measuring one group may take."""


@dataclass(frozen=True, slots=True)
class _Share:
    """What a process held when it was measured, and what was resident of it then."""

    start: int
    held_bytes: int
    resident_bytes: int


class SharedMemory:
    """Works out what each process of one tree holds."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._shares: dict[int, _Share] = {}
        self._due_s: dict[int, float] = {}  # address of the stack, which says whose copies they are
        self.groups: dict[int, list[Stat]] = {}
        """The copies of the last look, by the same."""

    def usage_bytes(self, live: Mapping[int, Stat], known: Collection[int]) -> dict[int, int]:
        """Bytes by pid; ``known`` holds those that were there at the sample before."""
        self._shares = {
            pid: share for pid, share in self._shares.items() if pid in live and live[pid].start == share.start
        }
        usage = {}
        self.groups = _copies_of(live.values())
        for stack, copies in self.groups.items():
            self._enter(copies, known)
            self._measure(stack, [stat for stat in copies if stat.pid in known])
            for stat in copies:
                share = self._shares[stat.pid]
                usage[stat.pid] = max(0, share.held_bytes + stat.rss_bytes - share.resident_bytes)
        for stat in live.values():
            if stat.pid not in usage:
                usage[stat.pid] = stat.rss_bytes
                self._shares.pop(stat.pid, None)
        return usage

    def _enter(self, copies: Iterable[Stat], known: Collection[int]) -> None:
        """Before it is measured, the original holds everything, and a copy what it has gained since it was seen.

        Of a copy that is new not even that is sure: between vfork and exec it *is* its parent's memory.
        """
        for stat in copies:
            if stat.pid not in self._shares:
                held = stat.rss_bytes if stat.pid in known else 0
                self._shares[stat.pid] = _Share(stat.start, held, stat.rss_bytes)

    def _measure(self, stack: int, copies: list[Stat]) -> None:
        now = time.monotonic()
        if len(copies) < 2 or now < self._due_s.get(stack, now):
            return
        for stat in copies:
            held = procfs.proportional_bytes(self._proc, stat.pid)
            if held is not None:
                self._shares[stat.pid] = _Share(stat.start, held, stat.rss_bytes)
        self._due_s[stack] = now + (time.monotonic() - now) / COST_SHARE


def _copies_of(stats: Iterable[Stat]) -> dict[int, list[Stat]]:
    """Groups of two and more that are copies of one program, by what shows it."""
    by_stack: dict[int, list[Stat]] = {}
    for stat in stats:
        if stat.stack and stat.state not in b"ZX":
            by_stack.setdefault(stat.stack, []).append(stat)
    return {stack: group for stack, group in by_stack.items() if len(group) > 1}
