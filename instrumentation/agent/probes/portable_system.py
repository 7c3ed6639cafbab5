"""The host where there is no /proc: macOS and Windows, through psutil.

What comes in: nothing. What goes out: observations of ``system.*``, as far as psutil has them on the system at hand.
Sums count since boot. What cannot be read is absent.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from stepsize import model
from stepsize.instrumentation.agent.probes.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODES = ("user", "nice", "system", "idle", "iowait", "interrupt", "softirq", "steal")
_MEMORY_STATES = ("used", "free", "cached", "buffers", "active", "inactive")


class PortableSystem:
    """Samples the host."""

    def __init__(self) -> None:
        self._previous: dict[str, float] | None = None

    def sample(self, _monotonic_s: float) -> list[Observation]:
        """``system.*`` now."""
        found: list[Observation] = []
        for part in (self._cpu, _memory, _disk, _network, _file_system):
            with contextlib.suppress(psutil.Error, OSError, RuntimeError, NotImplementedError):
                found += part()
        return found

    def boot_unix_nano(self) -> int:
        """When the host's sums began."""
        return int(psutil.boot_time()) * 10**9

    def _cpu(self) -> Iterator[Observation]:
        times = psutil.cpu_times()
        seconds = {mode: getattr(times, mode) for mode in _MODES if hasattr(times, mode)}
        previous, self._previous = self._previous, seconds
        for mode, value in seconds.items():
            yield Observation(model.SYSTEM_CPU_TIME, value, (("cpu.mode", mode),))
        count = psutil.cpu_count()
        if count:
            yield Observation(model.SYSTEM_CPU_LOGICAL_COUNT, count)
        spent = {mode: max(0.0, value - (previous or seconds)[mode]) for mode, value in seconds.items()}
        total = sum(spent.values())
        for mode, value in spent.items() if total > 0 else ():
            yield Observation(model.SYSTEM_CPU_UTILIZATION, value / total, (("cpu.mode", mode),))


def _memory() -> Iterator[Observation]:
    memory = psutil.virtual_memory()
    for state in _MEMORY_STATES:
        if hasattr(memory, state):
            yield Observation(model.SYSTEM_MEMORY_USAGE, getattr(memory, state), (("system.memory.state", state),))
    yield Observation(model.SYSTEM_MEMORY_LIMIT, memory.total)


def _disk() -> Iterator[Observation]:
    counters = psutil.disk_io_counters()
    if counters is not None:
        yield Observation(model.SYSTEM_DISK_IO, counters.read_bytes, (("disk.io.direction", "read"),))
        yield Observation(model.SYSTEM_DISK_IO, counters.write_bytes, (("disk.io.direction", "write"),))


def _network() -> Iterator[Observation]:
    counters = psutil.net_io_counters()
    if counters is not None:
        yield Observation(model.SYSTEM_NETWORK_IO, counters.bytes_recv, (("network.io.direction", "receive"),))
        yield Observation(model.SYSTEM_NETWORK_IO, counters.bytes_sent, (("network.io.direction", "transmit"),))


def _file_system() -> Iterator[Observation]:
    root = Path.cwd().anchor or "/"
    space = psutil.disk_usage(root)
    where = ("system.filesystem.mountpoint", root)
    for state, size in (("used", space.used), ("free", space.free)):
        yield Observation(model.SYSTEM_FILESYSTEM_USAGE, size, (where, ("system.filesystem.state", state)))
    yield Observation(model.SYSTEM_FILESYSTEM_LIMIT, space.total, (where,))
