"""Pressure stall information: how long work stood still for want of CPU, memory or storage.

What comes in: the directory of a control group of version 2, or the root of /proc. What goes out: seconds since the
group was made or the host started. Reads three files; where the kernel has no PSI, or it is switched off, nothing.
``some`` is the time in which at least one task stood still, ``full`` that in which all did.

Source: Linux ``Documentation/accounting/psi.rst``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize import model
from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stepsize.model import Metric

_RESOURCES = ("cpu", "memory", "io")
CONTAINER: Mapping[str, Metric] = {
    "cpu": model.CONTAINER_CPU_PRESSURE_TIME,
    "memory": model.CONTAINER_MEMORY_PRESSURE_TIME,
    "io": model.CONTAINER_IO_PRESSURE_TIME,
}
HOST: Mapping[str, Metric] = {
    "cpu": model.SYSTEM_CPU_PRESSURE_TIME,
    "memory": model.SYSTEM_MEMORY_PRESSURE_TIME,
    "io": model.SYSTEM_IO_PRESSURE_TIME,
}


@dataclass(frozen=True, slots=True)
class Stall:
    """How long work has stood still for want of a resource (cpu, memory, io); ``kind`` is some or full."""

    resource: str
    kind: str
    seconds: float


def of_group(directory: str) -> tuple[Stall, ...]:
    """What the group in this directory has been through."""
    return tuple(_stalls((resource, f"{directory}/{resource}.pressure") for resource in _RESOURCES))


def of_host(proc: str) -> tuple[Stall, ...]:
    """What the host has been through."""
    return tuple(_stalls((resource, f"{proc}/pressure/{resource}") for resource in _RESOURCES))


def observations(
    metrics: Mapping[str, Metric], now: Iterable[Stall], first: Iterable[Stall] = ()
) -> Iterable[Observation]:
    """The stalls as sums that have counted since ``first``."""
    before = {(stall.resource, stall.kind): stall.seconds for stall in first}
    for stall in now:
        seconds = max(0.0, stall.seconds - before.get((stall.resource, stall.kind), 0.0))
        yield Observation(metrics[stall.resource], seconds, ((model.Attr.PRESSURE, stall.kind),))


def _stalls(files: Iterable[tuple[str, str]]) -> Iterable[Stall]:
    for resource, path in files:
        for line in procfs.read(path).splitlines():
            kind, _, fields = line.decode("ascii", "replace").partition(" ")
            microseconds = fields.rpartition("total=")[2]
            if microseconds.isdigit():
                yield Stall(resource, kind, int(microseconds) / 1e6)
