"""Where files are made that are not part of the lake yet: a directory of each writer, inside the data directory.

What comes in: the data directory. What goes out: paths on the lake's own file system, so that a rename brings what is
finished into its place. Nothing in it is ever named by a manifest: whatever is left there by a crash can go.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from stepsize.store.layout import make_directory

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTORY = ".upkeep"


def staging_directory(data: Path, writer: str) -> Path:
    """The directory of ``writer``; not made."""
    return data / _DIRECTORY / writer


def cleared_staging(data: Path, writer: str) -> Path:
    """The directory, made, with nothing in it; whoever calls holds the writer's lock."""
    directory = staging_directory(data, writer)
    shutil.rmtree(directory, ignore_errors=True)
    make_directory(directory)
    return directory
