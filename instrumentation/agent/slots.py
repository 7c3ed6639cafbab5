"""A content that is replaced about once a second, without making and renaming a file each time.

What comes in: bytes, and a number that can be put beside them afterwards. What goes out: the last whole content, to
whoever reads the files once their writer was killed. Two files take turns: a writer that is killed in the middle leaves
the content before. Not synced: it survives the end of the process, not that of the machine. Raises `OSError` where
there is no room; the last whole content is there all the same.

Writing to a file that is open costs less than half of making one and putting it in the place of another, which some
file systems answer with a write to the disk (ext4's ``auto_da_alloc``).
"""

from __future__ import annotations

import binascii
import errno
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HEADER = struct.Struct("<QQII")
"""Mark, how manieth content, its bytes, their checksum."""
_MARK = struct.Struct("<Q")
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_SPARE_BYTES = 1 << 20
"""A file that once was longer than this gives back what it needs no more."""


class Slots:
    """Two files that take turns.

    Args:
        paths: theirs; they are made when they are written first.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._slots = [_Slot(path) for path in paths]
        self._written = 0

    def write(self, content: bytes) -> None:
        """Put a content in the place of the one before the last.

        Raises:
            OSError: it could not be written; the last one stands.
        """
        number = self._written + 1
        self._slots[number % len(self._slots)].write(number, content)
        self._written = number

    def mark(self, number: int) -> None:
        """Put a number beside the last content.

        Raises:
            OSError: it could not be written.
        """
        if self._written:
            self._slots[self._written % len(self._slots)].mark(number)

    def close(self) -> None:
        """Let go of the files, which stay."""
        for slot in self._slots:
            slot.close()


def last(paths: Sequence[Path]) -> tuple[bytes, int]:
    """The last whole content in these files and the mark beside it; nothing and 0 where there is none."""
    found = [content for content in map(_whole, paths) if content is not None]
    _, content, mark = max(found, key=lambda each: each[0], default=(0, b"", 0))
    return content, mark


class _Slot:
    """One file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._size = 0

    def write(self, number: int, content: bytes) -> None:
        whole = _HEADER.pack(0, number, len(content), binascii.crc32(content)) + content
        descriptor = self._open()
        if self._size > _SPARE_BYTES and len(whole) < self._size:
            os.ftruncate(descriptor, len(whole))
        self._size = len(whole)
        if os.pwrite(descriptor, whole, 0) != len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def mark(self, number: int) -> None:
        descriptor = self._open()
        os.pwrite(descriptor, _MARK.pack(number), 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is not None and not os.fstat(self._descriptor).st_nlink:
            self.close()  # somebody tidied the directory up
        if self._descriptor is None:
            self._descriptor = os.open(self._path, _FLAGS, 0o600)
        return self._descriptor


def _whole(path: Path) -> tuple[int, bytes, int] | None:
    """Number, content and mark of a file that was written to its end."""
    try:
        text = path.read_bytes()
    except OSError:
        return None
    if len(text) < _HEADER.size:
        return None
    mark, number, length, checksum = _HEADER.unpack_from(text)
    content = text[_HEADER.size : _HEADER.size + length]
    is_whole = len(content) == length and binascii.crc32(content) == checksum
    return (number, content, mark) if is_whole else None
