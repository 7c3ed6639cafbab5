"""Which process orphans go to, as seen from the agent, which is one itself.

What comes in: the root of /proc. What goes out: a pid. Reads what its parent was called with once, its state each time
that it is asked: as long as the witness is still its child, it need not be.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.instrumentation.spawn import AGENT_MODULE

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.instrumentation.procfs import Stat


def reaper(proc: str) -> int:
    """The process to which orphans go: the parent of the shell that waits for the agent, or the agent's own."""
    return Reaper(proc, partial(procfs.stat, proc)).pid()


class Reaper:
    """The same, asked again and again.

    Args:
        proc: the root of /proc.
        stat: a process's state.
    """

    def __init__(self, proc: str, stat: Callable[[int], Stat | None]) -> None:
        self._proc, self._stat = proc, stat
        self._parent = 0
        self._waits = False
        self.witness = 0
        """The process that was its child when it was last looked up, and is as long as it is the same."""

    def pid(self) -> int:
        """The process to which orphans go now."""
        parent = os.getppid()
        if parent != self._parent:
            # What waits for the agent was executed before there was one, and executes nothing else.
            self._waits = AGENT_MODULE.encode() in procfs.read(f"{self._proc}/{parent}/cmdline")
            self._parent = parent
        waiting = self._stat(parent) if self._waits else None
        self.witness = os.getpid() if waiting is None else parent
        return parent if waiting is None else waiting.parent
