"""What a process asks of the kernel for itself by ``prctl(2)``, which Python has no call for.

What comes in: an option and its value. What goes out: whether the kernel does so; nowhere but on Linux. Standard
library only, `ctypes` (10 ms) where it is asked: no task comes here, the launcher and what it begins alone.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def be_subreaper(wanted: bool) -> bool:
    """Have orphans of this process's descendants come to it, or no more; whether they do."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted)) and wanted


def die_with(parent: int) -> None:
    """Be killed when the parent ends, whatever program this process is by then; ``parent`` is its process id.

    Not inherited by children, and lifted where a program is executed with rights of its own (set-user-ID).
    """
    if _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # it was gone before it could be said


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # noqa: PLC0415 - as the module says

    try:
        return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):  # no C library to be had, or one without it
        return False
