"""One writer of a lake: files in, generations out.

What comes in: Arrow tables. What goes out: Parquet files under the writer's own name, and a manifest that makes them
part of the lake all at once. Never changes a file of another writer, and never deletes one that a reader who has
opened an earlier generation may still want: files that are no longer named stay for a grace.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stepsize.discovery import sync_directory
from stepsize.store.database import rebuild
from stepsize.store.layout import MANIFESTS, make_directory
from stepsize.store.locks import Lock
from stepsize.store.manifest import Manifest, StoredFile, read_manifest, write_manifest
from stepsize.store.parquet import read_parquet, write_parquet
from stepsize.store.schema import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

GRACE_S = 600.0
"""How long a file stays that no manifest names any more."""


def writer_lock(data: Path, writer: str) -> Lock:
    """Held by whoever commits as ``writer``: its collector's sink, or one that tends what a writer has left behind."""
    return Lock(data.absolute() / MANIFESTS / f".{writer}.lock")


class LakeWriter:
    """Writes to the lake in ``data`` as ``writer``. One process at a time may, the one that holds `writer_lock`."""

    def __init__(self, data: Path, writer: str) -> None:
        self.data = data.absolute()
        self.manifest: Manifest = read_manifest(self.data, writer)
        self._sequence = self.manifest.sequence
        self._written: set[str] = set()
        self._unnamed: frozenset[str] | None = None
        self._unnamed_since_s: dict[str, float] = {}
        self._complete: set[str] = set()
        self._is_shown = True

    def write(self, table: str, partition: str, rows: pa.Table, *, level: int = 0) -> StoredFile:
        """Write a file; it is not part of the lake before :meth:`commit` names it."""
        self._sequence += 1
        name = f"{self.manifest.writer}-{self._sequence:012d}.parquet"
        path = self.data / table / partition / name
        size_bytes = write_parquet(path, rows, table, ordered=level > 0)  # what was merged is in its order
        return self._noted(StoredFile(table, partition, name, rows.num_rows, size_bytes, level))

    def adopt(self, path: Path, table: str, partition: str, rows: int, level: int) -> StoredFile:
        """Take over a file that was written beside the lake, which is not part of it before :meth:`commit` names it."""
        self._sequence += 1
        name = f"{self.manifest.writer}-{self._sequence:012d}.parquet"
        place = self.data / table / partition
        make_directory(place)
        path.replace(place / name)
        sync_directory(place)
        return self._noted(StoredFile(table, partition, name, rows, (place / name).stat().st_size, level))

    def read(self, files: Iterable[StoredFile], table: str) -> pa.Table:
        """The rows of ``files``, which all belong to ``table``."""
        return read_parquet([self.data / stored.path for stored in files], table)

    def commit(self, manifest: Manifest, *, show: bool = True) -> Manifest:
        """Make ``manifest`` (made from :attr:`manifest` by `dataclasses.replace`) the current generation.

        The views see it when this returns, or where ``show`` is false at the next :meth:`show`, which is to come within
        seconds. A crash before the manifest's rename leaves the generation before; one between it and the views' leaves
        the views to the next commit, or to `Lake.create`.
        """
        before = set(self._named())
        committed = replace(manifest, generation=self.manifest.generation + 1, sequence=self._sequence)
        write_manifest(self.data, committed)
        self.manifest = committed
        named = set(self._named())
        if self._unnamed is not None:
            self._unnamed = (self._unnamed | before | self._written) - named
        self._written.clear()
        if before != named:
            self._is_shown = False
        if show:
            self.show()
        return committed

    def show(self) -> None:
        """Have the views see the current generation."""
        if not self._is_shown:
            rebuild(self.data, self._complete)
            self._is_shown = True

    def collect_garbage(self, now_s: float, grace_s: float = GRACE_S) -> int:
        """Delete this writer's files that no manifest has named for ``grace_s``; returns how many.

        A file counts as unnamed from the first call that finds it so: how long it was before a restart is not known.
        The first call looks through the lake for what others have left in this writer's name; those that follow know
        what was written and named since, and do not look.
        """
        unnamed = self.unnamed()
        self._unnamed_since_s = {path: self._unnamed_since_s.get(path, now_s) for path in unnamed}
        expired = [path for path, since_s in self._unnamed_since_s.items() if now_s - since_s >= grace_s]
        for path in expired:
            (self.data / path).unlink(missing_ok=True)
        self._unnamed = unnamed.difference(expired)
        return len(expired)

    def unnamed(self) -> frozenset[str]:
        """This writer's files that its manifest does not name, but for those that wait for the next commit.

        Paths are relative to the data directory.
        """
        if self._unnamed is None:
            writer = self.manifest.writer
            patterns = [f"{table}/*/*{writer}-*.parquet*" for table in SCHEMAS]
            patterns.append(f"{MANIFESTS}/.{writer}.json.*")  # one that was never renamed
            found = {path.relative_to(self.data).as_posix() for one in patterns for path in self.data.glob(one)}
            self._unnamed = frozenset(found - set(self._named()) - self._written)
        return self._unnamed

    def _noted(self, stored: StoredFile) -> StoredFile:
        self._written.add(stored.path)
        return stored

    def _named(self) -> Iterator[str]:
        return (stored.path for stored in self.manifest.files)
