"""Keeps files open that are read again and again: those of the host, and of control groups.

What comes in: paths of files of /proc and of the cgroup file systems. What goes out: their content now, empty where
there is none. Opening such a file costs two and three times what reading it does. Never raises; writes nothing.

A control group that was removed answers no more (``ENODEV``): whoever is in its place by then is opened anew.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stepsize.instrumentation import procfs

if TYPE_CHECKING:
    from collections.abc import Collection

_READ_BYTES = 1 << 16
_RECORDS_BYTES = 2048
"""The kernel hands out records until a page is full (``fs/seq_file.c``): what is shorter than half of one is all."""
_MOST_FILES = 64
"""So many stay open; whatever comes then is opened at each read."""


class KeptFiles:
    """Some files, by path.

    Args:
        most: how many stay open.
    """

    def __init__(self, most: int = _MOST_FILES) -> None:
        self._most = most
        self._descriptors: dict[str, int] = {}

    def read(self, path: str) -> bytes:
        """A small file's content: of one that the kernel writes record by record, the first of them."""
        descriptor = self._descriptors.get(path)
        if descriptor is None:
            descriptor = self._open(path)
        if descriptor is None:
            return procfs.read(path)
        return _read(descriptor, 0) or self._anew(path)

    def read_whole(self, path: str) -> bytes:
        """A file's content however long."""
        content = self.read(path)
        if len(content) < _RECORDS_BYTES:
            return content
        descriptor = self._descriptors.get(path)
        if descriptor is None:
            return procfs.read_whole(path)
        parts = []
        while content:
            parts.append(content)
            content = _read(descriptor, sum(map(len, parts)))
        return b"".join(parts)

    def keep(self, directories: Collection[str]) -> None:
        """Let go of all that is not in these directories themselves."""
        for path in [path for path in self._descriptors if path.rpartition("/")[0] not in directories]:
            self._forget(path)

    def close(self) -> None:
        """Let go of all; what is read afterwards is opened again."""
        for path in list(self._descriptors):
            self._forget(path)

    def _open(self, path: str) -> int | None:
        if len(self._descriptors) >= self._most:
            return None
        try:
            descriptor = self._descriptors[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        return descriptor

    def _anew(self, path: str) -> bytes:
        """What is there now, where the one that was opened answers no more."""
        self._forget(path)
        return procfs.read(path)

    def _forget(self, path: str) -> None:
        os.close(self._descriptors.pop(path))


def _read(descriptor: int, offset: int) -> bytes:
    try:
        return os.pread(descriptor, _READ_BYTES, offset)
    except OSError:
        return b""
