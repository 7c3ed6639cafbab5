"""Brings the current generations of a local lake to an object store, where :mod:`stepsize.store.objects` reads them.

What comes in: a lake, an address, a client of S3 (``boto3``). What goes out: objects, and what was done. A reader of
the store sees one generation whole or the one before: files go first, then each writer's manifest in one request, which
the store takes only if nobody else has put one meanwhile. Never changes an object that a manifest names, and deletes
what no manifest has named for ten minutes. Several machines may bring their lakes to one place: each writer's files
are its own, and a lake that is behind what the store has of it, or gives one of its names to another file, is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.discovery import write_whole
from stepsize.errors import LakeError, UnavailableError
from stepsize.store.bucket import Bucket, StoredObject
from stepsize.store.layout import MANIFESTS, SCHEMA_FILE, check_version, make_directory, parse_version
from stepsize.store.locks import Lock
from stepsize.store.manifest import manifest_bytes, read_manifest, read_manifests, retired_writers
from stepsize.store.writer import GRACE_S

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from stepsize.store.manifest import Manifest
    from stepsize.store.objects import Place

LOCK_FILE = ".upload.lock"
NOTES = ".upload"
"""What is known of each place besides what lies there: since when no manifest names an object."""
_LOCK_TIMEOUT_S = 5.0
_LISTED_FOR_S = 600.0
"""What was listed holds for so long, but for what was done here: others neither bring nor delete this lake's files."""
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Uploaded:
    """Files that were sent, of those named how many were there already, and objects that were deleted."""

    sent: int = 0
    sent_bytes: int = 0
    there: int = 0
    deleted: int = 0

    def __add__(self, other: Uploaded) -> Uploaded:
        return Uploaded(
            self.sent + other.sent,
            self.sent_bytes + other.sent_bytes,
            self.there + other.there,
            self.deleted + other.deleted,
        )


def upload(data: Path, place: Place, client: Any, now: dt.datetime) -> Uploaded:
    """Have ``place`` hold the lake in ``data`` as it is now; errors as of :meth:`Uploader.bring`."""
    return Uploader(data, place, client).bring(now)


class Uploader:
    """Brings the lake in ``data`` to ``place``, again and again; lists what is there once in ten minutes."""

    def __init__(self, data: Path, place: Place, client: Any) -> None:
        self._data = data
        self._place = place
        self._bucket = Bucket(client, place)
        self._there: dict[str, StoredObject] | None = None
        self._listed: dt.datetime | None = None
        name = hashlib.sha256(str(place).encode()).hexdigest()[:16]
        self._notes = data / NOTES / f"{name}.json"
        self.held: dict[str, Manifest] = {}
        """The generation of each writer that the store has, as far as it was brought here."""

    def bring(self, now: dt.datetime) -> Uploaded:
        """Have the store hold the lake as it is.

        Raises:
            LakeError: there is no lake, the store refuses, or what it has is not an earlier state of this lake.
            UnavailableError: somebody else brings the same lake there, it changed too much meanwhile, or the store
                is away: try again.
        """
        if check_version(self._data) is None:
            raise LakeError(f"no data in {self._data} yet; run a flow with STEPSIZE=1, or give another --data")
        with Lock(self._data / LOCK_FILE).held(_LOCK_TIMEOUT_S):
            try:
                return self._bring(now)
            except BaseException:
                self._there = None  # what became of the last request is not known
                raise

    def _bring(self, now: dt.datetime) -> Uploaded:
        there = self._listing(now)
        unnamed = self._unnamed_since_s()
        before = dict(unnamed)
        # Writers that keep nothing any more are set aside here: what they kept has to go there too.
        retired = [writer for writer in retired_writers(self._data) if f"{MANIFESTS}/{writer}.json" in there]
        done = Uploaded()
        for writer in (*(one.writer for one in read_manifests(self._data)), *retired):
            done += self._bring_one(writer, there, now)
            done += self._tidy(self.held[writer], there, unnamed, now.timestamp())
        gone = unnamed.keys() - there.keys()
        self._note({path: since_s for path, since_s in unnamed.items() if path not in gone}, before)
        return done

    def _listing(self, now: dt.datetime) -> dict[str, StoredObject]:
        is_old = self._listed is None or abs((now - self._listed).total_seconds()) >= _LISTED_FOR_S
        if self._there is None or is_old:
            self._there = self._bucket.objects()
            self._listed = now
            self._agree_on_version()
        return self._there

    def _agree_on_version(self) -> None:
        """Have the store carry the lake's version, before anything of it: an older stepsize is to be refused there."""
        ours = (self._data / SCHEMA_FILE).read_bytes()
        version = parse_version(ours, str(self._data))
        for is_last in (False, True):
            content, tag = self._bucket.content(SCHEMA_FILE)
            if content is not None and parse_version(content, str(self._place)) >= version:
                return
            try:
                self._bucket.replace(SCHEMA_FILE, ours, tag)
            except UnavailableError:  # another machine brings its first lake there, most likely the same version
                if is_last:
                    raise
            else:
                return

    def _bring_one(self, writer: str, there: dict[str, StoredObject], now: dt.datetime) -> Uploaded:
        """Bring one writer's generation: its files, then its manifest."""
        name = f"{MANIFESTS}/{writer}.json"
        before, tag = self._bucket.manifest(name, writer)
        manifest = read_manifest(self._data, writer)  # after that one, so that it is never older by chance
        self._check_descent(before, manifest)
        sent = sent_bytes = 0
        for tries_left in reversed(range(_TRIES)):
            missing = [one for one in manifest.files if not _is_there(there.get(one.path), one.size_bytes)]
            try:
                for stored in missing:
                    self._bucket.send(self._data / stored.path, stored.path)
                    there[stored.path] = StoredObject(stored.size_bytes, now)
                    sent, sent_bytes = sent + 1, sent_bytes + stored.size_bytes
                break
            except FileNotFoundError as error:  # merged, compacted or dropped, ten minutes ago: there is a later one
                later = read_manifest(self._data, writer)
                if later.generation == manifest.generation or not tries_left:
                    raise UnavailableError(f"{error.filename} was replaced while it was sent; upload again") from None
                manifest = later
        if before is None or before.generation < manifest.generation:
            self._bucket.replace(name, manifest_bytes(manifest), tag)
            there[name] = StoredObject(0, now)
        self.held[writer] = manifest
        return Uploaded(sent, sent_bytes, len(manifest.files) - sent)

    def _check_descent(self, before: Manifest | None, manifest: Manifest) -> None:
        """That what the store has of a writer is an earlier generation of what is here, or the same.

        A data directory that was restored from a backup or copied to another machine gives names a second time.
        """
        if before is None:
            return
        ours = {one.name: one for one in manifest.files}
        is_later = before.generation > manifest.generation or before.sequence > manifest.sequence
        is_other = before.generation == manifest.generation and before.files != manifest.files
        if is_later or is_other or any(ours.get(one.name, one) != one for one in before.files):
            raise LakeError(
                f"{self._place} has another state of this lake (writer {before.writer}, generation "
                f"{before.generation}, here {manifest.generation}), as after a backup was restored or a data directory "
                "copied; upload to another prefix"
            )

    def _tidy(
        self, manifest: Manifest, there: dict[str, StoredObject], unnamed: dict[str, float], now_s: float
    ) -> Uploaded:
        """Away with objects of a writer that no manifest has named for the grace; note since when others are not.

        Who still reads a generation that was replaced needs its files.
        """
        named = {one.path for one in manifest.files}
        deleted = 0
        for path in [path for path in there if f"/{manifest.writer}-" in path]:
            if path in named:
                unnamed.pop(path, None)
                continue
            since_s = min(unnamed.setdefault(path, now_s), now_s)
            if now_s - since_s >= GRACE_S:
                self._bucket.delete(path)
                del there[path]
                deleted += 1
        return Uploaded(deleted=deleted)

    def _unnamed_since_s(self) -> dict[str, float]:
        """Since when no manifest names an object, as it was noted; what is not known begins anew."""
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            return {str(path): float(since_s) for path, since_s in json.loads(self._notes.read_bytes()).items()}
        return {}

    def _note(self, unnamed: dict[str, float], before: dict[str, float]) -> None:
        if unnamed != before:
            make_directory(self._notes.parent)
            write_whole(self._notes, json.dumps(unnamed).encode(), mode=0o600)


def _is_there(found: StoredObject | None, size_bytes: int) -> bool:
    return found is not None and found.size_bytes == size_bytes
