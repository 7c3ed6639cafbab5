"""What every tree on the host shares: which processes are the tracking itself, who gets the orphans, whose session.

What comes in: the root of /proc. What goes out: answers for the tree probes. Reads one file of /proc.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.probes import procfs
from stepsize.instrumentation.spawn import AGENT_MODULE

if TYPE_CHECKING:
    from collections.abc import Iterable


class Host:
    """The host, for the duration of one round of samples."""

    def __init__(self, proc: str = "/proc") -> None:
        self.proc = proc
        self._ours = {os.getpid()}
        self._sessions: dict[int, int] = {}
        self._reaper = os.getppid()
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

    def orphans(self) -> list[int]:
        """Children of the process to which orphans go: the agent is an orphan itself, so it is its own parent."""
        now = time.monotonic()
        if now - self._orphans[0] > 0.1:  # one look serves every tree that is sampled in this round
            pids = [int(pid) for pid in procfs.read(f"{self.proc}/{self._reaper}/task/{self._reaper}/children").split()]
            self._mark_agents(set(pids) - set(self._orphans[1]))
            self._orphans = now, pids
        return self._orphans[1]

    def _mark_agents(self, pids: Iterable[int]) -> None:
        """Agents of other destinations are orphans too, and where an attempt is the reaper they look like its own."""
        for pid in pids:
            if AGENT_MODULE.encode() in procfs.read(f"{self.proc}/{pid}/cmdline"):
                self._ours.add(pid)
