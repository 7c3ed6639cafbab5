"""The container of an attempt: what it used, what holds it back, and how often the kernel killed in it for memory.

What comes in: control groups. What goes out: ``container.*`` observations. Reads a few files of the cgroup file
systems; writes nothing. Attempts of one container share its readings. What is in no container yields nothing, but kills
for memory are known of whatever group its process is in.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from stepsize import model
from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes import groups as control_groups
from stepsize.instrumentation.agent.probes import pressure
from stepsize.instrumentation.agent.probes.accounts import Accounts, Constraints, ContainerState
from stepsize.instrumentation.agent.probes.kept import KeptFiles
from stepsize.instrumentation.agent.probes.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from stepsize.instrumentation.agent.probes.groups import Group
    from stepsize.instrumentation.agent.probes.observation import Attributes
    from stepsize.model import AttributeValue, Metric

_ROUND_S = 0.1
"""One reading serves everybody for so long."""
_SLOW_S = 5.0
"""So long limits and sums of constraints may be old: nothing of them is lost in between."""
_TIGHT = 0.5
"""Of its limit: a container that uses more is read in full at each sample."""
_MIN_WINDOW_S = 0.1
_ID = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?:/|$)")
_EXITING = 0x4
"""``PF_EXITING`` among the flags in ``/proc/<pid>/stat`` (``include/linux/sched.h``)."""


class Container:
    """Reads the groups of one container, for every attempt in it; ``read`` reads a file that is wanted each time."""

    def __init__(self, by_controller: Mapping[str, Group], read: Callable[[str], bytes] = procfs.read) -> None:
        self.accounts = Accounts.of(by_controller, read)
        self.is_container = self.accounts.is_container
        self.attributes = self._attributes()
        """What a container adds to the resource of its attempts: its id, where its runtime's names hold one."""
        self.tenants = 0
        """How many attempts have come so far, of which each might have been alone."""
        self._read_s = self._full_s = self._slow_s = float("-inf")
        self._state = ContainerState()
        self._constraints = Constraints()

    @property
    def directories(self) -> list[Path]:
        """Where its figures are read, each once."""
        read = (self.accounts.memory, self.accounts.accounting)
        return list(dict.fromkeys(group.directory for group in read if group is not None))

    def _attributes(self) -> dict[str, AttributeValue]:
        for group in (self.accounts.memory, self.accounts.accounting):
            found = None if group is None else _ID.search(str(group.directory))
            if found is not None:
                return {"container.id": found.group(1)}
        return {}

    def read(
        self, monotonic_s: float, *, full: bool = False, whole: bool = False
    ) -> tuple[ContainerState, Constraints]:
        """Its state now, or a moment ago.

        ``full``: all of the state, else what changes from sample to sample will do (`Accounts.brief`) as long as the
        container is far from its limit. ``whole``: all of the constraints too, and now.
        """
        if whole or monotonic_s - self._slow_s >= _SLOW_S:
            self._slow_s, self._constraints = monotonic_s, self.accounts.constraints()
        if whole or monotonic_s - self._full_s >= _ROUND_S:
            if whole or full or self._is_tight:
                self.state(monotonic_s)
            elif monotonic_s - self._read_s >= _ROUND_S:
                self._read_s, self._state = monotonic_s, self.accounts.brief()
        return self._state, self._constraints

    def state(self, monotonic_s: float) -> ContainerState:
        """All of its state now, of which `read` then tells others."""
        self._read_s, self._state = monotonic_s, self.accounts.state()
        self._full_s = monotonic_s
        return self._state

    @property
    def _is_tight(self) -> bool:
        """Whether it was last seen near enough to its limit for kills to come before long."""
        limit, used = self._constraints.memory_limit_bytes, self._state.memory_usage_bytes
        return limit is not None and used is not None and used > _TIGHT * limit


class Containers:
    """The containers of this host whose attempts are watched, each read once a round.

    One is known as long as an attempt holds it; the files of one that nobody holds are closed when the next one comes.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._known: WeakValueDictionary[tuple[tuple[str, Group], ...], Container] = WeakValueDictionary()
        self._files = KeptFiles()

    def of(self, pid: int) -> Container | None:
        """The container of a process, or ``None`` where that cannot be told."""
        cgroup = procfs.read_whole(f"{self._proc}/{pid}/cgroup").decode("utf-8", "replace")
        mounts = procfs.read_whole(f"{self._proc}/self/mountinfo").decode("utf-8", "replace")
        if not cgroup or not mounts:
            return None
        found = control_groups.groups(cgroup, mounts, in_namespace=control_groups.in_namespace(self._proc))
        key = tuple(sorted(found.items(), key=lambda item: item[0]))
        container = self._known.get(key)
        if container is None:
            self._files.keep({str(directory) for one in self._known.values() for directory in one.directories})
            container = self._known[key] = Container(found, self._files.read)
        return container


class ContainerProbe:
    """Samples the container of one attempt; sums count from when it was first seen in there.

    Args:
        container: what is read, which other attempts may share.
        pid: the attempt's process.
        proc: the root of /proc.
        containers: where to look for the process once it has moved, as what starts it may have it do.
    """

    def __init__(
        self, container: Container, pid: int, proc: str = "/proc", containers: Containers | None = None
    ) -> None:
        self._pid, self._proc, self._containers = pid, proc, containers
        self._where = procfs.read(f"{proc}/{pid}/cgroup")
        self._follow_s = self._begun_s = time.monotonic()
        self._enter(container)

    def _enter(self, container: Container) -> None:
        self.container = container
        self._first, self._held_back = container.read(time.monotonic(), whole=True)
        self._kills = self._first.oom_kills or 0
        self._window: tuple[float, float] | None = None  # since when, CPU seconds by then
        self._told_s = float("-inf")

    def follow(self, monotonic_s: float) -> None:
        """Look whether the process has moved to another container: often at first, now and then later on."""
        if self._containers is None or monotonic_s < self._follow_s:
            return
        self._follow_s = monotonic_s if monotonic_s - self._begun_s < _SLOW_S else monotonic_s + _SLOW_S
        where = procfs.read(f"{self._proc}/{self._pid}/cgroup")
        # Of one on its way out, version 1 says the root (kernel/cgroup/cgroup.c, proc_cgroup_show).
        if where and where != self._where and self._lives():
            self._where = where
            container = self._containers.of(self._pid)
            if container is not None and container is not self.container:
                self._enter(container)

    def oom_kills(self) -> int:
        """How many kills for memory there were that may have been of the attempt's own process.

        One that the process was seen to survive was another's: a child's, a neighbour's.
        """
        now = self.container.accounts.oom_kills()
        return 0 if now is None else max(0, now - self._kills)

    def sample(self, monotonic_s: float, *, last: bool = False) -> list[Observation]:
        """``container.*`` now; nothing where the attempt is in no container.

        What changes slowly, and sums, of which only the last counts, are told every few seconds, when an oom kill was
        counted, and at the ``last``. Kills are looked for as often, and at each sample of a container that uses more
        than half of its limit: one that comes out of the blue is seen that much later.
        """
        self.follow(monotonic_s)
        is_due = last or monotonic_s - self._told_s >= _SLOW_S
        if not self.container.is_container:
            if is_due:
                self._told_s = monotonic_s
                self._see_kills(self.container.accounts.oom_kills())
            return []
        now, held_back = self.container.read(monotonic_s, full=is_due, whole=last)
        killed = self._see_kills(now.oom_kills)
        found = _of_now(now)
        found += self._usage(now, monotonic_s)
        if is_due or killed:
            self._told_s = monotonic_s
            found += [*self._sums(now, held_back), *_slow(now, held_back)]
        return found

    def _see_kills(self, kills: int | None) -> bool:
        """Whether somebody was killed since; a kill that the process lives on after was not of it."""
        killed = kills is not None and kills > self._kills
        if killed and kills is not None and self._lives():
            self._kills = kills
        return killed

    def _lives(self) -> bool:
        """Whether the process is there and not on its way out, read after the kills were."""
        fields = procfs.stat_fields(procfs.read(f"{self._proc}/{self._pid}/stat"))
        if len(fields) < 7 or fields[0] in b"ZX" or int(fields[6]) & _EXITING:
            return False
        pending = procfs.read(f"{self._proc}/{self._pid}/status")
        return not any(_has_sigkill(line) for line in pending.splitlines() if line[:7] in (b"SigPnd:", b"ShdPnd:"))

    def _sums(self, now: ContainerState, held_back: Constraints) -> Iterator[Observation]:
        first, before = self._first, self._held_back
        user, system = (("cpu.mode", "user"),), (("cpu.mode", "system"),)
        sums: tuple[tuple[Metric, float | None, float | None, Attributes], ...] = (
            (model.CONTAINER_CPU_TIME, now.cpu_user_s, first.cpu_user_s, user),
            (model.CONTAINER_CPU_TIME, now.cpu_system_s, first.cpu_system_s, system),
            (model.CONTAINER_MEMORY_OOM_KILLS, now.oom_kills, first.oom_kills, ()),
            (model.CONTAINER_CPU_THROTTLED_TIME, held_back.throttled_s, before.throttled_s, ()),
        )
        for metric, value, start, attributes in sums:
            if value is not None and start is not None:
                yield Observation(metric, max(type(value)(0), value - start), attributes)
        yield from pressure.observations(pressure.CONTAINER, held_back.stalls, before.stalls)

    def _usage(self, now: ContainerState, monotonic_s: float) -> list[Observation]:
        """Cores in use since the sample before."""
        cpu_s, window = now.cpu_s, self._window
        if cpu_s is None or (window is not None and monotonic_s - window[0] < _MIN_WINDOW_S):
            return []
        self._window = monotonic_s, cpu_s
        if window is None:
            return []
        return [Observation(model.CONTAINER_CPU_USAGE, max(0.0, cpu_s - window[1]) / (monotonic_s - window[0]))]


def _of_now(now: ContainerState) -> list[Observation]:
    found = []
    if now.memory_usage_bytes is not None:
        found.append(Observation(model.CONTAINER_MEMORY_USAGE, now.memory_usage_bytes))
    if now.memory_working_set_bytes is not None:
        found.append(Observation(model.CONTAINER_MEMORY_WORKING_SET, now.memory_working_set_bytes))
    return found


def _slow(now: ContainerState, held_back: Constraints) -> Iterator[Observation]:
    yield from _known(
        (model.CONTAINER_CPU_LIMIT, held_back.cpu_limit_cores),
        (model.CONTAINER_MEMORY_LIMIT, held_back.memory_limit_bytes),
        (model.CONTAINER_MEMORY_RSS, now.memory_anonymous_bytes),
        (model.CONTAINER_MEMORY_SHARED, now.memory_shared_bytes),
        (model.CONTAINER_MEMORY_CACHE, now.memory_cache_bytes),
        (model.CONTAINER_MEMORY_PEAK, now.memory_peak_bytes),
    )


def _known(*values: tuple[Metric, int | float | None]) -> Iterator[Observation]:
    for metric, value in values:
        if value is not None:
            yield Observation(metric, value)


def _has_sigkill(line: bytes) -> bool:
    """Whether a mask of pending signals in ``/proc/<pid>/status`` holds SIGKILL, which is the ninth."""
    return bool(int(line.split()[1], 16) >> 8 & 1)
