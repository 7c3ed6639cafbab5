"""Reads single files of /proc, as cheaply as Python can: for launchers and for the agent's probes.

What comes in: a pid (or ``"self"``) and the root of /proc. What goes out: parsed values, or ``None`` where the process
is gone or hidden. Never raises, walks, or keeps anything. Standard library only: it is imported inside the user's
process too. Source of the fields: proc(5), ``fs/proc/array.c``. What every task reads is in `procself`, and found here
too.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from stepsize.instrumentation.procself import READ_BYTES, READ_FLAGS
from stepsize.instrumentation.procself import disk_bytes as disk_bytes
from stepsize.instrumentation.procself import memory_peak_bytes as memory_peak_bytes
from stepsize.instrumentation.procself import parse_disk_bytes as parse_disk_bytes
from stepsize.instrumentation.procself import read as read
from stepsize.instrumentation.procself import status_bytes as status_bytes

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_GENERATIONS = 64
"""Ancestors further up are not looked for."""


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

    @property
    def is_alive(self) -> bool:
        """Whether it still holds anything: one that ends has let go of its memory before it is a zombie."""
        return self.state not in b"ZX" and self.rss_bytes > 0


def read_whole(path: str) -> bytes:
    """A file's content however long, empty where it cannot be read."""
    parts = []
    try:
        descriptor = os.open(path, READ_FLAGS)
    except OSError:
        return b""
    try:
        while part := os.read(descriptor, READ_BYTES):
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
    f = stat_fields(content)
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


def stat_fields(content: bytes) -> list[bytes]:
    """The fields of ``/proc/<pid>/stat`` from the state on, which proc(5) has as the third."""
    # The name may hold anything, parentheses and spaces too: the fields start after the last closing one.
    return content[content.rfind(b")") + 2 :].split()


def lineage(proc: str, pid: int) -> Iterator[int]:
    """A process, its parent, its parent's, and so on, as far as they can be seen; none of them is read in advance."""
    for _ in range(_GENERATIONS):
        if pid < 1:
            return
        yield pid
        found = stat(proc, pid)
        if found is None:
            return
        pid = found.parent


def children(proc: str, pid: int, threads: int) -> list[int]:
    """Children of every thread of a process: each thread has a list of those that it made."""
    if threads == 1:
        return [int(child) for child in read(f"{proc}/{pid}/task/{pid}/children").split()]
    try:
        tasks = os.listdir(f"{proc}/{pid}/task")  # noqa: PTH208 - for each process at each sample
    except OSError:
        return []
    return [int(child) for task in tasks for child in read(f"{proc}/{pid}/task/{task}/children").split()]


def resident_files_bytes(proc: str, pid: int | str) -> int | None:
    """Resident pages of files: programs, libraries, whatever is mapped."""
    return status_bytes(read(f"{proc}/{pid}/status"), b"RssFile:")


def namespace_pids(proc: str, pid: int) -> list[int]:
    """A process's number in each namespace of pids that it is in, its own last; empty where that is not told."""
    status = read(f"{proc}/{pid}/status")
    start = status.find(b"\nNSpid:")
    return [int(number) for number in status[start + 7 : status.find(b"\n", start + 1)].split()] if start >= 0 else []


def namespace(proc: str, process: str, kind: str) -> int | None:
    """Number of a process's (a pid, or ``self``) namespace of a kind, such as ``net``; ``None`` where unreadable."""
    try:
        return os.stat(f"{proc}/{process}/ns/{kind}").st_ino  # noqa: PTH116 - pathlib would follow the same link
    except OSError:
        return None


def environment(proc: str, pid: int) -> dict[bytes, bytes]:
    """The variables that a process was executed with; empty where they are hidden."""
    pairs = read_whole(f"{proc}/{pid}/environ").split(b"\0")
    return {name: value for name, _, value in (pair.partition(b"=") for pair in pairs)}


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
