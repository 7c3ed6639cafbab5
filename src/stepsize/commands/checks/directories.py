"""The directories that are written to: whether they can be, by whom else, and how much room they have.

What comes in: settings. What goes out: findings. Reads; makes nothing, so that a directory which is not there is judged
by the one that it would be made in.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stepsize.commands.checks.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.settings import Settings

_PART = "directory"
_LEAST_FREE_BYTES = 1 << 30
_LEAST_FREE_FILES = 1000
_FAR_SYSTEMS = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "ceph",
    "glusterfs",
    "lustre",
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
)
"""File systems on which locks, `rename` and `fdatasync` do not do what a log stands on, or not always."""
_ACCESS = os.R_OK | os.W_OK | os.X_OK


class _Place(NamedTuple):
    """A directory, the variable that says where it is, and what lies there."""

    path: Path
    variable: str
    holds: str


def check_directories(settings: Settings) -> list[Finding]:
    """What is to be said of the directories that ``settings`` name."""
    data = _Place(settings.data, "STEPSIZE_DATA", "the lake")
    places = [data]
    if settings.state is not None:
        places.append(_Place(settings.state, "STEPSIZE_STATE", "the write-ahead log"))
    if settings.has_endpoint or settings.spool is not None:  # else points wait for the lake, where the lake is
        places.append(_Place(settings.spool_dir, "STEPSIZE_SPOOL", "points that wait"))
    found = [finding for place in places for finding in _check(place)]
    return [*found, *_strangers(settings.data)]


def is_usable(directory: Path) -> bool:
    """Whether this user can look into a directory: of any other there is no more to be said."""
    return os.access(directory, os.R_OK | os.X_OK)


def _check(place: _Place) -> Iterator[Finding]:
    if os.path.isdir(place.path):  # noqa: PTH112 - false where it lies in what this user may not enter, too
        yield from _existing(place)
        base = place.path
    else:
        base = _nearest(place.path)
        if base == place.path or not base.is_dir() or not os.access(base, _ACCESS):
            why = f"{base} is no directory" if not base.is_dir() else f"{base} cannot be written to by this user"
            said = f"{place.path} for {place.holds} cannot be made: {why}"
            yield Finding(_PART, Level.FAULT, said, f"make it for this user, or set {place.variable}")
            return
    yield from _room(place, base)
    yield from _far(place, base)


def _existing(place: _Place) -> Iterator[Finding]:
    if not os.access(place.path, _ACCESS):
        said = f"{place.path} for {place.holds} cannot be read and written by this user"
        yield Finding(_PART, Level.FAULT, said, f"give this user the directory, or set {place.variable}")
    elif hasattr(os, "getuid") and place.path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding(_PART, Level.FAULT, f"others may write to {place.path}", f"chmod go-w {place.path}")


def _strangers(data: Path) -> Iterator[Finding]:
    """Files of others inside the lake, as one leaves who ran a command as root once."""
    if not hasattr(os, "getuid") or not is_usable(data):
        return
    owner = data.stat().st_uid
    if os.getuid() not in (owner, 0):
        return  # somebody else's lake, which one may well read
    if os.getuid() != owner:
        said = f"{data} belongs to {_name(owner)}, and this is {_name(os.getuid())}"
        yield Finding(
            _PART, Level.NOTE, said, "run commands as its owner: what another user makes there is not the owner's"
        )
    inside = [data, *(entry for entry in _entries(data) if entry.is_dir() and not entry.is_symlink())]
    theirs = [entry for directory in inside for entry in _entries(directory) if entry.lstat().st_uid != owner]
    if theirs:
        said = f"{len(theirs)} files in {data} belong to others than {_name(owner)}, {theirs[0]} first"
        yield Finding(_PART, Level.FAULT, said, f"chown -R {owner} {data}")


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _name(uid: int) -> str:
    import pwd  # noqa: PLC0415 - not on Windows

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user without an account
        return f"user {uid}"


def _nearest(path: Path) -> Path:
    """The first of ``path`` and what it lies in that is there."""
    for candidate in (path, *path.parents):
        if os.path.lexists(candidate):
            return candidate
    return Path("/")


def _room(place: _Place, base: Path) -> Iterator[Finding]:
    if not hasattr(os, "statvfs"):
        return
    found = os.statvfs(base)
    free_bytes = found.f_bavail * found.f_frsize
    remedy = "make room, or points wait with their agents and are refused in the end"
    if found.f_flag & os.ST_RDONLY:
        yield Finding(
            _PART, Level.FAULT, f"{base} is mounted read-only", f"mount it otherwise, or set {place.variable}"
        )
    elif free_bytes < _LEAST_FREE_BYTES:
        yield Finding(_PART, Level.FAULT, f"{free_bytes / 2**20:.0f} MiB are free for {place.path}", remedy)
    elif found.f_files and found.f_favail < _LEAST_FREE_FILES:
        yield Finding(_PART, Level.FAULT, f"{found.f_favail} files can still be made for {place.path}", remedy)


def _far(place: _Place, base: Path) -> Iterator[Finding]:
    system = _file_system(base)
    if system in _FAR_SYSTEMS:
        said = f"{place.path} is on {system}, over a network"
        yield Finding(_PART, Level.NOTE, said, f"set {place.variable} to a disk of this machine: the log needs one")


def _file_system(path: Path) -> str:
    """The type of the file system that ``path`` is on (proc_pid_mountinfo(5)); empty where that is not told."""
    best, found = -1, ""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return found
    real = path.resolve()
    for line in lines:
        before, _, after = line.partition(" - ")
        mounted = Path(before.split()[4].encode().decode("unicode_escape"))
        if (mounted == real or mounted in real.parents) and len(mounted.parts) >= best:
            best, found = len(mounted.parts), after.split()[0]
    return found
