"""Adds up the CPU time of a process tree, whoever comes and goes.

What comes in: the states of the tree's live processes, sample by sample. What goes out: ticks of CPU time that never
fall. Pure: no I/O.

A process that was waited for hands its time to its parent (``cutime``), where it is counted from then on. One that
was not (``SIGCHLD`` ignored, or its parent gone, so that init reaped it) takes its time along: what was last seen of
it is kept. Which of the two happened is told by how much the parent's ``cutime`` grew (``kernel/exit.c``,
wait_task_zombie).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.instrumentation.procfs import Stat


class CpuLedger:
    """The CPU time of one tree."""

    def __init__(self) -> None:
        self._last: Mapping[int, Stat] = {}
        self._lost_user = 0
        self._lost_system = 0
        self._total = (0, 0)

    def update(self, live: Mapping[int, Stat]) -> tuple[int, int]:
        """User and system ticks of the tree, given those of its processes that are still there."""
        for heir, gone in self._gone(live).items():
            user, system = total(gone)
            if heir is not None:
                before, now = self._last[heir], live[heir]
                user -= now.children_user - before.children_user
                system -= now.children_system - before.children_system
            self._lost_user += max(0, user)
            self._lost_system += max(0, system)
        user, system = total(live.values())
        self._last = dict(live)
        self._total = (
            max(self._total[0], user + self._lost_user),
            max(self._total[1], system + self._lost_system),
        )
        return self._total

    @property
    def lost(self) -> tuple[int, int]:
        """User and system ticks of processes that nobody in the tree waited for."""
        return self._lost_user, self._lost_system

    def _gone(self, live: Mapping[int, Stat]) -> dict[int | None, list[Stat]]:
        """Processes that are no longer there, by the nearest ancestor that is, to whom their time may have gone."""
        gone: dict[int | None, list[Stat]] = {}
        for stat in self._last.values():
            if not _same(stat, live.get(stat.pid)):
                gone.setdefault(self._heir(stat, live), []).append(stat)
        return gone

    def _heir(self, stat: Stat, live: Mapping[int, Stat]) -> int | None:
        parent = self._last.get(stat.parent)
        while parent is not None and not _same(parent, live.get(parent.pid)):
            parent = self._last.get(parent.parent)
        return None if parent is None else parent.pid


def _same(one: Stat, other: Stat | None) -> bool:
    return other is not None and one.start == other.start


def total(stats: Iterable[Stat]) -> tuple[int, int]:
    """User and system ticks of processes and of the children that they waited for."""
    user = system = 0
    for stat in stats:
        user += stat.user + stat.children_user
        system += stat.system + stat.children_system
    return user, system
