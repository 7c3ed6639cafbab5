"""The collector's state directory: its write-ahead log, its name and its lock.

What comes in: settings. What goes out: the directory, the writer's UUID, the lock that says who owns them. Standard
library only.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from stepsize.discovery import write_whole
from stepsize.errors import LakeError
from stepsize.store.layout import make_directory

if TYPE_CHECKING:
    from pathlib import Path

LOCK_FILE = "collector.lock"
"""Held by the collector that owns the directory."""
SINK_LOCK_FILE = "sink.lock"
"""Held by its sink, which may outlive it for as long as it drains."""
EXPORTERS_LOCK_FILE = "exporters.lock"
"""Held by its exporters' process, likewise."""
LOGS = "logs"
"""Directory of the logs besides the main one (see `stepsize.collector.pipelines.plan`)."""
_WRITER_FILE = "writer"


def make_state_directory(state: Path) -> None:
    """Make the directory, for its user alone.

    Raises:
        LakeError: it cannot be made.
    """
    try:
        make_directory(state)
    except OSError as error:
        raise LakeError(
            f"cannot use {state} for the write-ahead log: {error.strerror}; set STEPSIZE_STATE to a directory of yours"
        ) from None


def writer_id(state: Path) -> str:
    """The UUID under which the owner of this directory writes to its lake; made at the first call.

    Raises:
        LakeError: the file that holds it cannot be read or written.
    """
    path = state / _WRITER_FILE
    try:
        if not path.exists():
            write_whole(path, f"{uuid.uuid4()}\n".encode(), mode=0o600)
        return str(uuid.UUID(path.read_text("ascii").strip()))
    except OSError as error:
        raise LakeError(f"cannot write to {state}: {error.strerror}; set STEPSIZE_STATE") from None
    except ValueError:
        raise LakeError(f"{path} is damaged; put the name of this collector's manifest (a UUID) in it") from None
