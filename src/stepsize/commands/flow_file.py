"""A source file as it lies on disk: its text, and another text in its place. The I/O of ``stepsize apply``.

What comes in: a path. What goes out: a :class:`FlowFile`, whose text keeps its line ends and goes back in its encoding,
with its byte order mark, mode, owner and extended attributes. Never writes over what somebody changed meanwhile; never
leaves half a file, nor waits for what is none.
"""

from __future__ import annotations

import io
import os
import stat
import tokenize
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize import discovery
from stepsize.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class FlowFile:
    """``raw`` is what was read from ``path``, ``encoding`` what its first lines say (PEP 263)."""

    path: Path
    raw: bytes
    encoding: str
    text: str

    def encoded(self, text: str) -> bytes:
        """``text`` as it would lie there."""
        return text.encode(self.encoding)

    def replace(self, text: str) -> None:
        """Put ``text`` in place of what was read, at once and durably.

        Raises:
            UnavailableError: the file is not what was read any more.
            UsageError: it may not be written.
        """
        real = self.path.resolve()  # the file that a link leads to, not the link
        content = self.encoded(text)
        try:
            status = real.stat()
            if real.read_bytes() != self.raw:
                raise UnavailableError(f"{self.path} has changed meanwhile and was left alone; run it again")
            if not os.access(real, os.W_OK):
                raise UsageError(f"{self.path} may not be written; change its mode, or apply the diff yourself")
            attributes = _attributes(real)
            discovery.write_whole(real, content, mode=stat.S_IMODE(status.st_mode))
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from None
        if hasattr(os, "chown"):
            with suppress(OSError):  # whoever may not give files away owns this one already
                os.chown(real, status.st_uid, status.st_gid)
        for name, value in attributes.items():
            with suppress(OSError):  # the system's own, which it gives again by itself
                os.setxattr(real, name, value)


def read(path: Path) -> FlowFile:
    """The source in ``path``.

    Raises:
        UsageError: it cannot be read, or not as text in the encoding that it names.
    """
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode):
            raise UsageError(f"cannot read {path}: it is no regular file")
        if status.st_size > _LARGEST_BYTES:
            raise UsageError(f"cannot read {path}: {status.st_size >> 20} MiB are no flow that somebody wrote")
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
        text = raw.decode(encoding)
        whole = text.encode(encoding) == raw
    except (SyntaxError, UnicodeError, LookupError):
        raise UsageError(f"{path} is no text in the encoding that its first lines name (PEP 263)") from None
    if not whole:
        raise UsageError(f"{path}: text in {encoding} cannot be edited byte for byte; convert it to UTF-8")
    return FlowFile(path, raw, encoding, text)


def _attributes(path: Path) -> dict[str, bytes]:
    """The extended attributes, access control lists among them, where the system has any."""
    if not hasattr(os, "listxattr"):
        return {}
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except OSError:
        return {}
