"""GPUs, as the agent's loop sees them: who reads them, and which points a reading makes.

What comes in: the attempts that are watched. What goes out: observations of the host and of attempts, with the time at
which the devices were asked. Never waits for a device: a thread reads them (`probes.gpu.reader`), which is not started
where nothing speaks for a GPU.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize import model
from stepsize.instrumentation.agent.probes.gpu.amd import Amd
from stepsize.instrumentation.agent.probes.gpu.census import Census
from stepsize.instrumentation.agent.probes.gpu.nvidia import Nvidia
from stepsize.instrumentation.agent.probes.gpu.reader import Reader
from stepsize.instrumentation.agent.probes.observation import Attributes, Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stepsize.instrumentation.agent.attempt import Attempt
    from stepsize.instrumentation.agent.probes.gpu.attribution import Usage
    from stepsize.instrumentation.agent.probes.gpu.reading import Device

_LOOK_EVERY_S = 30.0
"""While attempts run, a driver that was not there is looked for this often."""


@dataclass(frozen=True, slots=True)
class GpuPoints:
    """What one reading says.

    Attributes:
        time_unix_nano: when the devices were asked.
        host: of the devices.
        attempts: of each attempt of which something can be said.
    """

    time_unix_nano: int
    host: tuple[Observation, ...]
    attempts: tuple[tuple[Attempt, tuple[Observation, ...]], ...]


class Gpus:
    """The host's GPUs.

    Args:
        interval_s: seconds between readings.
        proc: the root of /proc.
        host_proc: the root of the host's, where we are in a container and it is mounted.
    """

    def __init__(self, interval_s: float, proc: str = "/proc", host_proc: str | None = None) -> None:
        self._interval_s = interval_s
        self._vendors = (Nvidia(), Amd())
        self._census = Census(proc, host_proc)
        self._reader: Reader | None = None
        self._look_due_s = float("-inf")
        self._watched = 0
        self._before: dict[Attempt, _Before] = {}

    def follow(self, watched: int, ready: Callable[[], None]) -> None:
        """Say how many attempts are watched; ``ready`` is called, in a thread, when there is a reading to take."""
        more, changed = watched > self._watched, watched != self._watched
        self._watched = watched
        if self._reader is None and watched and (more or time.monotonic() >= self._look_due_s):
            self._look_due_s = time.monotonic() + _LOOK_EVERY_S
            if any(vendor.is_likely() for vendor in self._vendors):
                self._reader = Reader(self._vendors, self._interval_s, ready)
                changed = True
        if self._reader is not None and changed:
            self._reader.want(watched > 0, at_once=more)

    def take(self, attempts: Sequence[Attempt]) -> GpuPoints | None:
        """What a reading that nobody has taken yet says of the devices and of these attempts."""
        reading = None if self._reader is None else self._reader.take()
        if reading is None:
            return None
        there = {device.id for device in reading.devices}
        present = [attempt for attempt in attempts if attempt.start_unix_nano <= reading.time_unix_nano]
        usages = self._census.take(reading.devices, present)
        self._before = {attempt: self._before.get(attempt, _Before()) for attempt in attempts}
        found = []
        for attempt, usage in zip(present, usages, strict=True):
            before = self._before[attempt]
            # Without a device that it was on, what the others say is not the whole.
            if usage is not None and before.devices <= there:
                before.add(usage)
                found.append((attempt, tuple(_of_attempt(usage, before.peak_bytes))))
        host = tuple(observation for device in reading.devices for observation in _of_device(device))
        return GpuPoints(reading.time_unix_nano, host, tuple(found))


@dataclass(slots=True)
class _Before:
    """What earlier readings said of an attempt: the devices that it was on, its peak where accounts are kept."""

    devices: frozenset[str] = frozenset()
    sampled_bytes: int = 0
    peak_bytes: int | None = None

    def add(self, usage: Usage) -> None:
        self.devices = usage.devices
        self.sampled_bytes = max(self.sampled_bytes, usage.memory_bytes or 0)
        if usage.memory_peak_bytes is not None or self.peak_bytes is not None:
            self.peak_bytes = max(self.peak_bytes or 0, usage.memory_peak_bytes or 0, self.sampled_bytes)


def _of_attempt(usage: Usage, peak_bytes: int | None) -> list[Observation]:
    scope: Attributes = ((model.Attr.SCOPE, "device"),) if usage.of_device else ()
    found = [Observation(model.TASK_GPU_COUNT, len(usage.devices))]
    if usage.utilization is not None:
        found.append(Observation(model.TASK_GPU_UTILIZATION, float(usage.utilization), scope))
    if usage.memory_bytes is not None:
        found.append(Observation(model.TASK_GPU_MEMORY_USAGE, usage.memory_bytes, scope))
    if peak_bytes is not None:
        found.append(Observation(model.TASK_GPU_MEMORY_PEAK, peak_bytes, ((model.Attr.MEMORY_SOURCE, "accounting"),)))
    return found


def _of_device(device: Device) -> list[Observation]:
    which: Attributes = (("hw.id", device.id), ("hw.name", device.name), ("hw.vendor", device.vendor))
    if device.parent is not None:
        which = (*which, ("hw.parent", device.parent))
    pairs = (
        (model.HW_GPU_UTILIZATION, device.utilization),
        (model.HW_GPU_MEMORY_USAGE, device.memory_bytes),
        (model.HW_GPU_MEMORY_LIMIT, device.memory_limit_bytes),
    )
    return [Observation(metric, value, which) for metric, value in pairs if value is not None]
