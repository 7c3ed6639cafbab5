"""How the sink's process gets its memory and looks for garbage: for much at a time that is gone a moment later.

What comes in: nothing. What goes out: settings of this process. Never fails: where the allocator takes no settings,
it stays as it is.

A commit takes some hundred megabytes of columns for a moment. Arrow's own pool gives them back to the kernel and gets
fresh pages for the next, each of which the kernel clears first: up to a fifth of the sink's CPU time
(`docs/decisions/0024`). glibc does likewise with what is large, unless it is told otherwise. Python looks for cycles
whenever some hundred objects have been made; a roll-up makes a million, in no cycle, and each look goes through them.
"""

from __future__ import annotations

import ctypes
import gc

import pyarrow as pa

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of `mallopt` (glibc's malloc.h)."""
_LARGE_BYTES = 4 << 20
"""What is larger is mapped on its own and given back at once."""
_KEPT_BYTES = 64 << 20
"""Freed memory that is kept at most."""
_OBJECTS = 200_000
"""New objects after which cycles are looked for."""


def prepare_memory() -> None:
    """Have this process keep up to 64 MiB that it has freed, for Arrow as for everything else, and look less often."""
    gc.set_threshold(_OBJECTS)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library: Arrow's own pool is the better one there
        return
    mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())
