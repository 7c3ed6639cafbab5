"""Requests that nobody has taken, on disk until somebody does.

What comes in: sealed requests. What goes out: the same bytes again, oldest first, to this agent or the next one of the
same destination. One file a request, there as a whole or not at all (temporary file, fsync, rename), compressed, whose
checksum (gzip's) tells a damaged one: that is set aside and counted. Bounded by bytes and by age, the oldest giving way
first. Standard library only. Never talks to anybody.

Any agent of the destination may add; who takes out holds the directory's lock, so that two of them, on two machines
with one home, do not send the same.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import re
import stat
import threading
import time
import uuid
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stepsize.discovery import write_whole
from stepsize.instrumentation.agent.delivery import Encoding, Request
from stepsize.instrumentation.agent.label import LABEL_FILE, Label, write_label
from stepsize.instrumentation.agent.lockfile import try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


MAX_AGE_S = 14 * 86_400.0
"""What nobody took for so long is dropped: advice is made of newer points."""
_LOCK_FILE = "owner.lock"
_DAMAGED = ".damaged"
_TEMPORARIES = ".*.gz.*"
"""What `write_whole` leaves where it is killed."""
_LEFT_BEHIND_S = 3600.0
"""A temporary file that is older belongs to nobody who lives."""
_NAME = re.compile(r"(?P<time>\d{20})-(?P<points>\d+)-[0-9a-f]{8}(?P<suffix>\.(pb|json)\.gz)")
_ENCODINGS = {encoding.suffix: encoding for encoding in Encoding}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A request that is on disk."""

    path: Path
    request: Request


@dataclass(frozen=True, slots=True)
class Entry:
    """A request's file, by what its name says."""

    path: Path
    time_unix_nano: int
    points: int
    encoding: Encoding
    size_bytes: int


class Spool:
    """The requests of one destination.

    Args:
        directory: of this destination alone; made when it is first needed.
        label: what the directory is to say of itself.
        max_bytes: files beyond it are dropped, the oldest first.
        max_age_s: files older than that are dropped.
        now_unix_s: the clock.
    """

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        label: Label | None = None,
        max_age_s: float = MAX_AGE_S,
        now_unix_s: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._label = label
        self._said: Label | None = None
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
            self._label = replace(self._label, barred=barred, reason=reason)
            if self._points:
                self._say_whose()

    def add(self, request: Request) -> None:
        """Keep a request; it is on disk when this returns.

        Raises:
            OSError: the disk is full, or the directory cannot be used.
        """
        with self._access:
            content = _compressed(request)
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
                    kept.append(self._keep(part, entry.time_unix_nano + number, _compressed(part)))
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
                    body = _content(entry.path)
                except FileNotFoundError:
                    self._forget(entry)  # somebody has cleaned up
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    self._set_aside(entry, error)
                    self._forget(entry)
                else:
                    return Spooled(entry.path, Request(body, entry.points, entry.encoding))
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
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._say_whose()
        self._keep(request, time_unix_nano, content)

    def _keep(self, request: Request, time_unix_nano: int, content: bytes) -> Entry:
        name = f"{time_unix_nano:020d}-{request.points}-{uuid.uuid4().hex[:8]}{request.encoding.suffix}"
        path = self._directory / name
        write_whole(path, content, mode=0o600)
        return Entry(path, time_unix_nano, request.points, request.encoding, len(content))

    def _own(self) -> bool:
        """Whether this agent is the one that takes out, now that it has asked."""
        if self._lock is None:
            with contextlib.suppress(FileNotFoundError):  # nothing was ever kept
                self._lock = try_lock(self._directory / _LOCK_FILE)
            if self._lock is not None:
                self._say_whose()
                self._clear_left_behind()
        return self._lock is not None

    def _look(self) -> None:
        """See what is there, and keep the bounds; what others send is not waiting here."""
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

    def _set_aside(self, entry: Entry, error: Exception) -> None:
        """A damaged file is kept for whoever wants to look at it, one at a time."""
        _log.warning("%s is damaged and was set aside: %s", entry.path, error)
        for earlier in damaged_files(self._directory):
            earlier.unlink(missing_ok=True)
        entry.path.replace(entry.path.with_name(entry.path.name + _DAMAGED))
        self._damaged += entry.points

    def _say_whose(self) -> None:
        """Label the directory; one without a label is sent all the same by whoever has its settings."""
        if self._label is None:
            return
        if self._said != self._label or not (self._directory / LABEL_FILE).exists():
            with contextlib.suppress(OSError):
                write_label(self._directory, self._label)
                self._said = self._label

    def _clear_left_behind(self) -> None:
        for path in self._directory.glob(_TEMPORARIES):
            with contextlib.suppress(OSError):
                if self._now_unix_s() - path.stat().st_mtime > _LEFT_BEHIND_S:
                    path.unlink()


def _compressed(request: Request) -> bytes:
    return gzip.compress(request.body, 1, mtime=0)


def _content(path: Path) -> bytes:
    """What was put into a file.

    Raises:
        OSError, EOFError, zlib.error: it is gone, or not what it was.
    """
    content = path.read_bytes()
    if not content:
        raise EOFError("the file is empty")  # which gzip takes for nothing compressed
    return gzip.decompress(content)


def damaged_files(directory: Path) -> list[Path]:
    """What was set aside in a directory."""
    return list(directory.glob(f"*{_DAMAGED}"))


def entries(directory: Path) -> list[Entry]:
    """The requests in a directory, oldest first; none where there is no directory."""
    found = []
    try:
        with os.scandir(directory) as files:
            for file in files:
                match = _NAME.fullmatch(file.name)
                if match is None:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    found_as = file.stat(follow_symlinks=False)
                    if not stat.S_ISREG(found_as.st_mode):
                        continue  # reading a pipe, or what a link leads to, may never end
                    encoding = _ENCODINGS[match["suffix"]]
                    found.append(
                        Entry(Path(file.path), int(match["time"]), int(match["points"]), encoding, found_as.st_size)
                    )
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda entry: entry.path.name)
