"""Brings the current generations of a local lake to an object store, where :mod:`stepsize.store.objects` reads them.

What comes in: a lake, an address, a client of S3 (``boto3``). What goes out: objects, and what was done. A reader of
the store sees one generation whole or the one before: files go first, then each writer's manifest in one request, which
the store takes only if nobody else has put one meanwhile. Never changes an object that a manifest names, and deletes
what no manifest has named for ten minutes. Several machines may bring their lakes to one place: each writer's files
are its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from stepsize.errors import LakeError, UnavailableError
from stepsize.store.layout import MANIFESTS, SCHEMA_FILE, check_version
from stepsize.store.locks import Lock
from stepsize.store.manifest import manifest_bytes, parse_manifest, read_manifest, read_manifests, retired_writers
from stepsize.store.writer import GRACE_S

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from stepsize.store.manifest import Manifest
    from stepsize.store.objects import Place

_LOCK_FILE = ".upload.lock"
_LOCK_TIMEOUT_S = 5.0
_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_ABSENT = frozenset({"NoSuchKey", "404"})


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


@dataclass(frozen=True, slots=True)
class _Object:
    size_bytes: int
    modified: dt.datetime


def upload(data: Path, place: Place, client: Any, now: dt.datetime) -> Uploaded:
    """Have ``place`` hold the lake in ``data`` as it is now.

    Raises:
        LakeError: there is no lake, or the store refuses.
        UnavailableError: somebody else brings the same lake there, or the lake changed too much meanwhile: try again.
    """
    if check_version(data) is None:
        raise LakeError(f"no data in {data} yet; run a flow with STEPSIZE=1, or give another --data")
    bucket = _Bucket(client, place)
    try:
        with Lock(data / _LOCK_FILE).held(_LOCK_TIMEOUT_S):
            there = bucket.objects()
            if SCHEMA_FILE not in there:
                bucket.send(data / SCHEMA_FILE, SCHEMA_FILE)
            done = Uploaded()
            # Writers that keep nothing any more are set aside here: what they kept has to go there too.
            retired = [writer for writer in retired_writers(data) if f"{MANIFESTS}/{writer}.json" in there]
            for manifest in (*read_manifests(data), *(read_manifest(data, writer) for writer in retired)):
                done += _one(data, manifest, bucket, there, now)
    except FileNotFoundError as error:
        raise UnavailableError(f"{error.filename} was replaced while it was sent; upload again") from None
    except (ClientError, BotoCoreError) as error:
        raise LakeError(f"{place} refuses: {error}") from None
    return done


def _one(data: Path, manifest: Manifest, bucket: _Bucket, there: dict[str, _Object], now: dt.datetime) -> Uploaded:
    """Bring one writer's generation: its files, its manifest, and away with what is of no generation any more."""
    name = f"{MANIFESTS}/{manifest.writer}.json"
    before, tag = bucket.manifest(name, manifest.writer)
    missing = [one for one in manifest.files if not _is_there(there.get(one.path), one.size_bytes)]
    for stored in missing:
        bucket.send(data / stored.path, stored.path)
    if before is None or before.generation < manifest.generation:
        bucket.replace(name, manifest_bytes(manifest), tag)
    deleted = 0
    if before is not None and _age_s(there.get(name), now) >= GRACE_S:
        # Who still reads the generation that was replaced just now needs its files: they go with the next upload.
        named = {one.path for one in (*before.files, *manifest.files)}
        ours = [path for path in there if f"/{manifest.writer}-" in path and path not in named]
        deleted = bucket.delete([path for path in ours if _age_s(there[path], now) >= GRACE_S])
    sent_bytes = sum(one.size_bytes for one in missing)
    return Uploaded(len(missing), sent_bytes, len(manifest.files) - len(missing), deleted)


def _is_there(found: _Object | None, size_bytes: int) -> bool:
    return found is not None and found.size_bytes == size_bytes


def _age_s(found: _Object | None, now: dt.datetime) -> float:
    return 0.0 if found is None else (now - found.modified).total_seconds()


class _Bucket:
    """The objects of one place, by their names below it."""

    def __init__(self, client: Any, place: Place) -> None:
        self._client = client
        self._place = place

    def objects(self) -> dict[str, _Object]:
        return dict(self._listed())

    def _listed(self) -> Iterator[tuple[str, _Object]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._place.bucket, Prefix=self._place.prefix):
            for one in page.get("Contents", ()):
                yield one["Key"].removeprefix(self._place.prefix), _Object(one["Size"], one["LastModified"])

    def manifest(self, name: str, writer: str) -> tuple[Manifest | None, str | None]:
        """The writer's generation there, and the tag of that object; None where there is none."""
        try:
            answer = self._client.get_object(Bucket=self._place.bucket, Key=self._place.prefix + name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _ABSENT:
                return None, None
            raise
        return parse_manifest(answer["Body"].read(), writer, f"{self._place}/{name}"), answer["ETag"]

    def send(self, path: Path, name: str) -> None:
        self._client.upload_file(str(path), self._place.bucket, self._place.prefix + name)

    def replace(self, name: str, content: bytes, tag: str | None) -> None:
        """Put a manifest in place of the one with ``tag``, or where none is."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        try:
            self._client.put_object(Bucket=self._place.bucket, Key=self._place.prefix + name, Body=content, **condition)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _CHANGED:
                raise UnavailableError(f"somebody else brings the same lake to {self._place}; upload again") from None
            raise

    def delete(self, names: list[str]) -> int:
        for name in names:
            self._client.delete_object(Bucket=self._place.bucket, Key=self._place.prefix + name)
        return len(names)
