"""Leaves requests in a Metaflow datastore, for those who have no collector to send to.

What comes in: sealed requests. What goes out: objects `stepsize/points/<day>/<time>-<writer>.<suffix>.gz` below the
datastore's root, each written once, by Metaflow's own storage class: whatever a task may do with the flow's datastore
it may do here. `stepsize report` takes them from there. Days bound what a reader has to list. Blocks as long as the
storage does; called from the sender's thread, where Metaflow is imported too.
"""

from __future__ import annotations

import gzip
import io
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any

from stepsize.errors import UnavailableError
from stepsize.instrumentation.agent.delivery import Answer, Delivery, Encoding, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

POINTS = "stepsize/points"

_log = logging.getLogger(__name__)


class Datastore:
    """A datastore by its ``TYPE:ROOT``, as a destination and as a source.

    Raises:
        UnavailableError: this interpreter has no Metaflow that knows the type.
    """

    def __init__(self, where: str) -> None:
        kind, _, root = where.partition(":")
        self._storage = _storage(kind, root)
        self._writer = uuid.uuid4().hex[:12]

    def send(self, request: Request) -> Answer:
        """Leave a request; never raises."""
        now_ns = time.time_ns()
        day = time.strftime("%Y-%m-%d", time.gmtime(now_ns // 10**9))
        path = f"{POINTS}/{day}/{now_ns:020d}-{self._writer}{request.encoding.suffix}"
        try:
            content = io.BytesIO(gzip.compress(request.body, 6, mtime=0))
            self._storage.save_bytes([(path, content)], overwrite=True, len_hint=1)
        except Exception as error:  # noqa: BLE001 - whatever a storage raises, the points are kept and left later
            return Answer(Delivery.LATER, f"{type(error).__name__}: {error}")
        return Answer(Delivery.TAKEN)

    def close(self) -> None:
        """Nothing is held."""

    def days(self) -> list[str]:
        """Days on which anything was left, the oldest first. Raises what the storage does."""
        found = self._storage.list_content([POINTS])
        return sorted(self._storage.basename(each.path) for each in found if not each.is_file)

    def objects(self, day: str) -> list[str]:
        """Names of what was left on a day, the oldest first. Raises what the storage does."""
        found = self._storage.list_content([f"{POINTS}/{day}"])
        names = (self._storage.basename(each.path) for each in found if each.is_file)
        return sorted(name for name in names if _encoding_of(name) is not None)

    def requests(self, day: str, names: Iterable[str]) -> Iterator[tuple[str, Request | None]]:
        """The requests of these names; ``None`` for what is gone or damaged. Raises what the storage does."""
        paths = {f"{POINTS}/{day}/{name}": name for name in names}
        with self._storage.load_bytes(list(paths)) as loaded:
            for path, file, _ in loaded:
                name = paths[path]
                encoding = _encoding_of(name)
                yield name, None if encoding is None else _request(path, file, encoding)


def _encoding_of(name: str) -> Encoding | None:
    return next((encoding for encoding in Encoding if name.endswith(encoding.suffix)), None)


def _request(path: str, file: str | None, encoding: Encoding) -> Request | None:
    try:
        with gzip.open(file or "", "rb") as content:
            return Request(content.read(), 0, encoding)
    except (OSError, EOFError) as error:
        _log.warning("%s cannot be read: %s", path, error)
        return None


def _storage(kind: str, root: str) -> Any:
    try:
        from metaflow.plugins import DATASTORES  # noqa: PLC0415 - heavy, and only where it is installed
    except ImportError as error:
        raise UnavailableError(f"no datastore without Metaflow: {error}") from None
    for storage in DATASTORES:
        if kind == storage.TYPE:
            return storage(root)
    raise UnavailableError(f"this Metaflow knows no datastore of the type {kind}")
