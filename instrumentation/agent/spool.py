"""Requests that nobody has taken, on disk until somebody does.

What comes in: sealed requests. What goes out: the same bytes again, oldest first, to this agent or the next one of the
same destination. One file a request (`spool_files.py`); a damaged one is set aside and counted. Bounded by bytes and by
age, the oldest giving way first. Standard library only. Never talks to anybody.

Any agent of the destination may add; who takes out holds the directory's lock, so that two of them, on two machines
with one home, do not send the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.errors import DataError
from stepsize.instrumentation.agent.label import LABEL_FILE, Label, read_label, write_label
from stepsize.instrumentation.agent.lockfile import try_lock
from stepsize.instrumentation.agent.spool_files import (
    clear_left_behind,
    compressed,
    damaged_files,
    entries,
    read_entry,
    set_aside,
    write_entry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stepsize.instrumentation.agent.delivery import Request
    from stepsize.instrumentation.agent.spool_files import Entry

MAX_AGE_S = 14 * 86_400.0
"""What nobody took for so long is dropped: advice is made of newer points."""
_LOCK_FILE = "owner.lock"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A request that is on disk."""

    path: Path
    request: Request


class Spool:
    """The requests of one destination.

    Args:
        directory: of this destination alone; made when it is first needed.
        label: what the directory is to say of itself.
        max_bytes: files beyond it are dropped, the oldest first.
        check: raises where somebody else may have put what is in the directory, which is then not used.
        max_age_s: files older than that are dropped.
        now_unix_s: the clock.
    """

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        label: Label | None = None,
        check: Callable[[], None] = lambda: None,
        max_age_s: float = MAX_AGE_S,
        now_unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._label = label
        self._said: Label | None = None
        self._check = check
        self._max_age_s = max_age_s
        self._now_unix_s = now_unix_s
        self._access = threading.Lock()  # the sender's thread, and the agent's own at its end
        self._lock: int | None = None
        self._is_released = False
        self._waiting: list[Entry] = []
        self._points = 0
        self._dropped = 0
        self._damaged = 0

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self._directory

    @property
    def points(self) -> int:
        """Points that wait here for this agent to send them, as far as it has looked."""
        return self._points

    @property
    def dropped_points(self) -> int:
        """Points that gave way at a bound."""
        return self._dropped

    @property
    def damaged_points(self) -> int:
        """Points of files that could not be read any more, as their names say."""
        return self._damaged

    def look(self) -> None:
        """See what an earlier agent left.

        Raises:
            OSError: the directory cannot be read.
        """
        with self._access:
            self._is_released = False
            self._look()

    def note(self, reason: str, *, barred: bool) -> None:
        """Say of what waits here what the last try met; of what is kept later, as soon as it is.

        Args:
            reason: empty where all is well. Not told anew as long as something went wrong in the same way.
            barred: whether it was the credentials.
        """
        with self._access:
            if self._label is None or (self._label.barred, bool(self._label.reason)) == (barred, bool(reason)):
                return
            self._label = dataclasses.replace(self._label, barred=barred, reason=reason)
            if self._points:
                self._say_whose()

    def add(self, request: Request) -> None:
        """Keep a request; it is on disk when this returns.

        Raises:
            OSError: the disk is full, or the directory cannot be used.
        """
        with self._access:
            content = compressed(request)
            if len(content) > self._max_bytes:
                self._dropped += request.points
                return
            time_unix_nano = int(self._now_unix_s() * 1e9)
            try:
                self._make_and_keep(request, time_unix_nano, content)
            except FileNotFoundError:  # another agent has just sent all that was there, and cleared it away
                self._make_and_keep(request, time_unix_nano, content)
            self._look()

    def replace(self, spooled: Spooled, parts: Sequence[Request]) -> None:
        """Keep the parts of a request in its place, as old as it is; at no moment is any of it on disk nowhere.

        Whoever is killed in between leaves both; what comes of them is the same bytes twice.

        Raises:
            OSError: they cannot be kept, or it cannot be removed. It is there as before, and they are not.
        """
        with self._access:
            entry = next((entry for entry in self._waiting if entry.path == spooled.path), None)
            if entry is None:
                return  # it gave way at a bound, and has been counted
            kept: list[Entry] = []
            try:
                for number, part in enumerate(parts):
                    kept.append(write_entry(self._directory, part, compressed(part), entry.time_unix_nano + number))
                entry.path.unlink(missing_ok=True)
            except OSError:
                for part_entry in kept:
                    with contextlib.suppress(OSError):
                        part_entry.path.unlink(missing_ok=True)
                raise
            self._forget(entry)
            self._waiting[:0] = kept
            self._points += sum(part_entry.points for part_entry in kept)

    def oldest(self) -> Spooled | None:
        """The request that has waited longest; ``None`` where none does, or another agent sends them.

        Raises:
            OSError: the directory cannot be read.
        """
        with self._access:
            if self._lock is None or not self._waiting:
                self._is_released = False
                self._look()
            while self._waiting:
                entry = self._waiting[0]
                try:
                    return Spooled(entry.path, read_entry(entry))
                except FileNotFoundError:
                    pass  # somebody has cleaned up
                except DataError as error:
                    _log.warning("%s is damaged and was set aside: %s", entry.path, error)
                    set_aside(entry)
                    self._damaged += entry.points
                self._forget(entry)
            return None

    def remove(self, spooled: Spooled) -> None:
        """Let go of a request that was dealt with.

        Raises:
            OSError: it cannot be removed.
        """
        with self._access:
            spooled.path.unlink(missing_ok=True)
            for entry in [entry for entry in self._waiting if entry.path == spooled.path]:
                self._forget(entry)

    def release(self) -> None:
        """Let another agent send what is here, until this one looks or asks for the oldest again.

        As far as is known it waits for both: `points` stays what it was.
        """
        with self._access:
            self._is_released = True
            self._unlock()

    def clear_away(self) -> None:
        """Remove the directory, if this agent holds it and nothing is in it any more."""
        with self._access:
            if self._lock is None or entries(self._directory):
                return
            with contextlib.suppress(OSError):  # a damaged file stays, and so does what says whose it was
                if not damaged_files(self._directory):
                    for name in (LABEL_FILE, _LOCK_FILE):
                        (self._directory / name).unlink(missing_ok=True)
                    self._directory.rmdir()
            self._said = None
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make_and_keep(self, request: Request, time_unix_nano: int, content: bytes) -> None:
        self._check()
        self._directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._check()  # what is there now may be somebody else's
        self._say_whose()
        write_entry(self._directory, request, content, time_unix_nano)

    def _own(self) -> bool:
        """Whether this agent is the one that takes out, now that it has asked."""
        if self._lock is None:
            with contextlib.suppress(FileNotFoundError):  # nothing was ever kept
                self._lock = try_lock(self._directory / _LOCK_FILE)
            if self._lock is not None:
                self._say_whose()
                clear_left_behind(self._directory, self._now_unix_s())
        return self._lock is not None

    def _look(self) -> None:
        """See what is there, and keep the bounds; what others send is not waiting here."""
        self._check()
        found = self._bounded()
        self._waiting = found if self._is_released or self._own() else []
        self._points = sum(entry.points for entry in self._waiting)

    def _forget(self, entry: Entry) -> None:
        self._waiting.remove(entry)
        self._points -= entry.points

    def _bounded(self) -> list[Entry]:
        """What is left, oldest first."""
        left = entries(self._directory)
        total_bytes = sum(entry.size_bytes for entry in left)
        oldest_unix_s = self._now_unix_s() - self._max_age_s
        while left and (total_bytes > self._max_bytes or left[0].time_unix_nano < oldest_unix_s * 1e9):
            entry = left.pop(0)
            entry.path.unlink(missing_ok=True)
            total_bytes -= entry.size_bytes
            self._dropped += entry.points
            _log.warning("%d points gave way at the bound of the spool in %s", entry.points, self._directory)
        return left

    def _say_whose(self) -> None:
        """Label the directory; one without a label is sent all the same by whoever has its settings."""
        if self._label is None:
            return
        if self._said is None:
            self._said = read_label(self._directory)
            if self._said is not None and self._said.account == self._label.account and not self._label.reason:
                self._label = self._said  # why it waited holds until this agent knows better
        if self._said != self._label or not (self._directory / LABEL_FILE).exists():
            with contextlib.suppress(OSError):
                write_label(self._directory, self._label)
                self._said = self._label
