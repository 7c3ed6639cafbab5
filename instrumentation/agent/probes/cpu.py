"""Adds up the CPU time of a process tree, whoever comes and goes.

What comes in: the states of the tree's live processes, sample by sample. What goes out: ticks of CPU time that never
fall. Pure: no I/O.

A process that was waited for hands its time to its parent (``cutime``), where it is counted from then on. One that
was not (``SIGCHLD`` ignored, or its parent gone, so that init reaped it) takes its time along: what was last seen of
it is kept. Which of the two happened is told by how much the parent's ``cutime`` grew (``kernel/exit.c``,
wait_task_zombie). A parent that was read before it waited and a child that was looked for afterwards show neither: then
the parent is read again.

An attempt below this one that is watched for itself is not counted here. What it used arrives in the ``cutime`` of
whoever waits for it all the same, and is taken off there: never more than what grew beyond what other processes that
went explain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from stepsize.instrumentation.procfs import Stat


class CpuLedger:
    """The CPU time of one tree."""

    def __init__(self) -> None:
        self._last: Mapping[int, Stat] = {}
        self._lost_user = 0
        self._lost_system = 0
        self._taken = (0, 0)
        self._total = (0, 0)

    def update(
        self,
        live: Mapping[int, Stat],
        apart: Collection[int] = (),
        owed: tuple[int, int] = (0, 0),
        again: Callable[[int], Stat | None] | None = None,
    ) -> tuple[int, int]:
        """User and system ticks of the tree, given those of its processes that are still there.

        ``apart`` are the pids of other attempts, and ``owed`` the ticks that those that went have used so far;
        ``again`` reads a process once more.
        """
        families = self._gone(live, apart)
        if owed != self._taken:
            self._take(live, families, owed)
        for heir, gone in families.items():
            user, system = total(gone)
            if heir is not None:
                user, system = self._kept(heir, live[heir], (user, system))
                if again is not None and (user > 0 or system > 0):
                    user, system = self._kept(heir, again(heir), total(gone))
            self._lost_user += max(0, user)
            self._lost_system += max(0, system)
        (user, system), (lost_user, lost_system) = total(live.values()), self.lost
        self._last = dict(live)
        self._total = max(self._total[0], user + lost_user), max(self._total[1], system + lost_system)
        return self._total

    def _kept(self, heir: int, now: Stat | None, gone: tuple[int, int]) -> tuple[int, int]:
        """What of the time of those that went did not go to an heir, as it is ``now``; none where that is gone too."""
        before = self._last[heir]
        if now is None or not _same(before, now):
            return 0, 0
        got = now.children_user - before.children_user, now.children_system - before.children_system
        return gone[0] - got[0], gone[1] - got[1]

    @property
    def lost(self) -> tuple[int, int]:
        """User and system ticks of processes that nobody in the tree waited for, less what was taken off."""
        return self._lost_user - self._taken[0], self._lost_system - self._taken[1]

    @property
    def taken(self) -> tuple[int, int]:
        """User and system ticks of other attempts that were taken off."""
        return self._taken

    def seen(self, pid: int) -> tuple[int, int]:
        """User and system ticks of a process that the last sample counted."""
        return total([self._last[pid]] if pid in self._last else [])

    def _take(self, live: Mapping[int, Stat], families: Mapping[int | None, list[Stat]], owed: tuple[int, int]) -> None:
        """Take off what other attempts used and somebody here has waited for by now."""
        if not self._last:
            return
        explained = total(stat for heir, gone in families.items() if heir is not None for stat in gone)
        user = system = 0
        for stat in live.values():
            before = self._last.get(stat.pid)
            known = before if before is not None and _same(stat, before) else None
            user += stat.children_user - (known.children_user if known else 0)
            system += stat.children_system - (known.children_system if known else 0)
        self._taken = (
            self._taken[0] + max(0, min(owed[0] - self._taken[0], user - explained[0])),
            self._taken[1] + max(0, min(owed[1] - self._taken[1], system - explained[1])),
        )

    def _gone(self, live: Mapping[int, Stat], apart: Collection[int]) -> dict[int | None, list[Stat]]:
        """Processes that are no longer there, by the nearest ancestor that is, to whom their time may have gone."""
        gone: dict[int | None, list[Stat]] = {}
        for stat in self._last.values():
            now = live.get(stat.pid)
            if now is not stat and not _same(stat, now):
                gone.setdefault(None if stat.pid in apart else self._heir(stat, live), []).append(stat)
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
