"""The objects of one place in an object store, by their names below it, as whoever writes there needs them.

What comes in: AWS's own variables and files, a place. What goes out: objects, and what the store says of them; where it
refuses or is away, one line that holds no secret. Retries what S3's clients retry, and nothing else. Needs ``boto3``.
"""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.errors import LakeError, StepsizeError, UnavailableError, UsageError
from stepsize.store.manifest import parse_manifest
from stepsize.store.objects import endpoint

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from stepsize.store.manifest import Manifest
    from stepsize.store.objects import Place

_CHANGED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
_ABSENT = frozenset({"NoSuchKey", "404"})
_LATER = frozenset({"SlowDown", "RequestTimeout", "Throttling", "ThrottlingException"})
_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a listing says of an object."""

    size_bytes: int
    modified: dt.datetime


def connect(place: Place, environ: Mapping[str, str]) -> Any:
    """A client of the store that ``environ`` and AWS's files name; nothing is asked of it yet.

    Raises:
        UsageError: boto3 is not installed.
        LakeError: what they say makes no client.
    """
    if importlib.util.find_spec("boto3") is None:
        raise UsageError("writing to s3:// needs a package that is not here: pip install 'stepsize[s3]'")
    import boto3  # noqa: PLC0415 - an extra, and heavy
    from botocore.config import Config  # noqa: PLC0415 - as above

    with told(place):
        return boto3.client("s3", endpoint_url=endpoint(environ), config=Config(connect_timeout=_CONNECT_S))


@contextlib.contextmanager
def told(place: Place) -> Iterator[None]:
    """Say what the client raises in one line.

    Raises:
        UnavailableError: the store is away or busy: try again.
        LakeError: it refuses, or was never asked.
    """
    from boto3.exceptions import Boto3Error  # noqa: PLC0415 - an extra, and heavy
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise _said(place, error) from None
    except ValueError as error:  # of an endpoint that is no address
        raise LakeError(f"cannot reach {place}: {error}; see AWS_ENDPOINT_URL") from None


def _said(place: Place, error: Exception) -> StepsizeError:
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004, PLC0415 - as above

    cause = error.__context__ if isinstance(error.__context__, ClientError) else error
    line = " ".join(str(cause).split())
    if isinstance(cause, ClientError):
        status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or _code(cause) in _LATER:
            return UnavailableError(f"{place} is not there now: {line}; try again")
    elif isinstance(cause, (ConnectionError, HTTPClientError)):
        return UnavailableError(f"{place} is not there now: {line}; try again")
    return LakeError(f"{place} refuses: {line}")


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


class Bucket:
    """The objects of one place; errors of each method as of :func:`told`."""

    def __init__(self, client: Any, place: Place) -> None:
        self._client = client
        self._place = place

    def objects(self) -> dict[str, StoredObject]:
        """Everything that is there."""
        with told(self._place):
            return dict(self._listed())

    def _listed(self) -> Iterator[tuple[str, StoredObject]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._place.bucket, Prefix=self._place.prefix):
            for one in page.get("Contents", ()):
                yield one["Key"].removeprefix(self._place.prefix), StoredObject(one["Size"], one["LastModified"])

    def manifest(self, name: str, writer: str) -> tuple[Manifest | None, str | None]:
        """The writer's generation there, and the tag of that object; None where there is none."""
        content, tag = self.content(name)
        return (None, None) if content is None else (parse_manifest(content, writer, f"{self._place}/{name}"), tag)

    def content(self, name: str) -> tuple[bytes | None, str | None]:
        """What an object holds, and its tag; None where there is none."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra, and heavy

        with told(self._place):
            try:
                answer = self._client.get_object(Bucket=self._place.bucket, Key=self._place.prefix + name)
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None, None
                raise
            return answer["Body"].read(), answer["ETag"]

    def send(self, path: Path, name: str) -> None:
        """Bring a file; FileNotFoundError where it is gone."""
        with told(self._place):
            self._client.upload_file(str(path), self._place.bucket, self._place.prefix + name)

    def replace(self, name: str, content: bytes, tag: str | None) -> None:
        """Put an object in place of the one with ``tag``, or where none is.

        Raises:
            UnavailableError: there is another one by now.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra, and heavy

        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with told(self._place):
            try:
                key = self._place.prefix + name
                self._client.put_object(Bucket=self._place.bucket, Key=key, Body=content, **condition)
            except ClientError as error:
                if _code(error) in _CHANGED:
                    said = f"somebody else brings the same lake to {self._place}; upload again"
                    raise UnavailableError(said) from None
                raise

    def delete(self, name: str) -> None:
        """Take an object away, if it is there."""
        with told(self._place):
            self._client.delete_object(Bucket=self._place.bucket, Key=self._place.prefix + name)
