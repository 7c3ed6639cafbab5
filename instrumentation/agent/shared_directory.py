"""This user's part of a directory that other users may share, such as one in ``/var/spool`` or ``/tmp``.

What comes in: a directory that a setting names. What goes out: where this user's things go in it, and whether nobody
else can put anything there. Makes nothing. Where the system knows no owners there is nothing to tell.

Whoever sets the directory has chosen its owner to be trusted. Anybody else who may write to it could put a directory or
a link of their own where ours is to be: they would read what is kept, and what they put there would go out with this
user's credentials. In a directory with the sticky bit they can only do so before us, which its owner gives away.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def own_part(shared: Path) -> Path:
    """Where this user's things go: in the directory itself, or one of this user's in it where it is another's or open
    to all."""
    try:
        found = shared.stat()
    except OSError:
        return shared  # it will be this user's
    if not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & stat.S_IWOTH):
        return shared
    return shared / f"stepsize-{os.getuid()}"


def check_own(shared: Path, directory: Path) -> None:
    """See that nobody else can read or replace what is in ``directory``, as far as that is there yet.

    Args:
        shared: what the setting names.
        directory: lies in this user's part of it.

    Raises:
        PermissionError: somebody can.
        OSError: it cannot be seen.
    """
    if not hasattr(os, "getuid"):
        return
    try:
        if own_part(shared) != shared and _lets_others_replace(shared.stat().st_mode):
            raise _refused(shared, "others may replace what is in it, as it has no sticky bit")
        for below in reversed([directory, *directory.parents]):
            if shared in below.parents:
                _check(below)
    except FileNotFoundError:
        return  # nor is anything in it


def _lets_others_replace(mode: int) -> bool:
    return bool(mode & _WRITABLE_BY_OTHERS) and not mode & stat.S_ISVTX


def _check(directory: Path) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise _refused(directory, "is no directory of this user")
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise _refused(directory, "others may write to it")


def _refused(directory: Path, why: str) -> PermissionError:
    return PermissionError(errno.EPERM, why, str(directory))
