"""What the files of a container's control groups say, in one form for both versions.

What comes in: groups by controller. What goes out: a `ContainerState`, ``None`` for whatever they do not say. Reads a
few files of the cgroup file systems; writes nothing. What is not limited has no limit, rather than a
large one.

Counters that the kernel charges in batches (memory, in steps of up to 256 KiB for each CPU) are as exact as it keeps
them. Sources: Linux ``Documentation/admin-guide/cgroup-v1/{memory,cpuacct}.rst``, ``cgroup-v2.rst``,
``mm/memcontrol.c``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes import pressure
from stepsize.instrumentation.agent.probes.groups import NO_LIMIT, Group, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from stepsize.instrumentation.agent.probes.pressure import Stall


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What a container's groups said; ``None`` where they do not say. Sums count since the groups were made.

    Attributes:
        cpu_user_s, cpu_system_s: CPU time of everything that ever ran in it, whoever waited for it.
        cpu_s: both, as exactly as the kernel knows.
        memory_usage_bytes: all that is charged to it.
        memory_working_set_bytes: of it, what is not inactive page cache (what Kubernetes calls the working set).
        memory_anonymous_bytes: of it, what processes alone hold.
        memory_shared_bytes: of it, tmpfs such as /dev/shm, and shared anonymous memory.
        memory_cache_bytes: of it, page cache of files, which the kernel takes back when it needs it.
        memory_peak_bytes: the most that was ever charged to it, page cache included.
    """

    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    cpu_s: float | None = None
    memory_usage_bytes: int | None = None
    memory_working_set_bytes: int | None = None
    memory_anonymous_bytes: int | None = None
    memory_shared_bytes: int | None = None
    memory_cache_bytes: int | None = None
    memory_peak_bytes: int | None = None
    oom_kills: int | None = None


@dataclass(frozen=True, slots=True)
class Constraints:
    """What holds a container back, and how much it has; ``None`` where nothing does."""

    cpu_limit_cores: float | None = None
    throttled_s: float | None = None
    memory_limit_bytes: int | None = None
    stalls: tuple[Stall, ...] = ()


@dataclass(frozen=True, slots=True)
class Accounts:
    """The groups that a container's figures are read from.

    Attributes:
        memory, cpu, accounting: one for each controller; of version 2 they are one.
        unified: the group of version 2, which alone has pressure, beside whatever version 1 has.
        read: reads a file of theirs that is wanted at each sample.
    """

    memory: Group | None
    cpu: Group | None
    accounting: Group | None
    unified: Group | None
    read: Callable[[str], bytes] = field(default=procfs.read, compare=False)

    @classmethod
    def of(cls, by_controller: Mapping[str, Group], read: Callable[[str], bytes] = procfs.read) -> Accounts:
        """The groups that can be used, out of those of a process."""
        unified = by_controller.get("")
        return cls(
            memory=_usable(by_controller.get("memory"), unified, "memory.current"),
            cpu=_usable(by_controller.get("cpu"), unified, "cpu.max"),
            accounting=_usable(by_controller.get("cpuacct"), unified, "cpu.stat"),
            unified=None if unified is None or unified.is_root else unified,
            read=read,
        )

    @property
    def is_container(self) -> bool:
        """Whether any of them is a container's: named like one, or limited."""
        named = any(group is not None and group.named for group in (self.memory, self.cpu, self.accounting))
        return named or memory_limit(self.memory) is not None or cpu_limit(self.cpu) is not None

    def state(self) -> ContainerState:
        """What they say now."""
        anonymous = shared = cache = usage = working_set = peak = None
        if self.memory is not None:
            names = _MEMORY[self.memory.version]
            directory = str(self.memory.directory)
            usage = _count(self.read(f"{directory}/{names.usage}"))
            peak = _count(self.read(f"{directory}/{names.peak}"))
            keyed = _keyed(self.read(f"{directory}/memory.stat"))
            anonymous, shared = keyed.get(names.anonymous), keyed.get(names.shared)
            inactive, files = keyed.get(names.inactive), keyed.get(names.files)
            working_set = None if usage is None or inactive is None else max(0, usage - inactive)
            # The kernel counts tmpfs as files, though it has nowhere to put it but memory.
            cache = None if files is None else max(0, files - (shared or 0)) + keyed.get(b"slab_reclaimable", 0)
        user_s, system_s, cpu_s = _cpu_time(self.accounting, self.read)
        return ContainerState(
            cpu_user_s=user_s,
            cpu_system_s=system_s,
            cpu_s=cpu_s,
            memory_usage_bytes=usage,
            memory_working_set_bytes=working_set,
            memory_anonymous_bytes=anonymous,
            memory_shared_bytes=shared,
            memory_cache_bytes=cache,
            memory_peak_bytes=peak,
            oom_kills=self.oom_kills(),
        )

    def brief(self) -> ContainerState:
        """What they say now of memory in use and of both kinds of CPU time together: half the files of `state`."""
        usage = working_set = None
        if self.memory is not None:
            names, directory = _MEMORY[self.memory.version], str(self.memory.directory)
            usage = _count(self.read(f"{directory}/{names.usage}"))
            inactive = _value(self.read(f"{directory}/memory.stat"), names.inactive)
            working_set = None if usage is None or inactive is None else max(0, usage - inactive)
        return ContainerState(
            cpu_s=_cpu_both(self.accounting, self.read),
            memory_usage_bytes=usage,
            memory_working_set_bytes=working_set,
        )

    def constraints(self) -> Constraints:
        """What holds them back now.

        Reads the limits of the groups and their ancestors, ``cpu.stat`` and, of version 2, a pressure file for each
        resource.
        """
        return Constraints(
            cpu_limit_cores=cpu_limit(self.cpu),
            throttled_s=_throttled(self.cpu),
            memory_limit_bytes=memory_limit(self.memory),
            stalls=() if self.unified is None else pressure.of_group(str(self.unified.directory)),
        )

    def oom_kills(self) -> int | None:
        """How many of the group's processes the kernel has killed for memory."""
        if self.memory is None:
            return None
        events = self.read(f"{self.memory.directory}/{_MEMORY[self.memory.version].events}")
        return _keyed(events).get(b"oom_kill")


@dataclass(frozen=True, slots=True)
class _MemoryNames:
    """How a version calls its files, and the fields of ``memory.stat``."""

    usage: str
    peak: str
    limit: str
    events: str
    anonymous: bytes
    shared: bytes
    files: bytes
    inactive: bytes


_MEMORY = {
    1: _MemoryNames(
        usage="memory.usage_in_bytes",
        peak="memory.max_usage_in_bytes",
        limit="memory.limit_in_bytes",
        events="memory.oom_control",
        anonymous=b"total_rss",
        shared=b"total_shmem",
        files=b"total_cache",
        inactive=b"total_inactive_file",
    ),
    2: _MemoryNames(
        usage="memory.current",
        peak="memory.peak",
        limit="memory.max",
        events="memory.events",
        anonymous=b"anon",
        shared=b"shmem",
        files=b"file",
        inactive=b"inactive_file",
    ),
}
_KEYED = re.compile(
    rb"^(%b) (\d+)$"
    % b"|".join(
        {name for names in _MEMORY.values() for name in (names.anonymous, names.shared, names.files, names.inactive)}
        | {b"slab_reclaimable", b"oom_kill", b"user", b"system", b"user_usec", b"system_usec", b"usage_usec"}
        | {b"throttled_usec", b"throttled_time"}
    ),
    re.MULTILINE,
)
"""The lines that are wanted of files with a name and a number a line: most have fifty that are not."""


def memory_limit(group: Group | None) -> int | None:
    """The lowest limit of the group and its ancestors, in bytes: whichever is reached first kills."""
    if group is None:
        return None
    limits = [number(directory / _MEMORY[group.version].limit) for directory in group.lineage()]
    return min((limit for limit in limits if limit is not None and limit < NO_LIMIT), default=None)


def cpu_limit(group: Group | None) -> float | None:
    """The lowest quota of the group and its ancestors, in cores."""
    if group is None:
        return None
    quotas = [_quota(directory, group.version) for directory in group.lineage()]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(directory: Path, version: int) -> float | None:
    if version == 2:
        quota, _, period = procfs.read(str(directory / "cpu.max")).strip().partition(b" ")
    else:
        quota = procfs.read(str(directory / "cpu.cfs_quota_us")).strip()
        period = procfs.read(str(directory / "cpu.cfs_period_us")).strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _usable(group: Group | None, unified: Group | None, file: str) -> Group | None:
    """The group that a controller's files are in: its own of version 1, else the unified one where it has them."""
    if group is not None and not group.is_root:
        return group
    if unified is None or unified.is_root or not (unified.directory / file).exists():
        return None
    return unified


def _count(content: bytes) -> int | None:
    text = content.strip()
    return int(text) if text.isdigit() else None


def _keyed(content: bytes) -> dict[bytes, int]:
    return {name: int(count) for name, count in _KEYED.findall(content)}


def _value(content: bytes, name: bytes) -> int | None:
    """One number of a file with a name and a number a line."""
    _, found, rest = (b"\n" + content).partition(b"\n" + name + b" ")
    return _count(rest.partition(b"\n")[0]) if found else None


def _cpu_time(group: Group | None, read: Callable[[str], bytes]) -> tuple[float | None, float | None, float | None]:
    """User and system seconds, and both: version 1 keeps the two by clock ticks, and their sum by the nanosecond."""
    if group is None:
        return None, None, None
    if group.version == 2:
        keyed = _keyed(read(f"{group.directory}/cpu.stat"))
        user, system, both = (_scaled(keyed.get(name), 1e6) for name in (b"user_usec", b"system_usec", b"usage_usec"))
        return user, system, both
    keyed = _keyed(read(f"{group.directory}/cpuacct.stat"))
    user, system = (_scaled(keyed.get(name), procfs.TICKS_PER_S) for name in (b"user", b"system"))
    return user, system, _cpu_both(group, read)


def _cpu_both(group: Group | None, read: Callable[[str], bytes]) -> float | None:
    if group is None:
        return None
    if group.version == 2:
        return _scaled(_value(read(f"{group.directory}/cpu.stat"), b"usage_usec"), 1e6)
    return _scaled(_count(read(f"{group.directory}/cpuacct.usage")), 1e9)


def _throttled(group: Group | None) -> float | None:
    if group is None:
        return None
    keyed = _keyed(procfs.read(f"{group.directory}/cpu.stat"))
    if group.version == 2:
        return _scaled(keyed.get(b"throttled_usec"), 1e6)
    return _scaled(keyed.get(b"throttled_time"), 1e9)


def _scaled(count: int | None, per_unit: float) -> float | None:
    return None if count is None else count / per_unit
