"""Names of the files and directories of a lake, and the checks that a directory can be one.

What comes in: the data directory. What goes out: paths, or a :class:`LakeError` with one clear line. Never reads or
writes a row, and imports the standard library alone: the collector's ingest process uses it without paying for Arrow.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING

from stepsize.discovery import DISCOVERY_FILE, sync_directory, write_whole
from stepsize.errors import LakeError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_VERSION = 2
"""Version of the lake's layout and stored columns: a newer stepsize migrates an older lake, an older one refuses it."""

DATABASE = "stepsize.duckdb"
SCHEMA_FILE = "schema.json"
MANIFESTS = "manifests"
ERASURES = ".erase"
LOCK_FILE = ".views.lock"
"""Held while the views are rebuilt, so that of two collectors the later state wins."""

EMPTY_PARTITION = "day=1970-01-01"
_MODE = 0o700
_TEMPORARIES = (f".{DISCOVERY_FILE}.*", f".{SCHEMA_FILE}.*", f"{ERASURES}/.*")
_LONGEST_WRITE_S = 3600.0


def check_directory(data: Path) -> None:
    """Make the data directory, readable by its user alone, and leave or check its schema version.

    Raises:
        LakeError: it cannot be made or written, is no directory, or was written by a newer stepsize.
    """
    try:
        make_directory(data / MANIFESTS)
    except (FileExistsError, NotADirectoryError):
        raise LakeError(f"{data} is not a directory; give another one with --data or STEPSIZE_DATA") from None
    except OSError as error:
        raise LakeError(
            f"cannot use {data} as the data directory: {error.strerror}; give another one with --data or STEPSIZE_DATA"
        ) from None
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        raise LakeError(f"no permission to write to {data}; give another one with --data or STEPSIZE_DATA")
    if check_version(data) is None:
        try:
            write_version(data)
        except OSError as error:
            raise LakeError(f"cannot write to {data}: {error.strerror}; give another data directory") from None


def check_version(data: Path) -> int | None:
    """The schema version of the lake, or None where it carries none yet.

    Raises:
        LakeError: a newer stepsize wrote it, or the file that says so cannot be read.
    """
    path = data / SCHEMA_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        raise LakeError(f"{path} cannot be read; restore it or give another data directory") from None
    return parse_version(content, str(data))


def parse_version(content: bytes, data: str) -> int:
    """The schema version of the lake in ``data``, by the content of its file; errors as for :func:`check_version`."""
    path = f"{data}/{SCHEMA_FILE}"
    try:
        found: object = json.loads(content)["schema_version"]
    except (ValueError, KeyError, TypeError):
        raise LakeError(f"{path} cannot be read; restore it or give another data directory") from None
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise LakeError(f"{path} names no version; restore it or give another data directory")
    if found > SCHEMA_VERSION:
        raise LakeError(
            f"{data} was written by a newer stepsize (schema {found}, this one knows {SCHEMA_VERSION}); update stepsize"
        )
    return found


def write_version(data: Path) -> None:
    """Say that the lake in ``data`` is of today; durable when it returns."""
    write_whole(data / SCHEMA_FILE, json.dumps({"schema_version": SCHEMA_VERSION}).encode() + b"\n")


def remove_temporaries(data: Path) -> None:
    """Delete what `write_whole` has left in ``data`` where it was killed: written by nobody any more.

    Some of it says what others of its name no longer do: a token, or who is to be erased.
    """
    for pattern in _TEMPORARIES:
        for path in data.glob(pattern):
            with contextlib.suppress(FileNotFoundError):  # it has been renamed meanwhile
                if time.time() - path.stat().st_mtime >= _LONGEST_WRITE_S:
                    path.unlink()


def make_directory(directory: Path) -> None:
    """Make a directory, and those above it, for its user alone; durable when it returns, as what will lie in it is."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(mode=_MODE, exist_ok=True)
    sync_directory(directory.parent)
