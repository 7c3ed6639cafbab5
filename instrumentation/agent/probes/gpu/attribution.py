"""What of the devices' figures is a task's.

What comes in: devices, and for each who is on it. What goes out: a `Usage` per task, ``None`` where it cannot be told.
Pure. A figure that is a sum over devices is absent where one of the summands is: a part of it would be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.instrumentation.agent.probes.gpu.reading import Device, GpuProcess

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Share:
    """What of one device is one task's.

    Attributes:
        utilization: share of the device's time.
        memory_bytes: of its memory now.
        memory_peak_bytes: the most that one of its processes on the device ever held, where accounts are kept.
        of_device: whether a figure is the device's, which may hold what is not the task's.
    """

    utilization: float | None
    memory_bytes: int | None
    memory_peak_bytes: int | None = None
    of_device: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What a task uses of all devices together at one moment; ``devices`` are the ids of those that it is on."""

    devices: frozenset[str]
    utilization: float | None
    memory_bytes: int | None
    memory_peak_bytes: int | None
    of_device: bool


def share_of_processes(device: Device, own: frozenset[int], *, all_listed: bool = True) -> Share | None:
    """A task's share where it is known which processes on the device are its own (by their numbers there).

    ``all_listed`` says whether nobody can be on the device who is not listed.
    """
    listed = device.processes or ()
    ours = [process for process in listed if process.pid in own]
    if not ours:
        return None
    alone = len(ours) == len(listed)
    memory_bytes = _sum(process.memory_bytes for process in ours)
    borrowed = memory_bytes is None and alone
    utilization = _utilization(device, ours, alone=alone)
    return Share(
        utilization=utilization,
        memory_bytes=device.memory_bytes if borrowed else memory_bytes,
        memory_peak_bytes=_peak(ours),
        of_device=borrowed or (alone and utilization is not None and not all_listed),
    )


def share_of_device(device: Device) -> Share:
    """A task's share where nobody else of whom we know can be on the device: all of it."""
    return Share(device.utilization, device.memory_bytes, of_device=True)


UNKNOWN_SHARE = Share(utilization=None, memory_bytes=None)
"""Of a task that is on a device together with another, where their processes cannot be told apart."""


def usage(shares: Mapping[str, Share]) -> Usage:
    """The sum over a task's devices; ``shares`` by the device's id."""
    return Usage(
        devices=frozenset(shares),
        utilization=_sum(share.utilization for share in shares.values()),
        memory_bytes=_sum(share.memory_bytes for share in shares.values()),
        memory_peak_bytes=_peak_over(shares.values()),
        of_device=any(share.of_device for share in shares.values()),
    )


def _utilization(device: Device, ours: list[GpuProcess], *, alone: bool) -> float | None:
    """The device's own figure where nobody else is on it: it is sampled more finely than the processes' are."""
    if alone and device.utilization is not None:
        return device.utilization
    total = _sum(process.utilization for process in ours)
    return None if total is None else min(1.0, total)


def _peak(processes: Iterable[GpuProcess]) -> int | None:
    """The highest peak of a process: what its task held at once is that at least."""
    known = [process.memory_peak_bytes for process in processes if process.memory_peak_bytes is not None]
    return max(known, default=None)


def _peak_over(shares: Iterable[Share]) -> int | None:
    """The highest of the devices' peaks: those of several need not have been at once."""
    return max((share.memory_peak_bytes for share in shares if share.memory_peak_bytes is not None), default=None)


def _sum(values: Iterable[_Number | None]) -> _Number | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
