"""Which process orphans go to, as seen from the agent, which is one itself.

What comes in: the root of /proc. What goes out: a pid. Reads two files of /proc when its parent is another one.
"""

from __future__ import annotations

import os

from stepsize.instrumentation import procfs
from stepsize.instrumentation.spawn import AGENT_MODULE


def reaper(proc: str) -> int:
    """The process to which orphans go: the parent of the shell that waits for the agent, or the agent's own."""
    parent = os.getppid()
    if AGENT_MODULE.encode() not in procfs.read(f"{proc}/{parent}/cmdline"):
        return parent
    waiting = procfs.stat(proc, parent)
    return parent if waiting is None else waiting.parent
