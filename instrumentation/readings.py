"""What this process has used so far, read once: the baseline of an attempt and its last word.

What comes in: nothing. What goes out: a :class:`Reading`; what cannot be read is absent. Never raises, never waits.
Standard library only: it runs inside the user's process.
"""

from __future__ import annotations

import os
import sys
import time

from stepsize.instrumentation import procfs
from stepsize.instrumentation.wire import Reading

_PROC = "/proc"


def own_reading(*, last: bool = False) -> Reading:
    """What this process and its waited-for children have used, to the microsecond.

    Its time is from just before the CPU time was read, or from just after it for the ``last`` one: so the CPU seconds
    between the two are never more than the threads had time for, however short that was.
    """
    try:
        import resource  # noqa: PLC0415 - absent on Windows
    except ImportError:
        before, times, after = time.time_ns(), os.times(), time.time_ns()
        user_s, system_s = times.user + times.children_user, times.system + times.children_system
        return Reading(after if last else before, user_s, system_s)
    before = time.time_ns()
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    after = time.time_ns()
    peak = procfs.memory_peak_bytes(_PROC, "self")
    read_bytes, write_bytes = procfs.disk_bytes(_PROC, "self") or (None, None)
    return Reading(
        time_unix_nano=after if last else before,
        cpu_user_s=own.ru_utime + children.ru_utime,
        cpu_system_s=own.ru_stime + children.ru_stime,
        memory_peak_bytes=maxrss_bytes(own.ru_maxrss) if peak is None else peak,
        children_peak_bytes=maxrss_bytes(children.ru_maxrss),
        disk_read_bytes=read_bytes,
        disk_write_bytes=write_bytes,
    )


def maxrss_bytes(ru_maxrss: int) -> int:
    """``ru_maxrss`` in bytes, which is what macOS counts in; all others count kibibytes (getrusage(2))."""
    return ru_maxrss if sys.platform == "darwin" else ru_maxrss * 1024
