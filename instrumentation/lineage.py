"""Whether a process already belongs to an attempt: a mark in the environment, which children inherit.

What comes in: an environment, pids. What goes out: a yes or no, a mark. Whatever a tracked process starts is in its
process tree, so that nothing below it has to be registered again. The mark names a process and when that started: one
that has ended, or whose number is another's by now (in another container, say), marks nothing. Reads one small file of
/proc; never raises. Standard library only: it is imported inside the user's process.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.settings import parse_bool

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

MARK = "STEPSIZE_TRACKED"
"""The variable that holds the mark."""
_PROC = "/proc"


def mark_of(pid: int, proc: str = _PROC) -> str:
    """The mark of a process, for the environment of what it starts."""
    stat = procfs.stat(proc, pid)
    return f"{pid}:{stat.start if stat is not None else 0}"


def is_tracked(environ: Mapping[str, str], proc: str = _PROC) -> bool:
    """Whether a process with this environment is in the tree of an attempt that lives.

    In a pod or job of Metaflow's it is where ``STEPSIZE=1`` has every step tracked.
    """
    if environ.get("MF_PATHSPEC") and _is_on(environ.get("STEPSIZE", "")):
        return True
    pid, _, start = environ.get(MARK, "").partition(":")
    if not (pid.isdecimal() and start.isdecimal()):
        return False
    if not sys.platform.startswith("linux"):
        return _may_live(int(pid))
    stat = procfs.stat(proc, int(pid))
    return stat is not None and stat.state not in b"ZX" and stat.start == int(start)


def enter(environ: MutableMapping[str, str]) -> bool:
    """Mark this process; whether nobody above had done so."""
    if is_tracked(environ):
        return False
    environ[MARK] = mark_of(os.getpid())
    return True


def _is_on(text: str) -> bool:
    try:
        return parse_bool(text)
    except ValueError:
        return False


def _may_live(pid: int) -> bool:
    if os.name == "nt":
        return True  # asking there means to send: the mark is believed
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
