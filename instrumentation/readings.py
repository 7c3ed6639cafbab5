"""What a process has used so far, read once: the client's baseline and final readings.

What comes in: a pid. What goes out: a :class:`Reading`; what cannot be read is absent. Never raises, never waits.
Standard library only: it runs inside the user's process.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from stepsize.instrumentation.wire import Reading


def own_reading() -> Reading:
    """What this process and its waited-for children have used, to the microsecond."""
    try:
        import resource  # noqa: PLC0415 - absent on Windows
    except ImportError:
        times = os.times()
        return Reading(time.time_ns(), times.user + times.children_user, times.system + times.children_system)
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    read_bytes, write_bytes = _disk("self")
    unit = 1024 if os.path.isdir("/proc/self") else 1  # noqa: PTH112 - a tenth of pathlib's cost; macOS counts bytes
    peak = _memory_peak("self")
    return Reading(
        time_unix_nano=time.time_ns(),
        cpu_user_s=own.ru_utime + children.ru_utime,
        cpu_system_s=own.ru_stime + children.ru_stime,
        memory_peak_bytes=own.ru_maxrss * unit if peak is None else peak,
        children_peak_bytes=children.ru_maxrss * unit,
        disk_read_bytes=read_bytes,
        disk_write_bytes=write_bytes,
    )


def reading_of(pid: int) -> Reading:
    """What another process has used, to the clock tick; zeros where it cannot be seen."""
    user = system = 0.0
    try:
        # The name in parentheses may hold anything, parentheses and spaces too: the fields start after the last one.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        tick = os.sysconf("SC_CLK_TCK")
        user, system = (int(fields[11]) + int(fields[13])) / tick, (int(fields[12]) + int(fields[14])) / tick
    except (OSError, ValueError, IndexError):
        pass
    read_bytes, write_bytes = _disk(str(pid))
    return Reading(time.time_ns(), user, system, None, None, read_bytes, write_bytes)


def _memory_peak(process: str) -> int | None:
    text = _proc(process, "status")
    start = text.find(b"VmHWM:")
    return int(text[start + 6 : text.index(b"kB", start)]) * 1024 if start >= 0 else None


def _disk(process: str) -> tuple[int | None, int | None]:
    values = dict(line.split(b": ", 1) for line in _proc(process, "io").splitlines() if b": " in line)
    if b"read_bytes" not in values or b"write_bytes" not in values:
        return None, None
    return int(values[b"read_bytes"]), int(values[b"write_bytes"])


def _proc(process: str, name: str) -> bytes:
    try:
        return Path("/proc", process, name).read_bytes()
    except OSError:
        return b""
