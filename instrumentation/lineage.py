"""Whether a process already belongs to an attempt, and to which: a mark in the environment, which children inherit.

What comes in: an environment, an identity. What goes out: a yes or no, a mark, names. Whatever a tracked process starts
is in its process tree, so that nothing below it has to be registered again. The mark names a process and when that
started: one that has ended, or whose number is another's by now (in another container, say), marks nothing. Reads one
small file of /proc; never raises. Standard library only: it is imported inside the user's process.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from stepsize.instrumentation import procfs
from stepsize.setting_values import parse_bool

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from stepsize.identity import Identity

MARK = "STEPSIZE_TRACKED"
"""The variable that holds the mark: ``PID:START:FLOW/RUN/STEP/TASK/ATTEMPT``, names percent-encoded."""
_PROC = "/proc"


class Above(NamedTuple):
    """The attempt that a process belongs to, as its mark names it."""

    flow: str
    run: str
    step: str
    task: str
    attempt: int


def mark_of(pid: int, identity: Identity | None = None, proc: str = _PROC) -> str:
    """The mark of a process, for the environment of what it starts; without an identity it is not to be tracked."""
    from urllib.parse import quote  # noqa: PLC0415 - imports much, and most programs are below no attempt

    stat = procfs.stat(proc, pid)
    names = () if identity is None else (identity.flow, identity.run, identity.step, identity.task)
    attempt = () if identity is None else (str(identity.attempt),)
    return f"{pid}:{stat.start if stat is not None else 0}:" + "/".join(
        (*(quote(n, safe="", errors="replace") for n in names), *attempt)
    )


def above(environ: Mapping[str, str]) -> Above | None:
    """The attempt that a process with this environment belongs to, where its mark names one and it lives."""
    if MARK not in environ:
        return None
    from urllib.parse import unquote  # noqa: PLC0415 - as above

    names = [unquote(name) for name in environ[MARK].rpartition(":")[2].split("/")]
    if len(names) != len(Above._fields) or not names[-1].isdecimal() or not is_tracked(environ):
        return None
    flow, run, step, task, attempt = names
    return Above(flow, run, step, task, int(attempt))


def is_tracked(environ: Mapping[str, str], proc: str = _PROC) -> bool:
    """Whether a process with this environment is in the tree of an attempt that lives.

    In a pod or job of Metaflow's it is where ``STEPSIZE=1`` has every step tracked.
    """
    if environ.get("MF_PATHSPEC") and is_on(environ.get("STEPSIZE", "")):
        return True
    pid, start, _ = (environ.get(MARK, "") + "::").split(":", 2)
    if not (pid.isdecimal() and start.isdecimal()):
        return False
    if not sys.platform.startswith("linux"):
        return _may_live(int(pid))
    stat = procfs.stat(proc, int(pid))
    return stat is not None and stat.state not in b"ZX" and stat.start == int(start)


def enter(environ: MutableMapping[str, str], identity: Identity) -> None:
    """Mark this process, unless it is marked or below one that is."""
    if not is_tracked(environ):
        environ[MARK] = mark_of(os.getpid(), identity)


def leave(environ: MutableMapping[str, str], identity: Identity) -> None:
    """Take this process's mark away again."""
    if environ.get(MARK) == mark_of(os.getpid(), identity):
        del environ[MARK]


def is_on(text: str) -> bool:
    """Whether a switch such as ``STEPSIZE`` is on; a mistyped one is not."""
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
