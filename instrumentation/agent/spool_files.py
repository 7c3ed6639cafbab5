"""The files in a spool's directory: a request each, compressed, whose name says when it was kept and how many points it
holds, and what was set aside.

What comes in: requests, directories. What goes out: files that are there as a whole or not at all, and the same bytes
again. The checksum (gzip's) tells a damaged one. Standard library only.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import stat
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path

from stepsize.discovery import write_whole
from stepsize.errors import DataError
from stepsize.instrumentation.agent.delivery import Encoding, Request

_DAMAGED = ".damaged"
_TEMPORARIES = ".*.gz.*"
"""What `write_whole` leaves where it is killed."""
_LEFT_BEHIND_S = 3600.0
"""A temporary file that is older belongs to nobody who lives."""
_NAME = re.compile(r"(?P<time>\d{20})-(?P<points>\d+)-[0-9a-f]{8}(?P<suffix>\.(pb|json)\.gz)")
_ENCODINGS = {encoding.suffix: encoding for encoding in Encoding}


@dataclass(frozen=True, slots=True)
class Entry:
    """A request's file, by what its name says."""

    path: Path
    time_unix_nano: int
    points: int
    encoding: Encoding
    size_bytes: int


def compressed(request: Request) -> bytes:
    """What a request's file is to hold."""
    return gzip.compress(request.body, 1, mtime=0)


def write_entry(directory: Path, request: Request, content: bytes, time_unix_nano: int) -> Entry:
    """Keep a request that was compressed; it is on disk when this returns.

    Raises:
        OSError: it cannot be kept, and nothing of it is.
    """
    name = f"{time_unix_nano:020d}-{request.points}-{uuid.uuid4().hex[:8]}{request.encoding.suffix}"
    path = directory / name
    write_whole(path, content, mode=0o600)
    return Entry(path, time_unix_nano, request.points, request.encoding, len(content))


def read_entry(entry: Entry) -> Request:
    """The request that was kept.

    Raises:
        OSError: its file is gone, or the disk fails.
        DataError: it is not what it was.
    """
    content = entry.path.read_bytes()
    if not content:
        raise DataError("the file is empty")  # which gzip takes for nothing compressed
    try:
        return Request(gzip.decompress(content), entry.points, entry.encoding)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(str(error)) from None


def set_aside(entry: Entry) -> None:
    """Keep a damaged file for whoever wants to look at it, one at a time."""
    for earlier in damaged_files(entry.path.parent):
        earlier.unlink(missing_ok=True)
    entry.path.replace(entry.path.with_name(entry.path.name + _DAMAGED))


def clear_left_behind(directory: Path, now_unix_s: float) -> None:
    """Remove what somebody was writing when it was killed, once it is old enough to be nobody's."""
    for path in directory.glob(_TEMPORARIES):
        with contextlib.suppress(OSError):
            if now_unix_s - path.stat().st_mtime > _LEFT_BEHIND_S:
                path.unlink()


def damaged_files(directory: Path) -> list[Path]:
    """What was set aside in a directory."""
    return list(directory.glob(f"*{_DAMAGED}"))


def entries(directory: Path) -> list[Entry]:
    """The requests in a directory, oldest first; none where there is no directory."""
    found = []
    try:
        with os.scandir(directory) as files:
            for file in files:
                match = _NAME.fullmatch(file.name)
                if match is None:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found_as = file.stat(follow_symlinks=False)
                    if not stat.S_ISREG(found_as.st_mode):
                        continue  # reading a pipe, or what a link leads to, may never end
                    encoding = _ENCODINGS[match["suffix"]]
                    found.append(
                        Entry(Path(file.path), int(match["time"]), int(match["points"]), encoding, found_as.st_size)
                    )
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda entry: entry.path.name)
