"""Who is in a container besides one attempt, and whether each of them can be explained.

What comes in: the container's lists of processes, the attempt's root, the pids of its tree look by look. What goes out:
whether nobody else is there, and the CPU time of those that are there and are not the attempt's. Reads
``cgroup.procs`` and states of single processes; writes nothing.

See `dedicated` for who may be there. Orphans go to the container's first process, which may be a shell or launcher that
makes processes of its own: a new child of it that kept its session is taken to be its own, and one that did not is
taken for the attempt's, which made itself a daemon.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.reaper import reaper
from stepsize.instrumentation.rusage import standard_resource

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from stepsize.instrumentation.procfs import Stat

_MOST_LOOKS = 2
"""A child of the tree that the tree still does not know after so many looks is another attempt's."""


@dataclass(frozen=True, slots=True)
class _Aside:
    """One that is not the attempt's: when it was made, and the CPU seconds it had used when last looked at."""

    start: int
    used_s: float


class Members:
    """The processes of one container, told apart.

    Args:
        directories: the container's control groups.
        root: the attempt's process.
        ours: processes of the tracking; whatever they start belongs to it too.
        is_attempt: whether a process is a live attempt's: beside this one it is no part of its pipeline.
        launched: whether the root's parent does nothing but run the attempt, so that its children are the attempt's.
        proc: the root of /proc.
    """

    def __init__(
        self,
        directories: Collection[Path],
        root: int,
        ours: Collection[int],
        *,
        is_attempt: Callable[[int], bool] = lambda _: False,
        launched: bool = False,
        proc: str = "/proc",
    ) -> None:
        self._lists = [f"{directory}/cgroup.procs" for directory in directories]
        self._ours, self._is_attempt, self._proc = ours, is_attempt, proc
        stat = procfs.stat(proc, root)
        self._root_start, self._session = (stat.start, stat.session) if stat is not None else (0, 0)
        self._ancestors = list(itertools.islice(procfs.lineage(proc, root), 1, None))
        self._waiting = os.getppid()  # the shell that starts an agent again, unless it is where orphans go
        # They go where the agent would; a namespace of pids has a first process of its own.
        firsts = (pid for pid in self._ancestors if procfs.namespace_pids(proc, pid)[-1:] == [1])
        self._reapers = {reaper(proc), *firsts}
        self._launcher = self._ancestors[0] if launched and self._ancestors else 0
        self._aside: dict[int, _Aside] = {}
        self._gone_s = 0.0
        self._accepted: set[int] = set()
        self._pending: dict[tuple[int, int], int] = {}  # pid and start → looks
        self._is_first = True
        self.are_explained = bool(directories) and not any(_has_groups_below(one) for one in directories)
        """Whether nobody was seen so far whose presence has no explanation."""

    @property
    def aside(self) -> Collection[int]:
        """Pids of those that are not the attempt's."""
        return self._aside.keys()

    def look(self, tree: Collection[int]) -> bool:
        """Look who is there now; whether all are explained."""
        pids: set[int] = set()
        for listed in self._lists:
            pids.update(map(int, procfs.read_whole(listed).split()))
        unknown = pids - self._aside.keys() - self._accepted
        unknown.difference_update(tree)
        beside = (pid for pid in self._aside if pid not in self._ancestors)
        self.are_explained = (
            self.are_explained
            and not any(self._is_attempt(pid) for pid in beside)
            and all(self._explain(pid, pids, tree) for pid in unknown)
        )
        self._accepted &= pids
        self._pending = {key: looks for key, looks in self._pending.items() if key[0] in unknown}
        self._is_first = False
        return self.are_explained

    def aside_s(self) -> float:
        """CPU seconds that those that are not the attempt's have used since they were made."""
        for pid, known in list(self._aside.items()):
            now = self._read(pid)
            if now is None or now.start != known.start:
                self._gone_s += self._aside.pop(pid).used_s
            else:
                self._aside[pid] = now
        return self._gone_s + sum(one.used_s for one in self._aside.values())

    def _explain(self, pid: int, pids: Collection[int], tree: Collection[int]) -> bool:
        stat = procfs.stat(self._proc, pid) if pid else None
        if stat is None:
            return pid != 0  # gone already; zero is somebody of another namespace, from outside
        if pid in self._ancestors or self._is_tracking(stat, pids) or (self._is_first and self._is_beside(stat)):
            aside = self._read(pid)
            if aside is not None:
                self._aside[pid] = aside
            return True
        return stat.start >= self._root_start and self._is_of_the_attempt(stat, tree)

    def _is_tracking(self, stat: Stat, pids: Collection[int]) -> bool:
        """Whether it is the tracking's, or was started by it."""
        older = itertools.takewhile(pids.__contains__, procfs.lineage(self._proc, stat.parent))
        return any(
            pid in self._ours or (pid == self._waiting and pid not in self._reapers)
            for pid in itertools.chain((stat.pid,), older)
        )

    def _is_beside(self, stat: Stat) -> bool:
        """Whether an ancestor had started it beside the root, in the same session: the rest of a pipeline."""
        return stat.session == self._session and stat.parent in self._ancestors

    def _is_of_the_attempt(self, stat: Stat, tree: Collection[int]) -> bool:
        """Whether one that came since was just made by the tree, or orphaned by it."""
        if stat.parent in tree:
            looks = self._pending[stat.pid, stat.start] = self._pending.get((stat.pid, stat.start), 0) + 1
            return looks <= _MOST_LOOKS
        orphaned = stat.parent in self._reapers
        if orphaned and stat.parent in self._ancestors:
            parent = procfs.stat(self._proc, stat.parent)
            orphaned = parent is not None and parent.session != stat.session
        if orphaned or stat.parent == self._launcher or stat.parent in self._accepted:
            self._accepted.add(stat.pid)
            return True
        return False

    def _read(self, pid: int) -> _Aside | None:
        stat = procfs.stat(self._proc, pid)
        if stat is None:
            return None
        resource = standard_resource() if pid == os.getpid() else None
        if resource is not None:  # to the microsecond
            own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
            used_s = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
            return _Aside(stat.start, used_s)
        ticks = stat.user + stat.system
        if pid not in self._ancestors:  # among whose children is the attempt
            ticks += stat.children_user + stat.children_system
        return _Aside(stat.start, ticks / procfs.TICKS_PER_S)


def _has_groups_below(directory: Path) -> bool:
    """Whether there are further groups in it, whose processes its list leaves out."""
    try:
        with os.scandir(directory) as entries:
            return any(entry.is_dir(follow_symlinks=False) for entry in entries)
    except OSError:
        return True
