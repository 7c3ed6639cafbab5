"""The lake and its collector: whether it can be read and written, whole, and how far behind it is.

What comes in: settings. What goes out: findings. Reads; makes and mends nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
from typing import TYPE_CHECKING

import duckdb

from stepsize import discovery
from stepsize.commands.checks.finding import Finding, Level
from stepsize.errors import LakeError
from stepsize.store.lake import Lake
from stepsize.store.layout import check_version
from stepsize.store.manifest import read_manifests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepsize.settings import Settings

_PART = "lake"
_LEAST_FREE_BYTES = 1 << 30
_PATIENCE_S = 2.0


def check_lake(settings: Settings) -> list[Finding]:
    """What is to be said of the data directory and of who serves it."""
    data = settings.data
    if not data.exists():
        said = f"nothing in {data} yet"
        return [Finding(_PART, Level.NOTE, said, "run a flow with STEPSIZE=1, or set STEPSIZE_DATA")]
    return [*_directory(data), *_files(data), *_views(data), *_log(settings), _collector(settings)]


def _directory(data: Path) -> Iterator[Finding]:
    if not data.is_dir() or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        remedy = "give this user the directory, or set STEPSIZE_DATA"
        yield Finding(_PART, Level.FAULT, f"{data} cannot be read and written", remedy)
        return
    if hasattr(os, "getuid") and data.stat().st_mode & 0o022:
        yield Finding(_PART, Level.FAULT, f"others may write to {data}", f"chmod go-w {data}")
    free_bytes = shutil.disk_usage(data).free
    if free_bytes < _LEAST_FREE_BYTES:
        said = f"{free_bytes / 2**20:.0f} MiB are free for {data}"
        yield Finding(
            _PART, Level.FAULT, said, "make room, or points wait with their agents and are refused in the end"
        )


def _files(data: Path) -> Iterator[Finding]:
    try:
        check_version(data)
        named = [stored for manifest in read_manifests(data) for stored in manifest.files]
    except LakeError as error:
        yield Finding(_PART, Level.FAULT, str(error))
        return
    broken = [stored.path for stored in named if _size_bytes(data / stored.path) != stored.size_bytes]
    if broken:
        said = f"{len(broken)} of {len(named)} files are missing or not as they were written: {broken[0]} first"
        yield Finding(_PART, Level.FAULT, said, "restore them from a backup")


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _views(data: Path) -> Iterator[Finding]:
    try:
        with Lake(data).reading() as connection:
            row = connection.execute("SELECT count(*), max(coalesce(ended_at, started_at)) FROM tasks").fetchone()
    except (LakeError, duckdb.Error) as error:
        yield Finding(_PART, Level.FAULT, f"the views cannot be read: {str(error).splitlines()[0]}")
        return
    count, newest = row or (0, None)
    since = f", the newest of {newest:%Y-%m-%d %H:%M} UTC" if newest else ""
    yield Finding(_PART, Level.WELL, f"{data}: {count} attempts{since}")


def _log(settings: Settings) -> Iterator[Finding]:
    kept = sorted(settings.state_dir.glob("undecodable-*.bin"))
    if kept:
        said = f"{len(kept)} requests could not be decoded and are kept, {kept[0]} first"
        yield Finding(_PART, Level.FAULT, said, "report it with the file: it is a defect of stepsize's")


def _collector(settings: Settings) -> Finding:
    address = discovery.read_address(settings)
    if address is None:
        return Finding("collector", Level.WELL, "none serves this directory now; the next task's agent brings one")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PATIENCE_S)
        try:
            probe.connect(address.socket)
        except OSError:
            said = f"the one that served this directory (pid {address.pid}) is gone without a word"
            return Finding("collector", Level.NOTE, said, "the next one, or `stepsize report`, takes up what it left")
    kind = "an agent's own" if address.embedded else "stepsize collect"
    return Finding("collector", Level.WELL, f"pid {address.pid} serves this directory ({kind})")
