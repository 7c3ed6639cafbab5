"""Watches one registered process: opens what is needed to see it, and makes its attempt.

What comes in: a registration, the sender's pid, a pidfd. What goes out: a `Watched`. Reads /proc; never raises for a
process that is gone or hidden.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent import ending
from stepsize.instrumentation.agent.attempt import Attempt
from stepsize.instrumentation.agent.probes.container import ContainerProbe, groups
from stepsize.instrumentation.agent.probes.network import NetworkProbe
from stepsize.instrumentation.agent.probes.tree import ProcessTree

if TYPE_CHECKING:
    from stepsize.instrumentation.agent.ending import Ending
    from stepsize.instrumentation.agent.host import Host
    from stepsize.instrumentation.agent.probes.observation import Probe, TreeProbe
    from stepsize.instrumentation.wire import Register


@dataclass(slots=True)
class Watched:
    """An attempt and what tells of its process.

    Attributes:
        attempt: the attempt.
        pidfd: readable once the process has ended; ``None`` where the system has none.
        start: start of the process in clock ticks since boot; ``None`` where it was gone already.
        due_s: monotonic time of the next sample.
        ended: what is known once the process is gone, while its launcher's word is waited for.
        ended_unix_nano: when the process was seen to have ended.
        give_up_s: monotonic time until which the launcher's word is waited for.
    """

    attempt: Attempt
    pidfd: int | None
    start: int | None
    due_s: float
    ended: Ending | None = None
    ended_unix_nano: int = 0
    give_up_s: float = 0.0

    def has_ended(self, proc: str) -> bool:
        """Whether the process is gone, waited for or not."""
        if self.pidfd is not None:
            return ending.is_gone(self.pidfd)
        if not sys.platform.startswith("linux"):
            return not _is_running(self.attempt.pid)
        stat = procfs.stat(proc, self.attempt.pid)
        return stat is None or stat.state in b"ZX" or (self.start is not None and stat.start != self.start)

    def evidence(self, proc: str) -> Ending:
        """How the process ended, as far as anything tells."""
        status = ending.wait_status(self.pidfd, self.attempt.pid, self.start, proc)
        return ending.from_status(status, self.attempt.oom_kills())

    def close(self) -> None:
        """Let go of the process."""
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


def watch(register: Register, pid: int, pidfd: int | None, host: Host) -> Watched:
    """Begin to watch the process of a registration."""
    proc = host.proc
    stat = procfs.stat(proc, pid)
    # The pidfd is looked at after the number: while its process has not ended, the number cannot be another's.
    alive = stat is not None and not (pidfd is not None and ending.is_gone(pidfd))
    tree: TreeProbe | None = None
    container: ContainerProbe | None = None
    others: tuple[Probe, ...] = ()
    if not sys.platform.startswith("linux"):
        tree = _portable(pid)
    elif alive:
        tree = ProcessTree(pid, _ticks_since_boot(register.baseline.time_unix_nano), host)
        container = _container(proc, pid)
        others = (NetworkProbe(pid, proc),)
    return Watched(
        attempt=Attempt(register, pid, tree, container, others),
        pidfd=pidfd,
        start=stat.start if alive and stat is not None else None,
        due_s=time.monotonic(),
    )


def _container(proc: str, pid: int) -> ContainerProbe | None:
    try:
        cgroup = Path(proc, str(pid), "cgroup").read_text(encoding="utf-8")
        mounts = Path(proc, "self", "mountinfo").read_text(encoding="utf-8")
    except OSError:
        return None
    return ContainerProbe(groups(cgroup, mounts))


def _ticks_since_boot(unix_nano: int) -> int:
    """A moment of the wall clock on the clock that process starts are told in."""
    ago_s = (time.time_ns() - unix_nano) / 1e9
    return int((time.clock_gettime(time.CLOCK_BOOTTIME) - ago_s) * procfs.TICKS_PER_S)


def _portable(pid: int) -> TreeProbe | None:
    from stepsize.instrumentation.agent.probes.portable import PortableTree  # noqa: PLC0415 - psutil costs 30 ms

    return PortableTree(pid)


def _is_running(pid: int) -> bool:
    from stepsize.instrumentation.agent.probes.portable import is_running  # noqa: PLC0415 - as above

    return is_running(pid)
