"""Collects what a command leaves without a parent: daemons' first halves, children of children that are gone.

What comes in: the pid of the command. What goes out: what its orphans used that have ended. On Linux they come to the
launcher, which asks for them (``PR_SET_CHILD_SUBREAPER``); elsewhere there are none. Never asked for
in a user's own process: its waits would meet children that it never made. Never waits for an orphan to end.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stepsize.instrumentation import procfs, readings
from stepsize.instrumentation.prctl import be_subreaper


@dataclass(slots=True)
class Used:
    """What orphans used, those that they had waited for included."""

    user_s: float = 0.0
    system_s: float = 0.0
    peak_bytes: int = 0
    read_bytes: int = 0
    write_bytes: int = 0


def adopt(wanted: bool) -> bool:
    """Have orphans of this process's descendants come to it, or no more; whether they do."""
    if not Path("/proc/thread-self/children").exists():
        return False  # whom nobody lists, nobody can wait for
    return be_subreaper(wanted)


class Orphans:
    """Those that have come to this process.

    Args:
        command: the child that is none of them, and is left to be waited for.
    """

    def __init__(self, command: int) -> None:
        self._command = command
        self.used = Used()

    def collect(self) -> None:
        """Wait for everybody who has ended but the command."""
        while (pid := self._ended()) is not None:
            read_bytes, write_bytes = procfs.disk_bytes("/proc", pid) or (0, 0)  # a zombie still tells
            _, _, usage = os.wait4(pid, 0)
            used = self.used
            used.user_s += usage.ru_utime
            used.system_s += usage.ru_stime
            used.peak_bytes = max(used.peak_bytes, readings.maxrss_bytes(usage.ru_maxrss))
            used.read_bytes += read_bytes
            used.write_bytes += write_bytes

    def _ended(self) -> int | None:
        """A child that has ended; the command hides the others once it has, until it is waited for."""
        for pid in self._children():
            if pid != self._command:
                try:
                    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                        return pid
                except ChildProcessError:
                    continue
        return None

    @staticmethod
    def _children() -> list[int]:
        return procfs.children("/proc", os.getpid(), 1)
