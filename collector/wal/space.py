"""How much a write-ahead log may still grow: within its own bound, and with disk left for those who empty it.

What comes in: the directory of segments and its limits. What goes out: bytes, and why it is no more. Never writes.

A log that took the last block of a disk would never shrink again: the sink needs room for the Parquet files that let
segments go.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.collector.wal.format import SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.collector.wal.limits import WalLimits


@dataclass(frozen=True, slots=True)
class Room:
    """What was found: bytes that the log holds, bytes that it may still take (negative: too many), and who says so."""

    stored_bytes: int
    left_bytes: int
    reason: str


def look(directory: Path, limits: WalLimits) -> Room:
    """How much room there is now.

    Raises:
        OSError: the directory cannot be read.
    """
    stored_bytes = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                stored_bytes += _size_bytes(entry)
    within_bound = limits.max_total_bytes - stored_bytes
    on_disk = shutil.disk_usage(directory).free - limits.min_free_bytes
    if on_disk < within_bound:
        return Room(stored_bytes, on_disk, f"only what must stay free is left on the disk of {directory}")
    return Room(stored_bytes, within_bound, f"the write-ahead log holds {stored_bytes} bytes that are not stored yet")


def _size_bytes(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except FileNotFoundError:  # the sink was done with it
        return 0
