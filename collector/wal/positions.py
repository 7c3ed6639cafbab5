"""How far the readers of a write-ahead log have come that are not its sink, and what of it they still need.

What comes in: the log's directory, a reader's name, a position. What goes out: a small file for each reader beside the
segments. While it is there, no segment at or after its position is deleted. Standard library only.

A file that is damaged (a machine that lost power may leave it so) stands for the log's beginning: what has been read is
then read again, and nothing is passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from stepsize.discovery import write_whole
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from pathlib import Path

_SUFFIX = ".position"


@dataclass(frozen=True, slots=True)
class ReaderPosition:
    """Where a reader is.

    Attributes:
        done: everything before it is settled.
        sealed: ends of the batches after it that were under way, in order: after a crash they are made again with the
            same ends, so that a receiver which had one already sees the same bytes.
    """

    done: WalPosition
    sealed: tuple[WalPosition, ...] = ()


def read_position(directory: Path, reader: str) -> ReaderPosition | None:
    """Where ``reader`` is in the log; None where it has never been."""
    return _read(_path(directory, reader))


def write_position(directory: Path, reader: str, position: ReaderPosition, *, durable: bool = False) -> None:
    """Say where ``reader`` is.

    Without ``durable`` it outlives the process, and a machine that loses power mostly: an older position is read then,
    which repeats and loses nothing. With it, it is on disk when this returns: a new reader must not be missed.
    """
    content = json.dumps(
        {
            "done": [position.done.segment, position.done.offset],
            "sealed": [[end.segment, end.offset] for end in position.sealed],
        }
    ).encode()
    path = _path(directory, reader)
    if durable:
        write_whole(path, content, mode=0o600)
        return
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    temporary.replace(path)


def release(directory: Path, reader: str) -> None:
    """``reader`` needs nothing of the log any more."""
    with contextlib.suppress(OSError):
        _path(directory, reader).unlink()


def readers(directory: Path) -> dict[str, ReaderPosition]:
    """The readers of a log and where they are."""
    found = {}
    for path in sorted(directory.glob(f"[!.]*{_SUFFIX}")):
        position = _read(path)
        if position is not None:
            found[unquote(path.name.removesuffix(_SUFFIX))] = position
    return found


def first_needed(directory: Path, position: WalPosition) -> WalPosition:
    """``position``, or an earlier one from which on a reader needs the log."""
    return min([position, *(reader.done for reader in readers(directory).values())])


def _path(directory: Path, reader: str) -> Path:
    return directory / f"{quote(reader, safe='')}{_SUFFIX}"


def _read(path: Path) -> ReaderPosition | None:
    try:
        content = json.loads(path.read_bytes())
        sealed = tuple(WalPosition(int(segment), int(offset)) for segment, offset in content["sealed"])
        segment, offset = content["done"]
        return ReaderPosition(WalPosition(int(segment), int(offset)), sealed)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return ReaderPosition(WalPosition())
