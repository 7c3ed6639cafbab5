"""What every tree on the host shares: which processes are the tracking itself, who gets the orphans, whose session.

What comes in: the root of /proc. What goes out: answers for the tree probes. Reads one file of /proc.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.instrumentation.spawn import AGENT_MODULE

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROUND_S = 0.1
"""One look serves everybody for so long."""


class Host:
    """What one look at the host serves, for every tree that is sampled in the same round.

    Args:
        proc: the root of /proc.
        lists_children: whether the kernel lists a thread's children (``CONFIG_PROC_CHILDREN``; gVisor does not). Looked
            up by default; without, all of /proc is scanned once a round.
    """

    def __init__(self, proc: str = "/proc", *, lists_children: bool | None = None) -> None:
        self.proc = proc
        listed = Path(proc, "thread-self", "children").exists() if lists_children is None else lists_children
        self._lists_children = listed
        self._families: tuple[float, dict[int, list[int]]] = (-1.0, {})
        self._ours = {os.getpid()}
        self._sessions: dict[int, int] = {}
        self._orphans: tuple[float, list[int]] = (-1.0, [])

    def add_own(self, pid: int) -> None:
        """A process that the agent started; whatever it starts is reached through it alone."""
        self._ours.add(pid)

    def is_ours(self, pid: int) -> bool:
        """Whether a process belongs to the tracking."""
        return pid in self._ours

    def set_roots(self, roots: Iterable[int]) -> None:
        """The roots of all live attempts: says which sessions are shared."""
        stats = [procfs.stat(self.proc, root) for root in roots]
        self._sessions = {}
        for stat in stats:
            if stat is not None:
                self._sessions[stat.session] = self._sessions.get(stat.session, 0) + 1

    def is_sole_session(self, session: int) -> bool:
        """Whether one live attempt alone is in a session."""
        return self._sessions.get(session) == 1

    def children(self, pid: int, threads: int) -> list[int]:
        """Children of every thread of a process."""
        if self._lists_children:
            return procfs.children(self.proc, pid, threads)
        now = time.monotonic()
        if now - self._families[0] > _ROUND_S:
            self._families = now, self._scan()
        return self._families[1].get(pid, [])

    def _scan(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for name in os.listdir(self.proc):  # noqa: PTH208 - pathlib costs ten times as much
            stat = procfs.stat(self.proc, int(name)) if name.isdigit() else None
            if stat is not None:
                found.setdefault(stat.parent, []).append(stat.pid)
        return found

    def orphans(self) -> list[int]:
        """Children of the process to which orphans go: the agent is an orphan itself, so it is its own parent."""
        now = time.monotonic()
        if now - self._orphans[0] > _ROUND_S:
            pids = self.children(os.getppid(), 1)
            self._mark_agents(set(pids) - set(self._orphans[1]))
            self._orphans = now, pids
        return self._orphans[1]

    def _mark_agents(self, pids: Iterable[int]) -> None:
        """Agents of other destinations are orphans too, and where an attempt is the reaper they look like its own."""
        for pid in pids:
            if AGENT_MODULE.encode() in procfs.read(f"{self.proc}/{pid}/cmdline"):
                self._ours.add(pid)
