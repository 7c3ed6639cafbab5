"""The host: ``system.*``, once per host however many attempts run on it.

What comes in: the roots of /proc and /sys. What goes out: observations. Reads whole-system files of /proc; file
systems and the number of processes only now and then, as they change slowly and cost more.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from stepsize import model
from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes import pressure
from stepsize.instrumentation.agent.probes.kept import KeptFiles
from stepsize.instrumentation.agent.probes.network import Networks
from stepsize.instrumentation.agent.probes.observation import Observation

if TYPE_CHECKING:
    from stepsize.instrumentation.agent.probes.observation import Attributes

SLOW_EVERY = 10
"""Of so many samples of the host one has what changes slowly too."""
_STALE_S = 60.0
_SECTOR_BYTES = 512  # of /proc/diskstats, whatever the device's are (Documentation/admin-guide/iostats.rst)
_MAX_FILE_SYSTEMS = 8
_MOST_NAMES = 4096
_MODES = ("user", "nice", "system", "idle", "iowait", "interrupt", "softirq", "steal")
_CPU_MODES: tuple[Attributes, ...] = tuple((("cpu.mode", mode),) for mode in _MODES)
"""Attributes are made once: comparing those of one series with themselves then costs nothing."""
_MEMORY_STATES: tuple[tuple[str, bytes], ...] = (
    ("free", b"MemFree"),
    ("cached", b"Cached"),
    ("buffers", b"Buffers"),
    ("active", b"Active"),
    ("inactive", b"Inactive"),
)
_USAGES: dict[str, Attributes] = {
    state: (("system.memory.state", state),) for state in (*(state for state, _ in _MEMORY_STATES), "used")
}
_READ, _WRITE = ((("disk.io.direction", direction),) for direction in ("read", "write"))
_RECEIVE, _TRANSMIT = ((("network.io.direction", direction),) for direction in ("receive", "transmit"))
_MEMORY_LINES = re.compile(
    rb"^(MemTotal|%b|SReclaimable): +(\d+)" % b"|".join(name for _, name in _MEMORY_STATES), re.MULTILINE
)


class SystemProbe:
    """Samples the host.

    Args:
        proc, sys: the roots of /proc and /sys.
        networks: what others read of the network, too.
    """

    def __init__(self, proc: str = "/proc", sys: str = "/sys", networks: Networks | None = None) -> None:
        self._proc, self._sys = proc, sys
        self._networks = networks or Networks(proc, sys)
        self._files = KeptFiles()
        self._disks: dict[bytes, bool] = {}
        self._calls = 0
        self._previous: list[float] | None = None
        self._previous_s = 0.0

    def sample(self, monotonic_s: float) -> list[Observation]:
        """``system.*`` now. Sums count since boot."""
        if monotonic_s - self._previous_s > _STALE_S:
            self._previous = None  # no attempt ran in between: its mean says nothing of now
        self._previous_s = monotonic_s
        found = [*self._cpu(), *self._memory(), *self._disk(), *self._network(monotonic_s)]
        if self._calls % SLOW_EVERY == 0:
            found += [*self._processes(), *self._file_systems()]
            found += pressure.observations(pressure.HOST, pressure.of_host(self._proc))
        self._calls += 1
        return found

    def boot_unix_nano(self) -> int:
        """When the host's sums began."""
        content = procfs.read_whole(f"{self._proc}/stat")
        start = content.find(b"btime ")
        return int(content[start + 6 : content.find(b"\n", start)]) * 10**9 if start >= 0 else 0

    def _cpu(self) -> list[Observation]:
        content = self._files.read(f"{self._proc}/stat")
        lines = content[: content.find(b"intr")].splitlines()
        if not lines:
            return []
        seconds = [int(field) / procfs.TICKS_PER_S for field in lines[0].split()[1 : len(_MODES) + 1]]
        previous, self._previous = self._previous, seconds
        modes = zip(seconds, _CPU_MODES, strict=False)
        found = [Observation(model.SYSTEM_CPU_TIME, value, mode) for value, mode in modes]
        found.append(Observation(model.SYSTEM_CPU_LOGICAL_COUNT, len(lines) - 1))
        if previous is None:
            return found
        spent = [max(0.0, now - before) for now, before in zip(seconds, previous, strict=True)]
        total = sum(spent)
        if total > 0:
            shares = zip(spent, _CPU_MODES, strict=False)
            found += [Observation(model.SYSTEM_CPU_UTILIZATION, value / total, mode) for value, mode in shares]
        return found

    def _memory(self) -> list[Observation]:
        kib = {name: int(size) for name, size in _MEMORY_LINES.findall(self._files.read(f"{self._proc}/meminfo"))}
        if b"MemTotal" not in kib:
            return []
        sizes = {state: kib[key] * 1024 for state, key in _MEMORY_STATES if key in kib}
        total = kib[b"MemTotal"] * 1024
        reclaimable = kib.get(b"SReclaimable", 0) * 1024
        used = total - sizes.get("free", 0) - sizes.get("cached", 0) - sizes.get("buffers", 0) - reclaimable
        sizes["used"] = max(0, used)  # as free(1) has it
        states = [Observation(model.SYSTEM_MEMORY_USAGE, size, _USAGES[state]) for state, size in sizes.items()]
        return [*states, Observation(model.SYSTEM_MEMORY_LIMIT, total)]

    def _disk(self) -> list[Observation]:
        read = written = 0
        lines = self._files.read_whole(f"{self._proc}/diskstats").splitlines()
        for line in lines:
            fields = line.split()
            if self._is_disk(fields[2]):
                read += int(fields[5])
                written += int(fields[9])
        if not lines:
            return []
        return [
            Observation(model.SYSTEM_DISK_IO, read * _SECTOR_BYTES, _READ),
            Observation(model.SYSTEM_DISK_IO, written * _SECTOR_BYTES, _WRITE),
        ]

    def _is_disk(self, name: bytes) -> bool:
        """Whether it is a device: partitions and virtual devices would count the same bytes again."""
        found = self._disks.get(name)
        if found is None:
            if len(self._disks) >= _MOST_NAMES:
                self._disks.clear()
            path = f"{self._sys}/block/{name.decode()}/device"
            found = self._disks[name] = os.path.exists(path)  # noqa: PTH110 - pathlib costs ten times as much
        return found

    def _network(self, monotonic_s: float) -> list[Observation]:
        now = self._networks.traffic("self", self._networks.own, monotonic_s)
        if now is None:
            return []
        return [
            Observation(model.SYSTEM_NETWORK_IO, now.received, _RECEIVE),
            Observation(model.SYSTEM_NETWORK_IO, now.sent, _TRANSMIT),
        ]

    def _processes(self) -> list[Observation]:
        count = sum(map(str.isdigit, os.listdir(self._proc)))  # noqa: PTH208 - pathlib costs ten times as much
        return [Observation(model.SYSTEM_PROCESS_COUNT, count)]

    def _file_systems(self) -> list[Observation]:
        found: list[Observation] = []
        seen: set[str] = set()
        for line in procfs.read_whole(f"{self._proc}/self/mounts").decode("utf-8", "replace").splitlines():
            device, point = line.split()[:2]
            if not device.startswith("/dev/") or device in seen or len(seen) == _MAX_FILE_SYSTEMS:
                continue  # network file systems may hang, the rest are memory
            seen.add(device)
            point = point.replace("\\040", " ")
            try:
                size = os.statvfs(point)
            except OSError:
                continue
            block, place = size.f_frsize, ("system.filesystem.mountpoint", point)
            used, free = (size.f_blocks - size.f_bfree) * block, size.f_bavail * block
            for state, value in (("used", used), ("free", free)):
                attributes = (place, ("system.filesystem.state", state))
                found.append(Observation(model.SYSTEM_FILESYSTEM_USAGE, value, attributes))
            found.append(Observation(model.SYSTEM_FILESYSTEM_LIMIT, size.f_blocks * block, (place,)))
        return found
