"""What every tree on the host shares: which processes are the tracking itself, who gets the orphans, whose session,
and which attempts lie below which.

What comes in: the root of /proc. What goes out: answers for the tree probes. Reads single files of /proc.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.container import Containers
from stepsize.instrumentation.agent.probes.network import Networks
from stepsize.instrumentation.agent.probes.scratch import Scratches
from stepsize.instrumentation.agent.processes import Processes
from stepsize.instrumentation.agent.reaper import Reaper
from stepsize.instrumentation.spawn import AGENT_MODULE, CARD_MODULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.instrumentation.agent.probes.observation import Used
    from stepsize.model import Identity

_OURS = tuple(f"\0-m\0{module}\0".encode() for module in (AGENT_MODULE, CARD_MODULE))


class Root(Protocol):
    """An attempt that is watched, whose process is the root of a tree."""

    @property
    def pid(self) -> int:
        """Its process."""

    @property
    def identity(self) -> Identity:
        """Which attempt of what."""

    def used(self) -> Used:
        """What it has used so far; once it is over, all of it."""


@dataclass(slots=True)
class _Lineage:
    """A root, the processes that it descends from, and the attempts of the same step below it."""

    root: Root
    ancestors: frozenset[int]
    inner: list[Root] = field(default_factory=list)

    def is_of(self, other: Root) -> bool:
        """Whether another attempt is one of the same step in the same run."""
        one, two = self.root.identity, other.identity
        return (one.flow, one.run, one.step) == (two.flow, two.run, two.step)


class Host:
    """What one look at the host serves, for every tree that is sampled in the same round.

    Args:
        proc: the root of /proc.
        lists_children: whether the kernel lists a thread's children (``CONFIG_PROC_CHILDREN``; gVisor does not). Looked
            up by default; without, all of /proc is scanned once a round.
        portable: whether psutil looks at trees in place of /proc, as it does everywhere but on Linux.
    """

    def __init__(self, proc: str = "/proc", *, lists_children: bool | None = None, portable: bool = False) -> None:
        self.proc = proc
        self.portable = portable or not sys.platform.startswith("linux")
        self.containers = Containers(proc)
        self.networks = Networks(proc)
        self.scratches = Scratches(proc)
        listed = Path(proc, "thread-self", "children").exists() if lists_children is None else lists_children
        self.processes = Processes(proc, lists_children=listed)
        self.ours = {os.getpid()}
        """Processes that belong to the tracking."""
        self._sessions: dict[int, set[int]] | None = None  # looked up once there is an orphan to tell of
        self._lineages: dict[tuple[str, int], _Lineage] = {}
        self._orphans: frozenset[int] = frozenset()
        self._reaper = Reaper(proc, self.processes.stat)
        self._reaped = (-1, 0)  # the round in which it was looked up, its pid
        self._listed = -1  # the round in which its children were

    def add_own(self, pid: int) -> None:
        """A process that the agent started; whatever it starts is reached through it alone."""
        self.ours.add(pid)

    def set_roots(self, roots: Iterable[Root]) -> None:
        """The roots of all live attempts: says which sessions are shared, and which attempt lies below which."""
        self._sessions = None
        before, self._lineages = self._lineages, {}
        for root in roots:
            key = root.identity.instance_id, root.pid
            lineage = before.get(key)
            if lineage is None:
                lineage = _Lineage(root, frozenset(procfs.lineage(self.proc, root.pid)) - {root.pid})
                self._relate(lineage, [*before.values(), *self._lineages.values()])
            self._lineages[key] = lineage

    def is_root(self, pid: int) -> bool:
        """Whether a process is a live attempt's."""
        return any(root == pid for _, root in self._lineages)

    def inner_of(self, instance_id: str, pid: int) -> Sequence[Root]:
        """Attempts of the same step that lie below this one, over or not, in the order in which they came."""
        lineage = self._lineages.get((instance_id, pid))
        return () if lineage is None else lineage.inner

    @staticmethod
    def _relate(new: _Lineage, others: Iterable[_Lineage]) -> None:
        for other in {id(each): each for each in others}.values():
            if not new.is_of(other.root) or other.root.identity.instance_id == new.root.identity.instance_id:
                continue
            if other.root.pid in new.ancestors:
                other.inner.append(new.root)
            elif new.root.pid in other.ancestors:
                new.inner.append(other.root)

    def is_sole_session(self, session: int) -> bool:
        """Whether the process of one live attempt alone is in a session; it may be several attempts' at once."""
        if self._sessions is None:
            self._sessions = {}
            for pid in {lineage.root.pid for lineage in self._lineages.values()}:
                stat = procfs.stat(self.proc, pid)
                if stat is not None:
                    self._sessions.setdefault(stat.session, set()).add(pid)
        return len(self._sessions.get(session, ())) == 1

    def children(self, pid: int, threads: int) -> list[int]:
        """Children of every thread of a process."""
        return self.processes.children(pid, threads)

    def orphans(self, since: int | None) -> frozenset[int]:
        """Children of the process to which orphans go.

        ``since`` is the round after which they are new to whoever asks.
        """
        processes = self.processes
        if self._listed == processes.number and processes.walks:
            return self._orphans
        pids = frozenset(self._reaped_children(since))
        if pids != self._orphans:
            self._mark_agents(pids - self._orphans)
            self._orphans = pids
        self._listed = processes.number
        return self._orphans

    def _reaped_children(self, since: int | None) -> list[int]:
        number, (looked, pid) = self.processes.number, self._reaped
        if looked != number:
            if pid and self.processes.walks:
                found = self.processes.children(pid, 1, since)
                if self._reaper.witness in found:
                    return found
            self._reaped = number, self._reaper.pid()
        return self.processes.children(self._reaped[1], 1, since)

    def orphans_of(self, launcher: int, since: int | None) -> frozenset[int]:
        """Children of a launcher: its command, and the orphans of it that come to the launcher."""
        pids = frozenset(self.processes.children(launcher, 1, since))
        if len(pids) > 1:  # an agent that is started meanwhile comes to it too
            self._mark_agents(pids - self.ours)
        return pids

    def _mark_agents(self, pids: Iterable[int]) -> None:
        """Agents of other destinations, and writers of cards, are orphans too; where an attempt is the reaper, they
        look like its own."""
        for pid in pids:
            told = procfs.read(f"{self.proc}/{pid}/cmdline")
            if any(module in told for module in _OURS):
                self.ours.add(pid)
