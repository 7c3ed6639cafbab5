"""Whose a process on a device is, where libraries name it by the host's number and we may be in a container.

What comes in: process numbers, the roots of /proc. What goes out: the same process's number here, which device nodes a
process holds open. Reads single files of /proc; never raises for a process that is gone or hidden.

Sources: pid_namespaces(7), proc(5) (``NSpid``), ``include/uapi/linux/nsfs.h`` (number of the initial namespace).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs

if TYPE_CHECKING:
    from collections.abc import Collection

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
_LOOK_S, _LOOK_MOST_S = 0.5, 10.0
"""What a process has open is looked at again after the first, then after twice as long, up to the second."""


class Numbering:
    """Translates the host's numbers of processes into ours.

    Args:
        proc: the root of our /proc.
        host_proc: the root of the host's, where it is mounted; `HOST_PROC` as other tools have it.
    """

    def __init__(self, proc: str = "/proc", host_proc: str | None = None) -> None:
        self._proc = proc
        self._host_proc = host_proc
        self._own = procfs.namespace(proc, "self", "pid")
        self.is_hosts = self._own in (None, _INITIAL_PID_NAMESPACE)
        """Whether our numbers are the host's."""
        hosts = None if host_proc is None else procfs.namespace(host_proc, "self", "pid")
        self.is_known = self.is_hosts or hosts is not None
        """Whether the host's numbers tell us anything."""

    def local(self, pid: int) -> int | None:
        """Our number of the process that the host calls ``pid``; ``None`` where we have none for it."""
        if self.is_hosts:
            return pid
        if self._host_proc is None or procfs.namespace(self._host_proc, str(pid), "pid") != self._own:
            return None
        numbers = procfs.namespace_pids(self._host_proc, pid)
        return numbers[-1] if numbers else None

    def nearest(self, pid: int, among: Collection[int]) -> int | None:
        """The process itself, or its nearest ancestor, that is ``among`` those given."""
        return next((one for one in procfs.lineage(self._proc, pid) if one in among), None)


@dataclass(frozen=True, slots=True)
class _Look:
    start: int
    nodes: frozenset[str] | None
    due_s: float
    wait_s: float


class OpenNodes:
    """Which device nodes processes hold open, looked at the less often the longer they live."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._looks: dict[int, _Look] = {}

    def keep(self, pids: Collection[int]) -> None:
        """Forget everybody else."""
        self._looks = {pid: look for pid, look in self._looks.items() if pid in pids}

    def of(self, pid: int) -> frozenset[str] | None:
        """Paths below /dev that the process has open; ``None`` where it does not let us see."""
        stat = procfs.stat(self._proc, pid)
        if stat is None:
            return frozenset()
        now_s, look = time.monotonic(), self._looks.get(pid)
        if look is not None and look.start == stat.start and now_s < look.due_s:
            return look.nodes
        wait_s = _LOOK_S if look is None or look.start != stat.start else min(2 * look.wait_s, _LOOK_MOST_S)
        nodes = _open_nodes(f"{self._proc}/{pid}/fd")
        self._looks[pid] = _Look(stat.start, nodes, now_s + wait_s, wait_s)
        return nodes


def _open_nodes(directory: str) -> frozenset[str] | None:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - pathlib costs ten times as much
    except OSError:
        return None
    found = set()
    for name in names:
        try:
            target = os.readlink(f"{directory}/{name}")  # noqa: PTH115 - as above
        except OSError:
            continue  # closed meanwhile
        if target.startswith("/dev/"):
            found.add(target)
    return frozenset(found)
