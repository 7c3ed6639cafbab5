"""Reads of /proc what a process says of itself, as cheaply as Python can: the part of `procfs` that every task imports.

What comes in: a pid (or ``"self"``) and the root of /proc. What goes out: parsed values, or ``None`` where the process
is gone or hidden. Never raises, walks, or keeps anything. Standard library only: it is imported inside the user's
process. Source of the fields: proc(5).
"""

from __future__ import annotations

import os

READ_BYTES = 1 << 16
READ_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)  # Windows has no such flag, and no such files


def read(path: str) -> bytes:
    """A small file's content, empty where it cannot be read."""
    try:
        descriptor = os.open(path, READ_FLAGS)
    except OSError:
        return b""
    try:
        return os.read(descriptor, READ_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def memory_peak_bytes(proc: str, pid: int | str) -> int | None:
    """VmHWM: the most that was resident at once since the process was made or executed."""
    return status_bytes(read(f"{proc}/{pid}/status"), b"VmHWM:")


def status_bytes(content: bytes, name: bytes) -> int | None:
    """A size that ``/proc/<pid>/status`` tells in kB, by its name with the colon."""
    start = content.find(name)
    if start < 0:
        return None  # a zombie or a kernel thread
    return int(content[start + len(name) : content.index(b"kB", start)]) * 1024


def disk_bytes(proc: str, pid: int | str) -> tuple[int, int] | None:
    """Bytes read from and written to storage by the process and the children that it waited for."""
    return parse_disk_bytes(read(f"{proc}/{pid}/io"))


def parse_disk_bytes(content: bytes) -> tuple[int, int] | None:
    """What ``/proc/<pid>/io`` says, or ``None`` where it is empty."""
    read_at, write_at = content.find(b"\nread_bytes: "), content.find(b"\nwrite_bytes: ")
    if read_at < 0 or write_at < 0:
        return None
    return int(content[read_at + 13 : write_at]), int(content[write_at + 14 : content.find(b"\n", write_at + 14)])
