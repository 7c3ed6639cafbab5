"""Where files are made that are not part of the lake yet: a directory of each writer, inside the data directory.

What comes in: the data directory. What goes out: paths on the lake's own file system, so that a rename brings what is
finished into its place. Nothing in it is ever named by a manifest: whatever is left there by a crash can go.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from stepsize.store.layout import MANIFESTS, make_directory
from stepsize.store.locks import Lock

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTORY = ".upkeep"


def staging_directory(data: Path, writer: str) -> Path:
    """The directory of ``writer``; not made."""
    return data / _DIRECTORY / writer


def staged_files(data: Path) -> list[Path]:
    """What is in the directories of all writers."""
    return sorted((data / _DIRECTORY).glob("*/*.parquet*"))


def clear_staging(data: Path, writer: str) -> None:
    """Delete the directory and what is in it."""
    shutil.rmtree(staging_directory(data, writer), ignore_errors=True)


def tending_lock(data: Path, writer: str) -> Lock:
    """Held by the one process that compacts for a writer that is gone, without holding the writer's own lock."""
    return Lock(data.absolute() / MANIFESTS / f".{writer}.tended")


def tending_directory(writer: str) -> str:
    """Name of the directory in which that process works."""
    return f"{writer}.tended"


def cleared_staging(data: Path, writer: str) -> Path:
    """The directory, made, with nothing in it; whoever calls holds the writer's lock."""
    clear_staging(data, writer)
    directory = staging_directory(data, writer)
    make_directory(directory)
    return directory
