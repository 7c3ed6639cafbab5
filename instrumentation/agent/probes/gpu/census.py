"""Who is on which device: puts together what libraries, the tasks' trees and /proc say.

What comes in: a reading and the tasks, each with its processes. What goes out: a `Usage` per task. Reads /proc of
processes on devices and, where their numbers say nothing, what the tasks' own processes have open.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.gpu.attribution import (
    UNKNOWN_SHARE,
    Share,
    Usage,
    share_of_device,
    share_of_processes,
    usage,
)
from stepsize.instrumentation.agent.probes.gpu.numbering import Numbering, OpenNodes
from stepsize.instrumentation.agent.probes.gpu.visible import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from stepsize.instrumentation.agent.probes.gpu.reading import Device

_UNTOLD = Share(utilization=None, memory_bytes=None, of_device=True)
"""Of a task of which it is not known whether it is on a device at all."""


class Task(Protocol):
    """A task that may be on devices."""

    @property
    def pid(self) -> int:
        """Its process, whose environment says which devices it may use."""

    def pids(self) -> Collection[int]:
        """Its processes, as its tree was last seen."""


class Census:
    """Takes the tasks of a host together, since one of them can only be alone where the others are not."""

    def __init__(self, proc: str = "/proc", host_proc: str | None = None) -> None:
        self._proc = proc
        self._numbering = Numbering(proc, host_proc)
        self._nodes = OpenNodes(proc)

    def take(self, devices: Sequence[Device], tasks: Sequence[Task]) -> list[Usage | None]:
        """What each task uses, in their order; ``None`` where it cannot be told."""
        pids = [frozenset(task.pids()) | {task.pid} for task in tasks]
        everybody = frozenset().union(*pids)
        self._nodes.keep(everybody)
        shares: list[dict[str, Share] | None] = [{} for _ in tasks]
        for device in devices:
            told = self._told(device, everybody)
            if told is None:
                found = self._guessed(device, devices, tasks, pids)
            else:
                all_listed = self._lists_all(device)
                found = [share_of_processes(device, _own(told, own), all_listed=all_listed) for own in pids]
            for index, share in enumerate(found):
                mine = shares[index]
                if share is _UNTOLD:
                    shares[index] = None
                elif share is not None and mine is not None:
                    mine[device.id] = share
        return [None if mine is None else usage(mine) for mine in shares]

    def _lists_all(self, device: Device) -> bool:
        """Whether who is on a device is told: a library that looks into our /proc sees whom we may see there."""
        return not device.local_pids or (self._numbering.is_hosts and getattr(os, "geteuid", lambda: 0)() == 0)

    def _told(self, device: Device, everybody: frozenset[int]) -> Mapping[int, int | None] | None:
        """The device's number of each process on it → the task's process that it is, or descends from.

        ``None`` where the numbers say nothing.
        """
        if device.processes is None or not (device.local_pids or self._numbering.is_known or not device.processes):
            return None
        found: dict[int, int | None] = {}
        for process in device.processes:
            local = process.pid if device.local_pids else self._numbering.local(process.pid)
            found[process.pid] = None if local is None else self._numbering.nearest(local, everybody)
        return found

    def _guessed(
        self, device: Device, devices: Sequence[Device], tasks: Sequence[Task], pids: Sequence[frozenset[int]]
    ) -> list[Share | None]:
        """Shares by who can be on the device: who holds its node open or, where that cannot be seen, may use it."""
        holders = [self._holders(device, devices, task, own) for task, own in zip(tasks, pids, strict=True)]
        if any(one is None for one in holders):
            # Whoever is on it may not be alone there; who is known not to be on it is not concerned.
            return [_UNTOLD if one is None or one else None for one in holders]
        everybody = frozenset().union(*(one or () for one in holders))
        return [
            None if not held else share_of_device(device) if everybody <= own else UNKNOWN_SHARE
            for held, own in zip(holders, pids, strict=True)
        ]

    def _holders(
        self, device: Device, devices: Sequence[Device], task: Task, own: frozenset[int]
    ) -> frozenset[int] | None:
        """Those of the task's processes that can be on the device; ``None`` where that cannot be said."""
        if device not in visible(self._environment(task.pid), devices):
            return frozenset()
        opened = {pid: self._nodes.of(pid) for pid in own} if device.node is not None else {}
        if opened and all(nodes is not None for nodes in opened.values()):
            return frozenset(pid for pid, nodes in opened.items() if nodes is not None and device.node in nodes)
        # A container has its devices for itself, as a rule; a host has not.
        return None if self._numbering.is_hosts else own

    def _environment(self, pid: int) -> dict[str, str]:
        """What the process was executed with."""
        found = procfs.environment(self._proc, pid)
        return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in found.items()}


def _own(told: Mapping[int, int | None], own: frozenset[int]) -> frozenset[int]:
    return frozenset(pid for pid, local in told.items() if local in own)
