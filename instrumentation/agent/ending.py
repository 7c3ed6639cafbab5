"""How an attempt ended, by evidence.

What comes in: a pid, a pidfd, what the container counted. What goes out: an `Ending`. Reads one file of /proc or asks
the pidfd; changes nothing. No evidence is `Outcome.UNKNOWN`, never a guess.

The evidence, in this order: the client's last word (not here); the wait status in a zombie's ``stat``, until its parent
has waited for it; the pidfd, which keeps it afterwards (``PIDFD_GET_INFO`` with ``PIDFD_INFO_EXIT``, Linux 6.15,
``include/uapi/linux/pidfd.h``).
"""

from __future__ import annotations

import os
import select
import signal
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs
from stepsize.model import Outcome

if TYPE_CHECKING:
    from stepsize.instrumentation.wire import End

_PIDFD_INFO = struct.Struct("=QQ11Ii")  # mask, cgroup id, pid … fsgid, exit code
_PIDFD_GET_INFO = (3 << 30) | (_PIDFD_INFO.size << 16) | (0xFF << 8) | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11, …)
_PIDFD_INFO_EXIT = 1 << 3


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended; exit code or signal where known."""

    outcome: Outcome
    exit_code: int | None = None
    exit_signal: int | None = None


def is_gone(pidfd: int) -> bool:
    """Whether the process has ended, waited for or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def zombie(pid: int, start: int | None, proc: str = "/proc") -> procfs.Stat | None:
    """The last state of a process that has ended, or ``None`` once somebody has waited for it."""
    stat = procfs.stat(proc, pid)
    return stat if stat is not None and stat.state in b"ZX" and start in (None, stat.start) else None


def wait_status(last: procfs.Stat | None, pidfd: int | None) -> int | None:
    """The wait status of a process that has ended, or ``None`` where nothing tells."""
    if last is not None:
        return last.exit_code
    return None if pidfd is None else _pidfd_status(pidfd)


def _pidfd_status(pidfd: int) -> int | None:
    try:
        import fcntl  # noqa: PLC0415 - absent on Windows, which has no pidfd either

        asked = _PIDFD_INFO.pack(_PIDFD_INFO_EXIT, *([0] * 13))
        answer = _PIDFD_INFO.unpack(fcntl.ioctl(pidfd, _PIDFD_GET_INFO, asked))
    except OSError:
        return None  # an older kernel
    status: int = answer[-1]
    return status if answer[0] & _PIDFD_INFO_EXIT else None


def from_status(status: int | None, oom_kills: int) -> Ending:
    """The ending that a wait status means, given how often the attempt's container was short of memory."""
    if status is None:
        return Ending(Outcome.UNKNOWN)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return Ending(_killed(-code, oom_kills), exit_signal=-code)
    return Ending(Outcome.FAILED if code else Outcome.OK, exit_code=code)


def from_client(end: End, oom_kills: int) -> Ending:
    """The ending that the client told; a kill for memory is seen by the container alone."""
    outcome = end.outcome
    if outcome is Outcome.KILLED and end.exit_signal is not None:
        outcome = _killed(end.exit_signal, oom_kills)
    return Ending(outcome, end.exit_code, end.exit_signal)


def _killed(number: int, oom_kills: int) -> Outcome:
    return Outcome.OOM if number == signal.SIGKILL and oom_kills else Outcome.KILLED
