"""Reads single files of /proc, as cheaply as Python can: for the client and for the agent's probes.

What comes in: a pid (or ``"self"``) and the root of /proc. What goes out: parsed values, or ``None`` where the process
is gone or hidden. Never raises, walks, or keeps anything. Standard library only: it is imported inside the user's
process. Source of the fields: proc(5), ``fs/proc/array.c``.
"""

import os
from typing import NamedTuple

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_READ_BYTES = 1 << 16
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)  # Windows has no such flag, and no such files


class Stat(NamedTuple):
    """``/proc/<pid>/stat``: what of it matters here. CPU in clock ticks, start in clock ticks since boot."""

    pid: int
    state: bytes
    parent: int
    session: int
    faults: int
    user: int
    system: int
    children_user: int
    children_system: int
    threads: int
    start: int
    rss_bytes: int
    stack: int
    """Address of the bottom of the main stack: random at each exec and kept by fork, so equal ones are copies."""
    exit_code: int
    """Wait status of a zombie."""


def read(path: str) -> bytes:
    """A small file's content, empty where it cannot be read."""
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def read_whole(path: str) -> bytes:
    """A file's content however long, empty where it cannot be read."""
    parts = []
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except OSError:
        return b""
    try:
        while part := os.read(descriptor, _READ_BYTES):
            parts.append(part)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return b"".join(parts)


def stat(proc: str, pid: int) -> Stat | None:
    """The process's state, or ``None`` when it is gone."""
    return parse_stat(read(f"{proc}/{pid}/stat"))


def parse_stat(content: bytes) -> Stat | None:
    """What ``/proc/<pid>/stat`` says, or ``None`` where it is empty."""
    # The name may hold anything, parentheses and spaces too: the fields start after the last closing one.
    f = content[content.rfind(b")") + 2 :].split()
    if len(f) < 50:
        return None
    return Stat(
        pid=int(content[: content.find(b" ")]),
        state=f[0],
        parent=int(f[1]),
        session=int(f[3]),
        faults=int(f[7]) + int(f[9]),
        user=int(f[11]),
        system=int(f[12]),
        children_user=int(f[13]),
        children_system=int(f[14]),
        threads=int(f[17]),
        start=int(f[19]),
        rss_bytes=int(f[21]) * PAGE_BYTES,
        stack=int(f[25]),
        exit_code=int(f[49]),
    )


def children(proc: str, pid: int, threads: int) -> list[int]:
    """Children of every thread of a process: each thread has a list of those that it made."""
    if threads == 1:
        return [int(child) for child in read(f"{proc}/{pid}/task/{pid}/children").split()]
    try:
        tasks = os.listdir(f"{proc}/{pid}/task")  # noqa: PTH208 - for each process at each sample
    except OSError:
        return []
    return [int(child) for task in tasks for child in read(f"{proc}/{pid}/task/{task}/children").split()]


def memory_peak_bytes(proc: str, pid: int | str) -> int | None:
    """VmHWM: the most that was resident at once since the process was made or executed."""
    content = read(f"{proc}/{pid}/status")
    start = content.find(b"VmHWM:")
    if start < 0:
        return None  # a zombie or a kernel thread
    return int(content[start + 6 : content.index(b"kB", start)]) * 1024


def resident_files_bytes(proc: str, pid: int | str) -> int | None:
    """Resident pages of files: programs, libraries, whatever is mapped."""
    content = read(f"{proc}/{pid}/status")
    start = content.find(b"RssFile:")
    if start < 0:
        return None  # a zombie or a kernel thread
    return int(content[start + 8 : content.index(b"kB", start)]) * 1024


def shared_bytes(proc: str, pid: int | str) -> int | None:
    """Resident pages of files and of shared memory."""
    fields = read(f"{proc}/{pid}/statm").split()
    return int(fields[2]) * PAGE_BYTES if len(fields) > 2 else None


def proportional_bytes(proc: str, pid: int) -> int | None:
    """PSS: resident memory with each shared page divided by its users. Costs 20 ms for a process of 4 GiB."""
    content = read(f"{proc}/{pid}/smaps_rollup")
    start = content.find(b"\nPss:")
    if start < 0:
        return None
    return int(content[start + 5 : content.index(b"kB", start)]) * 1024


def disk_bytes(proc: str, pid: int | str) -> tuple[int, int] | None:
    """Bytes read from and written to storage by the process and the children that it waited for."""
    return parse_disk_bytes(read(f"{proc}/{pid}/io"))


def parse_disk_bytes(content: bytes) -> tuple[int, int] | None:
    """What ``/proc/<pid>/io`` says, or ``None`` where it is empty."""
    read_at, write_at = content.find(b"\nread_bytes: "), content.find(b"\nwrite_bytes: ")
    if read_at < 0 or write_at < 0:
        return None
    return int(content[read_at + 13 : write_at]), int(content[write_at + 14 : content.find(b"\n", write_at + 14)])
