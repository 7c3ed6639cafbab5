"""What a process has used so far, read once: the baseline of an attempt and its last word.

What comes in: nothing, or a pid. What goes out: a :class:`Reading`; what cannot be read is absent. Never raises, never
waits. Standard library only: it runs inside the user's process.
"""

from __future__ import annotations

import os
import sys
import time

from stepsize.instrumentation import procself
from stepsize.instrumentation.messages import Reading
from stepsize.instrumentation.rusage import standard_resource

_PROC = "/proc"


def own_reading(*, last: bool = False, with_children: bool = True) -> Reading:
    """What this process and its waited-for children have used, to the microsecond; the latter only if so wished.

    Its time is from just before the CPU time was read, or from just after it for the ``last`` one: so the CPU seconds
    between the two are never more than the threads had time for, however short that was.
    """
    resource = standard_resource()
    if resource is None:
        before, times, after = time.time_ns(), os.times(), time.time_ns()
        user_s, system_s = times.user, times.system
        if with_children:
            user_s, system_s = user_s + times.children_user, system_s + times.children_system
        return Reading(after if last else before, user_s, system_s)
    before = time.time_ns()
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    after = time.time_ns()
    peak = procself.memory_peak_bytes(_PROC, "self")
    read_bytes, write_bytes = procself.disk_bytes(_PROC, "self") or (None, None)
    return Reading(
        time_unix_nano=after if last else before,
        cpu_user_s=own.ru_utime + (children.ru_utime if with_children else 0.0),
        cpu_system_s=own.ru_stime + (children.ru_stime if with_children else 0.0),
        memory_peak_bytes=maxrss_bytes(own.ru_maxrss) if peak is None else peak,
        children_peak_bytes=maxrss_bytes(children.ru_maxrss) if with_children else None,
        disk_read_bytes=read_bytes,
        disk_write_bytes=write_bytes,
    )


def reading_of(pid: int, *, with_children: bool = True) -> Reading | None:
    """What another process has used, to the clock tick, its waited-for children included if so wished.

    ``None`` where it is gone, hidden, or the system has no /proc.
    """
    from stepsize.instrumentation import procfs  # noqa: PLC0415 - a task reads itself

    now, stat = time.time_ns(), procfs.stat(_PROC, pid)
    if stat is None:
        return None
    user, system = stat.user, stat.system
    if with_children:
        user, system = user + stat.children_user, system + stat.children_system
    read_bytes, write_bytes = procfs.disk_bytes(_PROC, pid) or (None, None)
    return Reading(
        time_unix_nano=now,
        cpu_user_s=user / procfs.TICKS_PER_S,
        cpu_system_s=system / procfs.TICKS_PER_S,
        memory_peak_bytes=procfs.memory_peak_bytes(_PROC, pid),
        disk_read_bytes=read_bytes,
        disk_write_bytes=write_bytes,
    )


def has_ended(pid: int) -> bool:
    """Whether another process is gone, waited for or not; so is one that cannot be seen."""
    from stepsize.instrumentation import procfs  # noqa: PLC0415 - as above

    stat = procfs.stat(_PROC, pid)
    return stat is None or stat.state in b"ZX"


def maxrss_bytes(ru_maxrss: int) -> int:
    """``ru_maxrss`` in bytes, which is what macOS counts in; all others count kibibytes (getrusage(2))."""
    return ru_maxrss if sys.platform == "darwin" else ru_maxrss * 1024
