"""A lock that says that its process lives: it goes with the process, however that ends.

What comes in: the path of a file, made where it is missing. What goes out: a descriptor that holds the lock until it is
closed. Never waits. Only who holds the lock may remove the file: whoever opened it meanwhile has none.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def try_lock(path: Path) -> int | None:
    """The lock's descriptor, or ``None`` where another process holds it or has just removed the file, and on systems
    without such locks.

    Raises:
        OSError: the file can neither be opened nor made.
    """
    try:
        import fcntl  # noqa: PLC0415 - absent on Windows
    except ImportError:
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    os.close(descriptor)
    return None
