"""The process tree of one attempt, from /proc.

What comes in: the root's pid and a `Host`, which says what belongs to the tracking itself. What goes out: a
`TreeSample` per call, ``None`` once the root is gone. Reads only files of /proc of the tree's own processes, and the
list of children of the process to which orphans go.

A process belongs to the tree when it descends from the root. One whose parent has ended still does: its number and
start are kept. One that was made and orphaned between two samples is recognized among the reaper's new children, by
an address that only copies of one program share (see `procfs.Stat.stack`), or by its session where no other attempt
shares that.

A process below the root that is itself registered as another attempt of the same flow, run and step (the workers that
a step on several nodes starts beside its control task) is not of this tree, nor is what it starts: it has a row of its
own, and the step's advice is made from all its rows, so each second and byte is to be in one of them. What such an
attempt had used before it was registered stays here, where nobody else has it. An attempt of another flow, run or step
below the root (a `Runner` inside of a step, a flow under ``stepsize run``) is counted in both: for the outer one it is
what the machine has to bear, and no advice is made from the two together.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.cpu import CpuLedger, total
from stepsize.instrumentation.agent.probes.disk import DiskLedger
from stepsize.instrumentation.agent.probes.inner import InnerAttempts
from stepsize.instrumentation.agent.probes.memory import MemoryLedger, ProcessMemory
from stepsize.instrumentation.agent.probes.observation import Rest, TreeSample
from stepsize.instrumentation.agent.probes.shared import SharedMemory

if TYPE_CHECKING:
    from stepsize.instrumentation.agent.host import Host
    from stepsize.instrumentation.procfs import Stat


class ProcessTree:
    """Samples one tree.

    Args:
        root: the root's pid.
        since_ticks: when tracking began, in clock ticks since boot: what processes used before then is left out.
        host: what is shared by all trees of the host.
        instance_id: which attempt the tree is; without, everything below the root is of the tree.
        stood_bytes: VmHWM of the root when an attempt began that is a part of its life: only more is the attempt's.
        launcher: the root's parent, where it was made for the root alone: orphans that it gets are the root's.
    """

    def __init__(
        self,
        root: int,
        since_ticks: int,
        host: Host,
        instance_id: str = "",
        stood_bytes: int | None = None,
        launcher: int | None = None,
    ) -> None:
        self._launcher = launcher
        self._root = root
        self._since = since_ticks
        self._host = host
        self._proc = host.proc
        self._processes = host.processes
        self._round: int | None = None  # of the last sample
        self._live: dict[int, Stat] = {}  # as the last sample saw them
        self._known: dict[int, int] = {}  # pid → start
        self._stacks: set[int] = set()
        self._orphans_seen: frozenset[int] = frozenset()
        self._cpu = CpuLedger()
        self._earlier: tuple[int, int] | None = None
        self._memory = MemoryLedger()
        self._stood_bytes = stood_bytes
        self._peaks = _Peaks(host.proc)
        self._shared = SharedMemory(host.proc)
        self._disk = DiskLedger(host.processes)
        self._inner = InnerAttempts(host, instance_id, root)
        self._zombie: Stat | None = None
        self._told: TreeSample | None = None

    @property
    def expected(self) -> int:
        """How many processes the next sample is likely to read."""
        return len(self._known) + 1

    def sample(self) -> TreeSample | None:
        """The tree now, or ``None`` when its root is gone."""
        if self._processes.in_round:  # a part of it, at less than the cost of another context
            return self._sample()
        with self._processes.round(self.expected):
            return self._sample()

    def _sample(self) -> TreeSample | None:
        # First: whoever is gone before the walk is already in what the walk reads of the one who waited for it.
        self._inner.look(self._cpu, self._disk)
        live = self._walk()
        if self._root not in live:
            return None
        disk = self._disk.update(live, self._inner.owed_bytes())
        unchanged = live == self._live and not self._inner.pids and not self._shared.groups
        self._live, self._round = live, self._processes.number
        if not unchanged or self._told is None:
            self._told = self._add_up(live)
        # By position: for each tree at each sample.
        return TreeSample(time.time_ns(), *self._told[1:-2], *disk)

    def _add_up(self, live: dict[int, Stat]) -> TreeSample:
        user, system = self._cpu.update(live, self._inner.pids, self._inner.owed_ticks(), self._read_again)
        if self._earlier is None:
            self._earlier = self._used_earlier(live)
        memories = self._memories(live)
        if self._stood_bytes is not None and not self._known:
            self._memory.stand({m.key: self._stood_bytes if m.key[0] == self._root else m.peak_bytes for m in memories})
        usage = self._memory.update(memories)
        if live.keys() != self._known.keys():  # those that stayed are the same: their start was compared
            self._known = {pid: stat.start for pid, stat in live.items()}
        self._stacks.update(stat.stack for stat in live.values() if stat.stack)
        alive = [stat.threads for stat in live.values() if stat.is_alive]
        return TreeSample(
            time_unix_nano=0,
            cpu_user_s=(user - self._earlier[0]) / procfs.TICKS_PER_S,
            cpu_system_s=(system - self._earlier[1]) / procfs.TICKS_PER_S,
            memory_usage_bytes=usage,
            memory_peak_bytes=self._memory.peak_bytes,
            memory_source=self._memory.source,
            processes=len(alive),
            threads=sum(alive),
        )

    def _read_again(self, pid: int) -> Stat | None:
        """A process as it is now, not as it was in this round."""
        return procfs.stat(self._host.proc, pid)

    def see_zombie(self, stat: Stat) -> None:
        """Take the root's last state, read when it had just ended: its parent may leave no time for another look."""
        self._zombie = stat

    def rest(self, *, with_orphans: bool = False) -> Rest:
        """What is not the root's, whether that lives or not.

        A process that went since the last sample is taken to have been waited for by the root. Whoever reads the root
        ``with_orphans`` has waited for them as well: then nothing of what went is left.
        """
        with self._processes.round(self.expected):
            return self._rest(with_orphans=with_orphans)

    def _rest(self, *, with_orphans: bool) -> Rest:
        walk = self._walk()
        live = {pid: stat for pid, stat in walk.items() if pid != self._root}
        (user, system), (lost_user, lost_system) = total(live.values()), self._cpu.lost
        if with_orphans:
            lost_user, lost_system = (-taken for taken in self._cpu.taken)
        earlier_user, earlier_system = self._earlier or (0, 0)
        owed_bytes = self._inner.owed_bytes()
        read, written = self._disk.rest(live, owed_bytes, with_lost=not with_orphans)
        if self._root not in walk:
            # No sample could tell what the root has waited for since: its own last reading has all of it.
            owed, taken = self._inner.owed_ticks(), self._cpu.taken
            lost_user, lost_system = lost_user - owed[0] + taken[0], lost_system - owed[1] + taken[1]
        return Rest(
            cpu_user_s=(user + lost_user - earlier_user) / procfs.TICKS_PER_S,
            cpu_system_s=(system + lost_system - earlier_system) / procfs.TICKS_PER_S,
            disk_read_bytes=read,
            disk_write_bytes=written,
            children_apart=self._inner.any_gone,
        )

    def final_peak(self, root_peak_bytes: int) -> int:
        """The tree's peak in bytes, given the root's own last VmHWM."""
        return self._memory.final((self._root, self._known.get(self._root, 0)), root_peak_bytes)

    def pids(self) -> list[int]:
        """The tree's processes, as the last sample saw them."""
        return list(self._known)

    def _walk(self) -> dict[int, Stat]:
        """The tree's processes: the root's descendants, and those that are known or recognized though orphaned."""
        live: dict[int, Stat] = {}
        self._descend([*self._known, self._root], live)
        while orphans := self._orphans(live):
            self._descend(orphans, live)
        return live

    def _descend(self, pending: list[int], live: dict[int, Stat]) -> None:
        """Add these processes and their descendants."""
        processes, known = self._processes, self._known
        ours, apart = self._host.ours, self._inner.pids
        while pending:
            pid = pending.pop()
            if pid in live or pid in apart or pid in ours:
                continue
            stat = processes.stat(pid)
            if stat is None and pid == self._root:
                stat = self._zombie
            start = known.get(pid)
            if stat is None or start not in (None, stat.start) or stat.parent in apart:
                continue
            live[pid] = stat
            # Of one that was not here before, all children may be new here.
            pending += processes.children(pid, stat.threads, None if start is None else self._round)

    def _orphans(self, live: dict[int, Stat]) -> list[int]:
        """Children of the reaper that nobody has looked at and that came from this tree."""
        orphans = self._host.orphans(self._round)
        if self._launcher is not None:
            orphans |= self._host.orphans_of(self._launcher, self._round)
        if orphans == self._orphans_seen:
            return []
        new = orphans - self._orphans_seen - live.keys()
        self._orphans_seen = orphans if self._processes.walks else self._orphans_seen | orphans
        if not new or self._root not in live:
            return []
        root = live[self._root]
        stacks = self._stacks | {stat.stack for stat in live.values() if stat.stack}
        found = []
        for pid in new:
            stat = self._processes.stat(pid)
            if stat is not None and stat.start >= max(root.start, self._since):
                # Who started the root, as the first process of a container does, starts others in the same session.
                alone = (
                    stat.parent != root.parent
                    and stat.session == root.session
                    and self._host.is_sole_session(root.session)
                )
                if alone or stat.parent == self._launcher or stat.stack in stacks:
                    found.append(pid)
        return found

    def _used_earlier(self, live: dict[int, Stat]) -> tuple[int, int]:
        """What children that were there before the attempt began had used by then, as near as can be told."""
        stats = [stat for stat in live.values() if stat.pid != self._root and stat.start < self._since]
        return total(stats)

    def _memories(self, live: dict[int, Stat]) -> list[ProcessMemory]:
        usage = self._shared.usage_bytes(live, self._known.keys() | {self._root})
        groups = self._shared.groups
        copies = {stat.pid for group in groups.values() for stat in group} - {self._root} if groups else ()
        self._peaks.keep(live)
        return [
            ProcessMemory(
                key=(stat.pid, stat.start),
                usage_bytes=usage[stat.pid],
                resident_bytes=stat.rss_bytes,
                peak_bytes=self._peaks.of(stat),
                inherited=stat.pid in copies,
            )
            for stat in live.values()
        ]


class _Peaks:
    """VmHWM of processes, read again only after page faults: without one, nothing can have become resident."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._read: dict[int, tuple[int, int, int]] = {}  # pid → start, faults, peak

    def keep(self, live: dict[int, Stat]) -> None:
        if not self._read.keys() <= live.keys():
            self._read = {pid: entry for pid, entry in self._read.items() if pid in live}

    def of(self, stat: Stat) -> int:
        start, faults, peak = self._read.get(stat.pid, (0, -1, 0))
        if (start, faults) != (stat.start, stat.faults):
            peak = procfs.memory_peak_bytes(self._proc, stat.pid) or stat.rss_bytes
            self._read[stat.pid] = stat.start, stat.faults, peak
        return max(peak, stat.rss_bytes)
