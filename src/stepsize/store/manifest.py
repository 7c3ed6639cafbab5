"""A writer's manifest: which files are the lake's, and up to where in the write-ahead log they are complete.

What comes in: a manifest, or the directory of manifests. What goes out: a file replaced whole, or frozen values. A
generation *is* its manifest: what no manifest names does not exist. Never looks at the files that it names. Standard
library only.

The manifest of a writer that is gone and keeps no file is *retired*: it lies in a directory of its own, where nobody
comes by but that writer, should it ever be back. Without it, it would read its log from the beginning.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import zlib
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from stepsize.discovery import sync_directory, write_whole
from stepsize.errors import LakeError
from stepsize.store.layout import MANIFESTS, make_directory

if TYPE_CHECKING:
    from pathlib import Path

_RETIRED = "retired"
_VERSION = 2
_READ = (1, 2)
"""Formats that are understood: the first lacks what has a default, see `stepsize.store.migrate`."""

_CHECKSUM = b',"checksum":'
_INSIDE = re.compile(r"(?!.*\.\.)\w[\w=./-]*")
"""A path that leads nowhere else."""


@dataclass(frozen=True, slots=True, order=True)
class WalPosition:
    """A place between two records of a write-ahead log: byte ``offset`` of segment number ``segment``."""

    segment: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One Parquet file of the lake.

    Attributes:
        table: which table its rows belong to.
        partition: its directory under the table's, such as ``day=2026-11-22``, or ``open``.
        name: its file name.
        rows: how many rows it holds.
        size_bytes: how large it is.
        level: how many times its rows have been merged (see :mod:`stepsize.store.merge`).
    """

    table: str
    partition: str
    name: str
    rows: int
    size_bytes: int
    level: int = 0

    @property
    def path(self) -> str:
        """Relative to the data directory."""
        return f"{self.table}/{self.partition}/{self.name}"


_STORED_FIELDS = tuple(one.name for one in fields(StoredFile))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The current generation of one writer.

    Attributes:
        writer: the writer's UUID, which starts the name of each of its files.
        generation: counts commits.
        sequence: number of the last file that was named.
        position: everything before it in the writer's write-ahead log is in ``files``.
        files: the writer's files, snapshot of running attempts included.
        recent: digests of the requests taken last, so that one that is sent again is known (see the sink).
        folded: everything before it is in the files of `tasks` too; None where that is ``position``.
        repeated: where records between ``folded`` and ``position`` end whose request had been taken before.
    """

    writer: str
    generation: int = 0
    sequence: int = 0
    position: WalPosition = WalPosition()
    files: tuple[StoredFile, ...] = ()
    recent: bytes = b""
    folded: WalPosition | None = None
    repeated: tuple[WalPosition, ...] = ()

    @property
    def settled(self) -> WalPosition:
        """The log is needed from here on."""
        return self.position if self.folded is None else self.folded


def manifest_path(data: Path, writer: str) -> Path:
    """Where a writer's manifest lies."""
    return data / MANIFESTS / f"{writer}.json"


def announce(data: Path, writer: str) -> None:
    """Have ``writer`` be one of the lake's, before it has committed anything; it holds its lock.

    Whoever has something to ask of all writers asks those that have a manifest.
    """
    if not manifest_path(data, writer).exists():
        write_manifest(data, read_manifest(data, writer))


def retire(data: Path, writer: str) -> None:
    """Have nobody but ``writer`` itself look at its manifest, which names no files; its lock is held."""
    directory = data / MANIFESTS / _RETIRED
    make_directory(directory)
    manifest_path(data, writer).replace(directory / f"{writer}.json")
    sync_directory(directory)
    sync_directory(directory.parent)


def retired_writers(data: Path) -> tuple[str, ...]:
    """The writers that are retired."""
    return tuple(path.stem for path in sorted((data / MANIFESTS / _RETIRED).glob("[!.]*.json")))


def write_manifest(data: Path, manifest: Manifest) -> None:
    """Make ``manifest`` the writer's current generation; durable when it returns."""
    write_whole(manifest_path(data, manifest.writer), manifest_bytes(manifest))


def manifest_bytes(manifest: Manifest) -> bytes:
    """The content of a manifest's file, which :func:`parse_manifest` reads."""
    content: dict[str, Any] = {"version": _VERSION, **asdict(replace(manifest, files=()))}
    # `asdict` copies deeply, which counts with thousands of files in each commit.
    content["files"] = [{name: getattr(stored, name) for name in _STORED_FIELDS} for stored in manifest.files]
    content["recent"] = base64.b64encode(manifest.recent).decode()
    text = json.dumps(content, separators=(",", ":")).encode()
    return text[:-1] + _CHECKSUM + b"%d}" % zlib.crc32(text)


def read_manifest(data: Path, writer: str) -> Manifest:
    """The writer's current generation; an empty one where it has none yet.

    Raises:
        LakeError: the file is damaged. Nothing is guessed: it names what exists.
    """
    for path in (manifest_path(data, writer), data / MANIFESTS / _RETIRED / f"{writer}.json"):
        with contextlib.suppress(FileNotFoundError):
            return _read(path, writer)
    return Manifest(writer)


def _read(path: Path, writer: str) -> Manifest:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LakeError(f"cannot read {path}: {error.strerror}") from None
    return parse_manifest(content, writer, str(path))


def parse_manifest(whole: bytes, writer: str, place: str) -> Manifest:
    """The manifest of ``writer`` that lies at ``place``.

    Raises:
        LakeError: it is damaged, or of a newer stepsize.
    """
    try:
        content = json.loads(_checked(whole))
        if content.pop("version") not in _READ:
            raise LakeError(f"{place} was written by a newer stepsize; update stepsize")
        return _manifest(content, writer)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise LakeError(f"{place} is damaged; restore it from a backup of the data directory") from None


def _manifest(content: dict[str, Any], writer: str) -> Manifest:
    content["position"] = _position(content["position"])
    content["files"] = tuple(map(_stored_file, content["files"]))
    content["recent"] = base64.b64decode(content["recent"])
    content["folded"] = _position(content["folded"]) if content.get("folded") else None
    content["repeated"] = tuple(map(_position, content.get("repeated", ())))
    manifest = Manifest(**content)
    _natural(manifest.generation, manifest.sequence)
    if manifest.writer != writer:
        raise ValueError("it is another writer's")
    return manifest


def _checked(whole: bytes) -> bytes:
    """The manifest without its checksum; one from before there was one is taken as it is."""
    text, mark, checksum = whole.rpartition(_CHECKSUM)
    if not mark:
        return whole
    if checksum != b"%d}" % zlib.crc32(text + b"}"):
        raise ValueError("its checksum is another")
    return text + b"}"


def _position(content: dict[str, Any]) -> WalPosition:
    position = WalPosition(**content)
    _natural(position.segment, position.offset)
    return position


def _stored_file(content: dict[str, Any]) -> StoredFile:
    stored = StoredFile(**content)
    _natural(stored.rows, stored.size_bytes, stored.level)
    if not _INSIDE.fullmatch(stored.path):
        raise ValueError(f"{stored.path!r} does not lie in the lake")
    return stored


def _natural(*numbers: Any) -> None:
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"{numbers} are not numbers of something")


def read_manifests(data: Path) -> tuple[Manifest, ...]:
    """The current generation of every writer of the lake that is not retired, in the order of their names."""
    return tuple(read_manifest(data, path.stem) for path in sorted((data / MANIFESTS).glob("[!.]*.json")))
