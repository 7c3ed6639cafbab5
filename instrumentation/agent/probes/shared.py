"""Memory that the processes of a tree share.

What comes in: the states of a tree's live processes. What goes out: what each holds, in bytes, so that their sum counts
a shared page once.

Copies are processes of which one was forked off another, none having executed since: they share all that neither has
written to. Of them PSS is read, which costs 20 ms for a process of 4 GiB. A group of copies is measured as often as its
own measured cost allows, more often while page faults tell that its copies diverge; in between, what each has gained
or lost since is added to its share: of files and shared memory only what the largest of them has gained. Other
processes of one program share its file and its libraries: those are counted for the one that has most of them.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from stepsize.instrumentation.procfs import Stat

COST_SHARE = 0.005
"""Of the time, what measuring one group may take."""
DIVERGING_COST_SHARE = 0.03
"""The same for a group whose copies diverge."""
_DIVERGING = 0.02
"""Of what a group has in memory, what its faults since the last look have to be able to have made its own."""
_CHANGED = 0.2
"""So much of a process's memory has to have changed for another look at how much of it is files."""


@dataclass(frozen=True, slots=True)
class _Share:
    """What a process held when it was measured, and what was resident of it then."""

    start: int
    held_bytes: int
    resident_bytes: int
    anonymous_bytes: int


@dataclass(frozen=True, slots=True)
class _Look:
    """When a group of copies was measured, what CPU time that took, and how many page faults they had had by then."""

    time_s: float
    cost_s: float
    faults: int

    def is_due(self, now_s: float, copies: Iterable[Stat]) -> bool:
        elapsed_s = now_s - self.time_s
        if elapsed_s * COST_SHARE >= self.cost_s:
            return True
        made_bytes = (sum(stat.faults for stat in copies) - self.faults) * procfs.PAGE_BYTES
        is_diverging = made_bytes >= _DIVERGING * sum(stat.rss_bytes for stat in copies)
        return is_diverging and elapsed_s * DIVERGING_COST_SHARE >= self.cost_s


class SharedMemory:
    """Works out what each process of one tree holds."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._shares: dict[int, _Share] = {}
        self._looks: dict[int, _Look] = {}  # by address of the stack, which says whose copies they are
        self._programs = _Programs(proc)
        self.groups: dict[int, list[Stat]] = {}
        """The copies of the last look, by the same."""

    def usage_bytes(self, live: Mapping[int, Stat], known: Collection[int]) -> dict[int, int]:
        """Bytes by pid; ``known`` holds those that were there at the sample before."""
        if len(live) < 2:  # most trees: nobody is there to share with
            self._shares, self.groups = {}, {}
            return {pid: stat.rss_bytes for pid, stat in live.items()}
        self._shares = {
            pid: share for pid, share in self._shares.items() if pid in live and live[pid].start == share.start
        }
        usage = {}
        self.groups = _copies_of(live.values())
        for stack, copies in self.groups.items():
            self._enter(copies, known)
            self._measure(stack, [stat for stat in copies if stat.pid in known])
            most = max(copies, key=lambda stat: stat.rss_bytes).pid
            for stat in copies:
                share = self._shares[stat.pid]
                gained_bytes = stat.rss_bytes - share.resident_bytes
                if gained_bytes > 0 and stat.pid != most:
                    # Files and shared memory that it has taken up since are likely to be those that another has.
                    gained_bytes = min(gained_bytes, self._anonymous_bytes(stat) - share.anonymous_bytes)
                usage[stat.pid] = max(0, share.held_bytes + gained_bytes)
        others = [stat for stat in live.values() if stat.pid not in usage]
        for stat in others:
            self._shares.pop(stat.pid, None)
        return usage | self._programs.usage_bytes(others)

    def _enter(self, copies: Iterable[Stat], known: Collection[int]) -> None:
        """Before it is measured, the original holds everything, and a copy what it has gained since it was seen.

        Of a copy that is new not even that is sure: between vfork and exec it *is* its parent's memory.
        """
        for stat in copies:
            if stat.pid not in self._shares:
                held = stat.rss_bytes if stat.pid in known else 0
                self._shares[stat.pid] = _Share(stat.start, held, stat.rss_bytes, self._anonymous_bytes(stat))

    def _anonymous_bytes(self, stat: Stat) -> int:
        shared = procfs.shared_bytes(self._proc, stat.pid)
        return stat.rss_bytes if shared is None else max(0, stat.rss_bytes - shared)

    def _measure(self, stack: int, copies: list[Stat]) -> None:
        now, begun, look = time.monotonic(), time.thread_time(), self._looks.get(stack)
        if len(copies) < 2 or (look is not None and not look.is_due(now, copies)):
            return
        for stat in copies:
            held = procfs.proportional_bytes(self._proc, stat.pid)
            if held is not None:
                self._shares[stat.pid] = _Share(stat.start, held, stat.rss_bytes, self._anonymous_bytes(stat))
        self._looks[stack] = _Look(now, time.thread_time() - begun, sum(stat.faults for stat in copies))


@dataclass(frozen=True, slots=True)
class _Files:
    """Of which program a process is, and how much of its files it had in memory when that was looked at."""

    stack: int
    program: str
    files_bytes: int
    resident_bytes: int


class _Programs:
    """Works out what processes that are no copies of one another hold."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._known: dict[int, _Files] = {}

    def usage_bytes(self, processes: list[Stat]) -> dict[int, int]:
        """Bytes by pid: the files of a program are counted for the process that has most of them in memory."""
        usage = {stat.pid: stat.rss_bytes for stat in processes}
        if len(processes) < 2:
            return usage
        self._known = {stat.pid: self._files(stat) for stat in processes}
        most: dict[str, int] = {}  # program → pid
        for pid, known in self._known.items():
            other = most.get(known.program)
            if other is None or known.files_bytes > self._known[other].files_bytes:
                most[known.program] = pid
        for pid, known in self._known.items():
            if most[known.program] != pid:
                usage[pid] = max(0, usage[pid] - known.files_bytes)
        return usage

    def _files(self, stat: Stat) -> _Files:
        known = self._known.get(stat.pid)
        if known is not None and known.stack == stat.stack:
            changed_bytes = abs(stat.rss_bytes - known.resident_bytes)
            if changed_bytes <= _CHANGED * known.resident_bytes:
                return known
        try:
            program = os.readlink(f"{self._proc}/{stat.pid}/exe")  # noqa: PTH115 - a text, not a path
        except OSError:
            return _Files(stat.stack, str(stat.pid), 0, stat.rss_bytes)  # another user's, or gone: nothing is known
        files_bytes = procfs.resident_files_bytes(self._proc, stat.pid) or 0
        return _Files(stat.stack, program, files_bytes, stat.rss_bytes)


def _copies_of(stats: Iterable[Stat]) -> dict[int, list[Stat]]:
    """Groups of two and more that are copies of one program, by what shows it."""
    by_stack: dict[int, list[Stat]] = {}
    for stat in stats:
        if stat.stack and stat.state not in b"ZX":
            by_stack.setdefault(stat.stack, []).append(stat)
    return {stack: group for stack, group in by_stack.items() if len(group) > 1}
