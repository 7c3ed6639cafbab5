"""The container of an attempt: its control groups, version 1, 2 or both.

What comes in: the texts of ``/proc/<pid>/cgroup`` and ``/proc/self/mountinfo``. What goes out: ``container.*``
observations, limits, and how often the kernel killed for memory. Reads a few files of the cgroup file systems; writes
nothing. What is not limited has no limit, rather than a large one.

The root of a hierarchy is the host and never taken for a container. Sources: cgroups(7), Linux
``Documentation/admin-guide/cgroup-v1/memory.rst`` and ``cgroup-v2.rst``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from stepsize import model
from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_LIMIT = 1 << 60
"""Version 1 says "none" as the largest multiple of a page that fits: anything near it is none."""
_CONTAINER = re.compile(
    r"docker|kubepods|containerd|crio|libpod|podman|lxc|machine\.slice|slurm|ecs/|garden|[0-9a-f]{32}"
)


@dataclass(frozen=True, slots=True)
class Group:
    """One control group of a process.

    Attributes:
        directory: where it is.
        mount: where its hierarchy's mount begins; its ancestors that can be seen are the directories between.
        version: 1 or 2.
        is_root: whether it is the root of the whole hierarchy, which is the host.
        named: whether its path looks like a container's, or the mount shows only a part of the hierarchy.
    """

    directory: Path
    mount: Path
    version: int
    is_root: bool
    named: bool

    def lineage(self) -> Iterator[Path]:
        """The group's directory and those of its ancestors."""
        yield self.directory
        for parent in self.directory.parents:
            if self.directory == self.mount or not parent.is_relative_to(self.mount):
                return
            yield parent


def groups(cgroup: str, mountinfo: str, prefix: Path = Path("/")) -> dict[str, Group]:
    """Control groups by controller; version 2 under the empty name. ``prefix`` is where the mounts are looked for."""
    mounts = _mounts(mountinfo)
    found: dict[str, Group] = {}
    for line in cgroup.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            if controller in mounts:
                found[controller] = _group(path, *mounts[controller], 1 if controller else 2, prefix)
    return found


def _mounts(mountinfo: str) -> dict[str, tuple[str, str]]:
    """Controller (empty: version 2) → (root of the mount, mount point)."""
    mounts: dict[str, tuple[str, str]] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        before, after = left.split(), right.split()
        if len(before) < 5 or len(after) < 3:
            continue
        root, point = (field.replace("\\040", " ") for field in before[3:5])
        if after[0] == "cgroup2":
            mounts.setdefault("", (root, point))
        elif after[0] == "cgroup":
            for option in after[2].split(","):
                mounts.setdefault(option, (root, point))
    return mounts


def _group(path: str, root: str, point: str, version: int, prefix: Path) -> Group:
    mount = prefix / point.lstrip("/")
    try:
        inside = PurePosixPath(path).relative_to(root)
    except ValueError:
        # Seen through a namespace: the path is relative to another root, or lies outside of what is mounted here.
        inside = PurePosixPath(path.lstrip("/"))
    directory = mount / inside
    if ".." in inside.parts or not directory.is_dir():
        directory = mount
    is_root = directory == mount and root == "/" and not _has_limits(directory, version)
    return Group(directory, mount, version, is_root, named=root != "/" or _CONTAINER.search(path) is not None)


def _has_limits(directory: Path, version: int) -> bool:
    """Whether a mount's top directory is a container's: the host's root has no limits, in version 2 not even files."""
    if version == 2:
        return (directory / "memory.max").exists()
    memory, cpu = _number(directory / "memory.limit_in_bytes"), _number(directory / "cpu.cfs_quota_us")
    return (memory is not None and memory < _NO_LIMIT) or (cpu is not None and cpu > 0)


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What a container's groups said; ``None`` where they do not say."""

    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    throttled_s: float | None = None
    memory_usage_bytes: int | None = None
    memory_working_set_bytes: int | None = None
    memory_limit_bytes: int | None = None
    oom_kills: int | None = None


class ContainerProbe:
    """Samples the container of one attempt; sums count from the probe's first reading."""

    def __init__(self, by_controller: dict[str, Group]) -> None:
        unified = by_controller.get("")
        self._memory = _usable(by_controller.get("memory"), unified, "memory.current")
        self._cpu = _usable(by_controller.get("cpu"), unified, "cpu.stat")
        self._accounting = _usable(by_controller.get("cpuacct"), unified, "cpu.stat")
        self._limit = _memory_limit(self._memory)
        contained = any(group is not None and group.named for group in (self._memory, self._cpu))
        self.is_container = contained or self._limit is not None or _cpu_limited(self._cpu)
        self._first = self.read()
        self._previous: tuple[float, float] | None = None

    def read(self) -> ContainerState:
        """The groups' state now, counters since they were made."""
        usage, working_set = _memory(self._memory)
        user, system = _cpu_time(self._accounting)
        return ContainerState(
            cpu_user_s=user,
            cpu_system_s=system,
            throttled_s=_throttled(self._cpu),
            memory_usage_bytes=usage,
            memory_working_set_bytes=working_set,
            memory_limit_bytes=self._limit,
            oom_kills=_oom_kills(self._memory),
        )

    def oom_kills(self) -> int:
        """How often the kernel has killed in this group for memory since the probe was made."""
        now, first = _oom_kills(self._memory), self._first.oom_kills
        return 0 if now is None or first is None else max(0, now - first)

    def sample(self, monotonic_s: float) -> list[Observation]:
        """``container.*`` now; nothing where the attempt is in no container."""
        if not self.is_container:
            return []
        self._limit = _memory_limit(self._memory)
        now, first = self.read(), self._first
        found = [
            _observation(model.CONTAINER_CPU_THROTTLED_TIME, now.throttled_s, first.throttled_s),
            _observation(model.CONTAINER_MEMORY_USAGE, now.memory_usage_bytes, 0),
            _observation(model.CONTAINER_MEMORY_WORKING_SET, now.memory_working_set_bytes, 0),
            _observation(model.CONTAINER_MEMORY_LIMIT, now.memory_limit_bytes, 0),
            _observation(model.CONTAINER_MEMORY_OOM_KILLS, now.oom_kills, first.oom_kills),
            _observation(model.CONTAINER_CPU_TIME, now.cpu_user_s, first.cpu_user_s, "user"),
            _observation(model.CONTAINER_CPU_TIME, now.cpu_system_s, first.cpu_system_s, "system"),
            self._usage(now, monotonic_s),
        ]
        return [observation for observation in found if observation is not None]

    def _usage(self, now: ContainerState, monotonic_s: float) -> Observation | None:
        if now.cpu_user_s is None or now.cpu_system_s is None:
            return None
        total, previous = now.cpu_user_s + now.cpu_system_s, self._previous
        if previous is not None and monotonic_s - previous[0] < 0.1:
            return None
        self._previous = monotonic_s, total
        if previous is None:
            return None
        return Observation(model.CONTAINER_CPU_USAGE, max(0.0, total - previous[1]) / (monotonic_s - previous[0]))


def _observation(
    metric: model.Metric, now: float | None, first: float | None, mode: str | None = None
) -> Observation | None:
    if now is None or first is None:
        return None
    return Observation(metric, max(type(now)(0), now - first), (("cpu.mode", mode),) if mode else ())


def _usable(group: Group | None, unified: Group | None, file: str) -> Group | None:
    """The group that a controller's files are in: its own of version 1, else the unified one where it has them."""
    if group is not None:
        return None if group.is_root else group
    if unified is None or unified.is_root or not (unified.directory / file).exists():
        return None
    return unified


def _number(path: Path) -> int | None:
    text = procfs.read(str(path)).strip()
    return int(text) if text.isdigit() else None


def _keyed(path: Path) -> dict[bytes, int]:
    pairs = (line.split() for line in procfs.read(str(path)).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _memory(group: Group | None) -> tuple[int | None, int | None]:
    """Memory charged, and of it what is not inactive page cache (what Kubernetes calls the working set)."""
    if group is None:
        return None, None
    usage = _number(group.directory / ("memory.current" if group.version == 2 else "memory.usage_in_bytes"))
    inactive = b"inactive_file" if group.version == 2 else b"total_inactive_file"
    cache = _keyed(group.directory / "memory.stat").get(inactive)
    return usage, None if usage is None or cache is None else max(0, usage - cache)


def _memory_limit(group: Group | None) -> int | None:
    """The lowest limit of the group and its ancestors: whichever is reached first kills."""
    if group is None:
        return None
    name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
    limits = [_number(directory / name) for directory in group.lineage()]
    return min((limit for limit in limits if limit is not None and limit < _NO_LIMIT), default=None)


def _cpu_limited(group: Group | None) -> bool:
    if group is None:
        return False
    for directory in group.lineage():
        if group.version == 2:
            quota = procfs.read(str(directory / "cpu.max")).split()
            if quota and quota[0] != b"max":
                return True
        elif (_number(directory / "cpu.cfs_quota_us") or 0) > 0:
            return True
    return False


def _cpu_time(group: Group | None) -> tuple[float | None, float | None]:
    if group is None:
        return None, None
    if group.version == 2:
        keyed = _keyed(group.directory / "cpu.stat")
        user, system = keyed.get(b"user_usec"), keyed.get(b"system_usec")
        return None if user is None else user / 1e6, None if system is None else system / 1e6
    keyed = _keyed(group.directory / "cpuacct.stat")
    user, system = keyed.get(b"user"), keyed.get(b"system")
    tick = procfs.TICKS_PER_S
    return None if user is None else user / tick, None if system is None else system / tick


def _throttled(group: Group | None) -> float | None:
    if group is None:
        return None
    keyed = _keyed(group.directory / "cpu.stat")
    if group.version == 2:
        microseconds = keyed.get(b"throttled_usec")
        return None if microseconds is None else microseconds / 1e6
    nanoseconds = keyed.get(b"throttled_time")
    return None if nanoseconds is None else nanoseconds / 1e9


def _oom_kills(group: Group | None) -> int | None:
    if group is None:
        return None
    return _keyed(group.directory / ("memory.events" if group.version == 2 else "memory.oom_control")).get(b"oom_kill")
