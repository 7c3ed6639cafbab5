"""Scratch space that an attempt has written and still holds, where it can be attributed.

What comes in: a pid. What goes out: ``stepsize.task.disk.usage``, or nothing. Reads the environment that the process
began with and the tree of one directory; writes nothing.

It is attributed where the process has a temporary directory of its own: one that its environment names (`NAMES`), that
nobody but its user may write to, that was empty when the attempt registered, and that no other attempt names. What is
in there later, the attempt wrote. Nothing is said of anything else: `statvfs` tells of a file system that
others share, a container's overlay lies upon the node's disk, and ``/proc/<pid>/io`` never learns what was deleted.
Files that are deleted and still open are missed.
"""

from __future__ import annotations

import os
import stat
import time
from weakref import WeakValueDictionary

from stepsize import model
from stepsize.instrumentation import procfs
from stepsize.instrumentation.agent.probes.observation import Observation

NAMES = (b"SLURM_TMPDIR", b"METAFLOW_TEMPDIR", b"TMPDIR", b"TMP", b"TEMP")
"""Variables that name a temporary directory, the most telling first."""
_BLOCK_BYTES = 512  # of st_blocks, whatever the file system's are (stat(2))
_COST_SHARE = 0.005
"""Of the time, what walking through one directory may take."""
_EVERY_S = 1.0
_MOST_FILES = 20_000
"""A directory with more is not walked through."""


class Scratches:
    """The temporary directories of all attempts of this host: one that two of them name is neither's."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._users: WeakValueDictionary[tuple[int, int], ScratchProbe] = WeakValueDictionary()

    def of(self, pid: int, since_unix_nano: int) -> ScratchProbe | None:
        """A probe of the directory of a process that registered then, or ``None`` where it has none of its own."""
        path = _temporary(self._proc, pid)
        try:
            found = None if path is None else os.stat(path)  # noqa: PTH116 - through /proc/<pid>/root, not resolved
        except OSError:
            return None
        if path is None or found is None:
            return None
        key = found.st_dev, found.st_ino
        other = self._users.get(key)
        if other is not None:
            other.is_shared = True
            return None
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or not _holds_nothing_older(path, since_unix_nano):
            return None
        probe = self._users[key] = ScratchProbe(path)
        return probe


class ScratchProbe:
    """Samples one directory.

    Args:
        path: it, as this process can reach it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.is_shared = False
        """Whether another attempt has turned out to use it as well."""
        self._due_s = float("-inf")

    def sample(self, monotonic_s: float) -> list[Observation]:
        """Bytes on disk now."""
        if self.is_shared or monotonic_s < self._due_s:
            return []
        begun_s = time.monotonic()
        held = _held_bytes(self._path)
        self._due_s = monotonic_s + max(_EVERY_S, (time.monotonic() - begun_s) / _COST_SHARE)
        return [] if held is None else [Observation(model.TASK_DISK_USAGE, held)]


def _temporary(proc: str, pid: int) -> str | None:
    """The directory that the environment names, through the process's own root."""
    environment = procfs.environment(proc, pid)
    named = (environment.get(name, b"") for name in NAMES)
    path = next((value for value in named if value.startswith(b"/")), None)
    return None if path is None else f"{proc}/{pid}/root{os.fsdecode(path)}"


def _holds_nothing_older(path: str, since_unix_nano: int) -> bool:
    try:
        with os.scandir(path) as entries:
            return all(entry.stat(follow_symlinks=False).st_ctime_ns >= since_unix_nano for entry in entries)
    except OSError:
        return False


def _held_bytes(path: str) -> int | None:
    """Bytes on disk of everything below; ``None`` where that cannot be told, or there is too much of it."""
    pending, seen, held, files = [path], set[tuple[int, int]](), 0, 0
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                found = [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            if files == 0:
                return None  # the process is gone, and its root with it
            continue  # deleted meanwhile
        files += len(found)
        if files > _MOST_FILES:
            return None
        for place, state in found:
            key = state.st_dev, state.st_ino
            if stat.S_ISDIR(state.st_mode):
                pending.append(place)
            elif key in seen:
                continue
            elif state.st_nlink > 1:
                seen.add(key)
            held += state.st_blocks * _BLOCK_BYTES
    return held
