"""What a container knows of an attempt that no process tells, where it is the attempt's alone.

What comes in: the attempt's container, and sample by sample the pids of its tree and the CPU time that was seen of
them. What goes out: CPU time that nothing in the tree accounts for, and bounds of its memory. Reads a few files for
each sample; writes nothing.

Groups count what processes take along: children whose parent ignores SIGCHLD, orphans that live between two samples,
files in /dev/shm. That is the attempt's only where nobody else is in them. A container counts as dedicated while each
of its processes is one of

* the attempt's tree, or an orphan of it that came since;
* the tracking itself: the agent, its collector;
* the attempt's ancestors: the container's first process, the shell or launcher that started it;
* what those ancestors had started beside it before it registered, in its own session: the rest of its pipeline.

What the last three use is taken off. Anybody else, once seen, ends it for good; what was known until then stays. See
``docs/decisions/0009-dedicated-containers.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.members import Members

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from stepsize.instrumentation.agent.probes.accounts import Accounts, ContainerState
    from stepsize.instrumentation.agent.probes.container import Container

SOURCE = "cgroup"
"""What `stepsize.model.Attr.MEMORY_SOURCE` says of a peak that the container told."""
_NOISE_S = 2 / procfs.TICKS_PER_S
"""For each process whose time is taken off, and for the tree: user and system time are told in whole ticks."""
_MEMORY_EVERY_S = 5.0
"""Where pages come from costs a file of each process."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """CPU seconds of the attempt that its container counted and no process of its tree accounts for."""

    user_s: float = 0.0
    system_s: float = 0.0

    def __add__(self, other: Unseen) -> Unseen:
        return Unseen(self.user_s + other.user_s, self.system_s + other.system_s)


@dataclass(frozen=True, slots=True)
class _Start:
    """What had been used when the attempt was first seen alone."""

    container: ContainerState
    aside_s: float
    seen_s: float


class Tenancy:
    """One attempt's stay in its container.

    Args:
        container: the attempt's.
        root: the attempt's process.
        ours: processes of the tracking; whatever they start belongs to it too.
        is_attempt: whether a process is a live attempt's.
        launched: whether the root's parent does nothing but run the attempt (``stepsize run``).
        proc: the root of /proc.
    """

    def __init__(
        self,
        container: Container,
        root: int,
        ours: Collection[int],
        *,
        is_attempt: Callable[[int], bool] = lambda _: False,
        launched: bool = False,
        proc: str = "/proc",
    ) -> None:
        self._container = container
        self._number = container.tenants = container.tenants + 1
        self._members = Members(container.directories, root, ours, is_attempt=is_attempt, launched=launched, proc=proc)
        self._start: _Start | None = None
        self._proc = proc
        self._pages = _Pages(proc)
        self._aside_bytes = self._floor_bytes = 0
        self._ceiling_bytes: int | None = None
        self.unseen = Unseen()

    @property
    def is_sole(self) -> bool:
        """Whether the container has been the attempt's alone so far."""
        is_last = self._container.tenants == self._number
        return is_last and self._container.is_container and self._members.are_explained

    def look(self, monotonic_s: float, tree: Collection[int], seen_s: float) -> None:
        """Compare with what the tree's processes account for, who were read a moment before.

        ``seen_s`` is the CPU time that was seen of the attempt since it was registered.
        """
        if not (self.is_sole and self._members.look(tree)):
            self._ceiling_bytes = None
            return
        # Anew: an attempt that was here when others had it read may be gone by now.
        state = self._container.state(monotonic_s)
        self._of_cpu(state, seen_s)
        if tree and state.memory_anonymous_bytes is not None:
            self._pages.look(monotonic_s, tree, self._container.accounts)
        self._of_memory(state)

    def bounded(self, peak_bytes: int, source: str) -> tuple[int, str]:
        """A peak that the tree's processes told, as far as the container bears it out, and where it comes from."""
        if self._floor_bytes > peak_bytes:
            return self._floor_bytes, SOURCE
        if self._ceiling_bytes is not None and self._ceiling_bytes < peak_bytes:
            return self._ceiling_bytes, SOURCE
        return peak_bytes, source

    def _of_cpu(self, now: ContainerState, seen_s: float) -> None:
        if now.cpu_s is None:
            return
        aside_s, start = self._members.aside_s(), self._start
        if start is None:
            self._start = _Start(now, aside_s, seen_s)
            return
        used_s = now.cpu_s - (start.container.cpu_s or 0.0) - (aside_s - start.aside_s)
        unseen_s = start.seen_s + used_s - seen_s
        if unseen_s <= _NOISE_S * (1 + len(self._members.aside)):
            self.unseen = Unseen()
            return
        share = _user_share(start.container, now)
        self.unseen = Unseen(unseen_s * share, unseen_s * (1 - share))

    def _of_memory(self, now: ContainerState) -> None:
        if now.memory_anonymous_bytes is None or now.memory_peak_bytes is None:
            return
        held = now.memory_anonymous_bytes + (now.memory_shared_bytes or 0)
        aside_bytes = sum(_resident(self._proc, pid)[0] for pid in self._members.aside)
        # Not read at the moment at which the container was: what they gain or lose meanwhile is not the attempt's.
        held -= max(aside_bytes, self._aside_bytes)
        self._aside_bytes = aside_bytes
        pages = self._pages
        self._floor_bytes = max(self._floor_bytes, held + (pages.least_files_bytes or 0))
        self._ceiling_bytes = now.memory_peak_bytes + pages.most_files_bytes + pages.elsewhere_bytes


class _Pages:
    """Where the pages of an attempt are charged to, looked at now and then.

    Attributes:
        least_files_bytes, most_files_bytes: programs, libraries and other files that its largest reader has in memory,
            which are charged to whoever read them first.
        elsewhere_bytes: memory that is charged elsewhere: a process had it before it came here.
    """

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._due_s = float("-inf")
        self.least_files_bytes: int | None = None
        self.most_files_bytes = self.elsewhere_bytes = 0

    def look(self, monotonic_s: float, tree: Collection[int], accounts: Accounts) -> None:
        """Look at the processes, and at what is charged to the container before and after."""
        if monotonic_s < self._due_s:
            return
        self._due_s = monotonic_s + _MEMORY_EVERY_S
        before = accounts.state().memory_anonymous_bytes or 0
        resident = [_resident(self._proc, pid) for pid in tree]
        files_bytes = max(files for _, files in resident)
        self.most_files_bytes = max(self.most_files_bytes, files_bytes)
        self.least_files_bytes = min(files_bytes, self.least_files_bytes or files_bytes)
        own_bytes = sum(anonymous for anonymous, _ in resident)
        here_bytes = max(before, accounts.state().memory_anonymous_bytes or 0)
        self.elsewhere_bytes = max(self.elsewhere_bytes, own_bytes - here_bytes)


def _resident(proc: str, pid: int) -> tuple[int, int]:
    """Anonymous memory of a process, and pages of files, in bytes."""
    status = procfs.read(f"{proc}/{pid}/status")
    return procfs.status_bytes(status, b"RssAnon:") or 0, procfs.status_bytes(status, b"RssFile:") or 0


def _user_share(before: ContainerState, now: ContainerState) -> float:
    """Which part of the container's time was spent in user mode."""
    user_s = (now.cpu_user_s or 0.0) - (before.cpu_user_s or 0.0)
    both_s = user_s + (now.cpu_system_s or 0.0) - (before.cpu_system_s or 0.0)
    return min(1.0, max(0.0, user_s / both_s)) if both_s > 0 else 1.0
