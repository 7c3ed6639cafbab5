"""Who is new on the host since a tree was last looked at, from listings of /proc.

What comes in: the root of /proc, and rounds, which are numbered. What goes out: the new children of a process. One
listing serves all trees; only processes that were not in the one before are read, for their parent.

A number that was given out again between two listings belongs to another inode of /proc (``fs/proc/base.c``,
proc_fill_cache and proc_flush_pid), so its process is new as well. What came is remembered for a while, since trees are
not all looked at in each round; and the parents of those that have just come are read once more at the next listing:
one whose parent ended in between has another one by then.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs

if TYPE_CHECKING:
    from collections.abc import Iterable

_REMEMBERED_ROUNDS = 64


class Newcomers:
    """The listings of one host.

    Args:
        proc: the root of /proc.
    """

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._listed: dict[int, int] | None = None  # inode → pid
        self._first_round = 0
        self._came: dict[int, int] = {}  # pid → the round in which it was new
        self._parents: dict[int, int] = {}
        self._by_parent: dict[int, list[int]] = {}
        self._looked = 0

    def look(self, round_: int) -> None:
        """List /proc in this round."""
        listed = _listing(self._proc)
        if self._listed is None:
            self._listed, self._first_round = listed, round_
            return
        new = {listed[inode] for inode in listed.keys() - self._listed.keys()}
        gone = {self._listed[inode] for inode in self._listed.keys() - listed.keys()}
        self._listed = listed
        if not new and not gone and not self._came:
            self._looked = round_
            return
        oldest = round_ - _REMEMBERED_ROUNDS
        self._came = {pid: came for pid, came in self._came.items() if came >= oldest and pid not in gone}
        unsure = [*new, *(pid for pid, came in self._came.items() if came >= self._looked)]
        self._came.update(dict.fromkeys(new, round_))
        self._looked = round_
        self._arrange(unsure)

    def covers(self, round_: int) -> bool:
        """Whether everybody who came after this round is known."""
        return self._listed is not None and round_ >= max(self._first_round, self._looked - _REMEMBERED_ROUNDS)

    def of(self, parent: int, round_: int) -> list[int]:
        """Children of a process that came in this round or later."""
        return [pid for pid in self._by_parent.get(parent, ()) if self._came[pid] >= round_]

    def _arrange(self, unsure: Iterable[int]) -> None:
        for pid in unsure:
            stat = procfs.stat(self._proc, pid)
            self._parents[pid] = 0 if stat is None else stat.parent
        self._parents = {pid: self._parents[pid] for pid in self._came}
        self._by_parent = {}
        for pid, parent in self._parents.items():
            self._by_parent.setdefault(parent, []).append(pid)


def families(proc: str) -> dict[int, list[int]]:
    """Everybody's children, by reading every process: where the kernel does not list them."""
    found: dict[int, list[int]] = {}
    for pid in _listing(proc).values():
        stat = procfs.stat(proc, pid)
        if stat is not None:
            found.setdefault(stat.parent, []).append(pid)
    return found


def _listing(proc: str) -> dict[int, int]:
    """Pid of every process by its inode; the numbers below are of files of the kernel's own."""
    with os.scandir(proc) as entries:
        return {entry.inode(): int(entry.name) for entry in entries if entry.name.isdigit()}
