"""Reports of the nightly job as the live page lists and shows them, wherever the lake keeps them.

What comes in: a data directory, or an object store's address. What goes out: days with the names of their pages, and a
page's bytes. Never writes. What is in a store is listed by a thread of its own, so that a store that is away delays no
page: meanwhile it is what was known last.
"""

from __future__ import annotations

import os
import re
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stepsize.collector.live.paths import REPORTS as PAGES
from stepsize.errors import StepsizeError, UnavailableError
from stepsize.store.reports import REPORTS, LocalShelf

if TYPE_CHECKING:
    from stepsize.store.bucket import Bucket

MOST_BYTES = 16 << 20
_NIGHTS = 14
_PAGE = re.compile(r"day=(\d{4}-\d{2}-\d{2})/([^/]+)")
_KEPT_S = 60.0
"""A store is asked for its list once in so long, while somebody looks."""
_FIRST_S = 3.0
_SLOW = "the store of the reports does not answer; try again in a moment"
_PAGE_S = 15.0
"""Less than the collector waits for a page."""

Listed = list[tuple[str, list[str]]]


class TooLargeError(Exception):
    """The page is larger than `MOST_BYTES`."""


class Nights(Protocol):
    """Where reports are."""

    @property
    def problem(self) -> str:
        """Why the list may be old; empty where it is not."""

    def listed(self) -> Listed:
        """The newest days with pages, newest first."""

    def page(self, day: str, name: str) -> bytes | None:
        """A page; None where there is none.

        Raises:
            TooLargeError: it is no page to load into a browser from here.
            StepsizeError, OSError: it cannot be read now.
        """


class LocalNights:
    """Of the lake in ``data``."""

    problem = ""

    def __init__(self, data: Path) -> None:
        self._shelf = LocalShelf(data)

    def listed(self) -> Listed:
        """As :class:`Nights`."""
        found = []
        for day in reversed(self._shelf.days()[-_NIGHTS:]):
            names = [name for name in PAGES if Path(self._shelf.where(day, name)).is_file()]
            if names:
                found.append((day, names))
        return found

    def page(self, day: str, name: str) -> bytes | None:
        """As :class:`Nights`."""
        try:
            size_bytes = Path(self._shelf.where(day, name)).stat().st_size
        except FileNotFoundError:
            return None
        if size_bytes > MOST_BYTES:
            raise TooLargeError
        return self._shelf.get(day, name)


class StoreNights:
    """Of the lake at ``url``; nothing is asked of its store until somebody looks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket: Bucket | None = None
        self._sizes: dict[tuple[str, str], int] = {}
        self._is_known, self._is_asked = threading.Event(), threading.Lock()
        self._due_s = 0.0
        self.problem = "The reports are being listed: look again in a moment."

    def listed(self) -> Listed:
        """As :class:`Nights`."""
        if time.monotonic() >= self._due_s and self._is_asked.acquire(blocking=False):
            threading.Thread(target=self._ask, daemon=True, name="list of reports").start()
        self._is_known.wait(_FIRST_S)
        days = sorted({day for day, _ in self._sizes}, reverse=True)[:_NIGHTS]
        return [(day, [name for name in PAGES if (day, name) in self._sizes]) for day in days]

    def page(self, day: str, name: str) -> bytes | None:
        """As :class:`Nights`."""
        until_s = time.monotonic() + _PAGE_S
        self.listed()
        if not self._is_known.wait(_PAGE_S - _FIRST_S):
            raise UnavailableError(_SLOW)
        bucket, size_bytes = self._bucket, self._sizes.get((day, name))
        if bucket is None or size_bytes is None:
            return None
        if size_bytes > MOST_BYTES:
            raise TooLargeError
        asked: Future[bytes | None] = Future()
        # No executor: the process would wait at its end for a store that hangs.
        work = threading.Thread(target=_answer, args=(asked, bucket, f"day={day}/{name}"), daemon=True)
        work.start()
        try:
            return asked.result(max(0.0, until_s - time.monotonic()))
        except LateError:
            raise UnavailableError(_SLOW) from None

    def _ask(self) -> None:
        try:
            self._bucket = self._bucket or _bucket(self._url)
            objects = self._bucket.objects()
        except StepsizeError as error:
            self.problem = f"The reports cannot be listed: {error}"
        else:
            found = {match: one.size_bytes for name, one in objects.items() if (match := _PAGE.fullmatch(name))}
            self._sizes = {(match[1], match[2]): size for match, size in found.items() if match[2] in PAGES}
            self.problem = ""
        finally:
            self._due_s = time.monotonic() + _KEPT_S
            self._is_known.set()
            self._is_asked.release()


def _bucket(url: str) -> Bucket:
    from stepsize.store.bucket import Bucket, connect  # noqa: PLC0415 - an extra, and heavy
    from stepsize.store.objects import Place  # noqa: PLC0415 - as above

    lake = Place.of(url)
    place = Place(lake.bucket, f"{lake.prefix}{REPORTS}/")
    return Bucket(connect(place, os.environ), place)


def _answer(asked: Future[bytes | None], bucket: Bucket, name: str) -> None:
    try:
        asked.set_result(bucket.content(name)[0])
    except Exception as error:  # noqa: BLE001 - told to who waits
        asked.set_exception(error)


def nights(data: Path, store: str | None) -> Nights:
    """Where a lake's reports are: in its store, where it has one."""
    return LocalNights(data) if store is None else StoreNights(store)
