"""Whether directories that hold data, or decide what readers see, are open to people they should not be open to.

What comes in: directories. What goes out: a line for each that others may write to. Never changes a mode: a directory
that was there before us is its owner's.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def exposed(directories: Iterable[Path]) -> list[str]:
    """What is wrong with directories that exist.

    Who may write to a lake's directory may put views in it that run with the rights of whoever opens them; who may
    write to that of the write-ahead log may put points into the lake.
    """
    found = []
    for directory in directories:
        try:
            status = directory.stat()
        except OSError:
            continue
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            mode = stat.S_IMODE(status.st_mode)
            found.append(
                f"{directory} can be written to by others (mode {mode:04o}): chmod go-w it, see docs/security.md"
            )
        elif hasattr(os, "geteuid") and status.st_uid not in (os.geteuid(), 0):
            found.append(f"{directory} belongs to another user, who may change what is in it: see docs/security.md")
    return found
