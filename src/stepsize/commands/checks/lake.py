"""The lake: whether it is whole and can be read, what is in it, and whether it is the only one.

What comes in: settings. What goes out: findings. Reads; makes and mends nothing.
"""

from __future__ import annotations

import contextlib
import os
from importlib import resources
from typing import TYPE_CHECKING

import duckdb

from stepsize.commands.checks.directories import is_usable
from stepsize.commands.checks.finding import Finding, Level
from stepsize.errors import LakeError
from stepsize.settings import Settings
from stepsize.store.lake import Lake
from stepsize.store.layout import MANIFESTS, check_version
from stepsize.store.manifest import read_manifests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PART = "lake"
_CLOCKS = resources.files("stepsize.commands.checks") / "clocks.sql"


def check_lake(settings: Settings) -> list[Finding]:
    """What is to be said of the lake in the data directory, and of others."""
    data = settings.data
    if not os.path.lexists(data):
        said = f"nothing in {data} yet"
        found = [Finding(_PART, Level.NOTE, said, "run a flow with STEPSIZE=1, or set STEPSIZE_DATA")]
        return [*found, *_another(data)]
    if not is_usable(data):
        return []  # which its directory's check has said
    return [*_files(data), *_contents(data), *_another(data)]


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


def _contents(data: Path) -> Iterator[Finding]:
    try:
        with Lake(data).reading() as connection:
            row = connection.execute("SELECT count(*), max(coalesce(ended_at, started_at)) FROM tasks").fetchone()
            clocks = connection.execute(_CLOCKS.read_text("utf-8")).fetchall()
    except (LakeError, duckdb.Error) as error:
        yield Finding(_PART, Level.FAULT, f"the views cannot be read: {str(error).splitlines()[0]}")
        return
    count, newest = row or (0, None)
    since = f", the newest of {newest:%Y-%m-%d %H:%M} UTC" if newest else ""
    yield Finding(_PART, Level.WELL, f"{data}: {count} attempts{since}")
    for host, ahead_s in clocks:
        how = f"{ahead_s:.0f} s ahead of" if ahead_s > 0 else f"{-ahead_s:.0f} s behind"
        said = f"the clock of {host} is {how} the collector's: its points lie at wrong times"
        yield Finding(_PART, Level.NOTE, said, "have both machines keep time (chrony, systemd-timesyncd)")


def _another(data: Path) -> Iterator[Finding]:
    """A second lake, which whoever leaves STEPSIZE_DATA away writes to and reads."""
    usual = Settings().data
    if data.absolute() == usual.absolute() or not (usual / MANIFESTS).is_dir():
        return
    with contextlib.suppress(LakeError):
        if any(manifest.files for manifest in read_manifests(usual)):
            said = f"there is another lake in {usual}: without STEPSIZE_DATA points go there and are read there"
            yield Finding(_PART, Level.NOTE, said, "set STEPSIZE_DATA for everybody alike, or read it with --data")
