"""How the sink's process gets its memory: from the system's allocator, which keeps some of what is freed.

What comes in: nothing. What goes out: settings of this process. Never fails: where the allocator takes no settings,
it stays as it is.

A commit takes some hundred megabytes of columns for a moment. Arrow's own pool gives them back to the kernel and gets
fresh pages for the next, each of which the kernel clears first: a fifth of the sink's CPU time
(`docs/performance.md`). glibc does likewise with what is large, unless it is told otherwise.
"""

from __future__ import annotations

import ctypes

import pyarrow as pa

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of `mallopt` (glibc's malloc.h)."""
_LARGE_BYTES = 32 << 20
"""What is larger is mapped on its own and given back; glibc allows no more than this."""
_KEPT_BYTES = 128 << 20
"""Freed memory that is kept at most."""


def keep_freed_memory() -> None:
    """Have this process keep up to 128 MiB that it has freed, for Arrow as for everything else."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library: Arrow's own pool is the better one there
        return
    mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())
