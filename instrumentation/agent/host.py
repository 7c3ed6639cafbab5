"""What every tree on the host shares: which processes are the tracking itself, who gets the orphans, whose session,
and which attempts lie below which.

What comes in: the root of /proc. What goes out: answers for the tree probes. Reads single files of /proc.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.container import Containers
from stepsize.instrumentation.spawn import AGENT_MODULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.instrumentation.agent.probes.observation import Used
    from stepsize.model import Identity

_ROUND_S = 0.1
"""One look serves everybody for so long."""
_GENERATIONS = 64
"""Ancestors further up are not looked for."""


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
    """

    def __init__(self, proc: str = "/proc", *, lists_children: bool | None = None) -> None:
        self.proc = proc
        self.containers = Containers(proc)
        listed = Path(proc, "thread-self", "children").exists() if lists_children is None else lists_children
        self._lists_children = listed
        self._families: tuple[float, dict[int, list[int]]] = (-1.0, {})
        self._ours = {os.getpid()}
        self._sessions: dict[int, int] = {}
        self._lineages: dict[tuple[str, int], _Lineage] = {}
        self._orphans: tuple[float, list[int]] = (-1.0, [])

    def add_own(self, pid: int) -> None:
        """A process that the agent started; whatever it starts is reached through it alone."""
        self._ours.add(pid)

    def is_ours(self, pid: int) -> bool:
        """Whether a process belongs to the tracking."""
        return pid in self._ours

    def set_roots(self, roots: Iterable[Root]) -> None:
        """The roots of all live attempts: says which sessions are shared, and which attempt lies below which."""
        self._sessions = {}
        before, self._lineages = self._lineages, {}
        for root in roots:
            stat = procfs.stat(self.proc, root.pid)
            if stat is not None:
                self._sessions[stat.session] = self._sessions.get(stat.session, 0) + 1
            key = root.identity.instance_id, root.pid
            lineage = before.get(key)
            if lineage is None:
                lineage = _Lineage(root, self._ancestors(root.pid))
                self._relate(lineage, [*before.values(), *self._lineages.values()])
            self._lineages[key] = lineage

    def inner_of(self, instance_id: str, pid: int) -> Sequence[Root]:
        """Attempts of the same step that lie below this one, over or not, in the order in which they came."""
        lineage = self._lineages.get((instance_id, pid))
        return () if lineage is None else lineage.inner

    def _ancestors(self, pid: int) -> frozenset[int]:
        found: set[int] = set()
        stat = procfs.stat(self.proc, pid)
        while stat is not None and stat.parent > 0 and len(found) < _GENERATIONS:
            found.add(stat.parent)
            stat = procfs.stat(self.proc, stat.parent)
        return frozenset(found)

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
