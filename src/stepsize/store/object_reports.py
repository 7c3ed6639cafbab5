"""Where a lake in an object store keeps its reports: ``reports/`` below its prefix.

What comes in: files by name, days. What goes out: objects, each there whole or not at all; ``latest.json`` says which
day is the newest. A store knows no lock that ends with its holder: the right to write is a lease, an object that is put
on the condition that nobody else has meanwhile, renewed as long as its holder lives, and taken over once its word is
out.
Clocks of machines that share a lake are to agree within seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import tempfile
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.errors import BusyError, StepsizeError, UnavailableError
from stepsize.store.bucket import Bucket, connect
from stepsize.store.objects import Place
from stepsize.store.reports import DAY_FILES, LATEST, REPORTS, STATE_FILE, latest_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LEASE_S = 60.0
"""A job that was killed keeps others out for no longer."""
_POLL_S = 1.0
_LEASE = ".lease.json"
_DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})/")


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may write, and until when (seconds since 1970) without another word; ``until_s`` is 0 once it is let go."""

    holder: str
    until_s: float


class ObjectShelf:
    """The reports of the lake at ``url``; a holder that is not heard of for ``lease_s`` has lost its right."""

    def __init__(self, url: str, lease_s: float = LEASE_S, now: Callable[[], float] = time.time) -> None:
        whole = Place.of(url)
        self._place = Place(whole.bucket, f"{whole.prefix}{REPORTS}/")
        self._bucket = Bucket(connect(self._place, os.environ), self._place)
        self._lease_s = lease_s
        self._now = now
        self._holder = f"{socket.gethostname()} {uuid.uuid4()}"
        self._held_until_s = 0.0
        self._tag: str | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """As `Shelf.locked`."""
        lease, self._tag = self._lease()
        if lease is not None and lease.until_s > self._now():
            raise self._busy(lease)
        self._say(self._now() + self._lease_s)
        is_over = threading.Event()
        heart = threading.Thread(target=self._beat, args=(is_over,), daemon=True)
        heart.start()
        try:
            yield
        finally:
            is_over.set()
            heart.join()
            with contextlib.suppress(StepsizeError):  # somebody has taken it over, or it runs out by itself
                self._say(0.0)

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """As `Shelf.staging`."""
        with tempfile.TemporaryDirectory(prefix="stepsize-nightly-") as made:
            yield Path(made)

    def state(self) -> bytes | None:
        """As `Shelf.state`."""
        return self._bucket.content(STATE_FILE)[0]

    def keep(self, state: bytes) -> None:
        """As `Shelf.keep`.

        Raises:
            UnavailableError: another one may have taken over, or the store is away.
        """
        self._set(STATE_FILE, state)

    def put(self, day: str, name: str, content: bytes) -> None:
        """As `Shelf.put`."""
        self._set(f"day={day}/{name}", content)

    def get(self, day: str, name: str) -> bytes | None:
        """As `Shelf.get`."""
        return self._bucket.content(f"day={day}/{name}")[0]

    def link(self, day: str) -> None:
        """As `Shelf.link`; there are no links, ``latest.json`` says it."""
        self._set(f"{LATEST}.json", latest_bytes(day))

    def days(self) -> Sequence[str]:
        """As `Shelf.days`."""
        return sorted({found[1] for name in self._bucket.objects() if (found := _DAY.match(name))})

    def remove(self, day: str) -> None:
        """As `Shelf.remove`."""
        for name in DAY_FILES:
            self._bucket.delete(f"day={day}/{name}")

    def where(self, day: str, name: str) -> str:
        """As `Shelf.where`."""
        return self.path(f"day={day}/{name}")

    def path(self, name: str) -> str:
        """As `Shelf.path`."""
        return f"{self._place}/{name}"

    def clear(self, timeout_s: float) -> int:
        """As `Shelf.clear`."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                with self.locked():
                    return self._clear()
            except BusyError:
                if time.monotonic() >= deadline_s:
                    raise
            time.sleep(_POLL_S)

    def _clear(self) -> int:
        days = self.days()
        for day in days:
            self.remove(day)
        for name in (STATE_FILE, f"{LATEST}.json"):
            self._bucket.delete(name)
        return len(days)

    def _set(self, name: str, content: bytes) -> None:
        if self._now() >= self._held_until_s:
            raise UnavailableError(f"the right to write in {self._place} ran out; start it again")
        _, tag = self._bucket.content(name)
        self._bucket.replace(name, content, tag)

    def _beat(self, is_over: threading.Event) -> None:
        while not is_over.wait(self._lease_s / 4):
            with contextlib.suppress(StepsizeError):  # a store that is away for a moment; else the word runs out
                self._say(self._now() + self._lease_s)

    def _lease(self) -> tuple[Lease | None, str | None]:
        content, tag = self._bucket.content(_LEASE)
        try:
            return (None if content is None else Lease(**json.loads(content))), tag
        except (ValueError, TypeError):
            return None, tag  # nobody's word

    def _say(self, until_s: float) -> None:
        """Put our word in place of the one that we know.

        Raises:
            BusyError: there is another one by now.
            UnavailableError: the store is away.
        """
        said = json.dumps(asdict(Lease(self._holder, until_s))).encode() + b"\n"
        try:
            self._bucket.replace(_LEASE, said, self._tag)
        except UnavailableError:
            lease, tag = self._lease()
            if lease is not None and lease.holder != self._holder:
                raise self._busy(lease) from None
            if lease is not None:
                self._tag = tag  # our word before, whose answer was lost: the next one is put in its place
            raise
        content, tag = self._bucket.content(_LEASE)
        if content == said:
            self._tag, self._held_until_s = tag, until_s

    def _busy(self, lease: Lease) -> BusyError:
        until = time.strftime("%H:%M:%S", time.gmtime(lease.until_s))
        return BusyError(
            f"another stepsize, on {lease.holder.partition(' ')[0]}, is making the reports in {self._place}; wait for "
            f"it (where it is dead, until {until} UTC)"
        )
