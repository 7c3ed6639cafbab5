"""What an agent that is killed leaves to the one that goes on in its place.

What comes in: live attempts, and points that nobody has taken or spooled yet. What goes out: the same, to the next
agent of the same socket, once this one is gone without having cleaned up. Files beside the socket, each there as a
whole and the user's alone; they are not synced: what they survive is the end of the process, not that of the machine,
which the spool is for. Never sends or samples; never raises: an agent without a journal is as
good as any until it is killed.

The attempts, what has been sampled since the last export and what was sealed just now are written about once a second,
in two files by turns (`slots`); a batch that is not taken soon has a file of its own until it is taken or spooled. An
agent holds a lock as long as it lives, so that the files of one that does are left alone.
"""

from __future__ import annotations

import contextlib
import logging
import marshal
import os
import sys
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.instrumentation.agent import slots
from stepsize.instrumentation.agent.lockfile import try_lock
from stepsize.instrumentation.agent.points import ResourcePoints
from stepsize.instrumentation.agent.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_EVERY_S = 1.0
_BURST_S = 0.1
_SHARE = 4000
"""The journal costs at most one part in so many of a core: the budget of sampling is not much more (decision 0008)."""
_FORMAT = ("stepsize journal", 2, sys.implementation.cache_tag)
"""What is written by one interpreter is read by the same one alone (the standard library's `marshal`)."""

_LIVE = ("0.live", "1.live")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveAttempt:
    """An attempt that was being watched.

    Attributes:
        registration: what its client said: the line of a `wire.Register`.
        pid, start: its process; when it was made, in clock ticks since boot, ``None`` where that was never known.
        progress: how far it had come.
    """

    registration: bytes
    pid: int
    start: int | None
    progress: Progress


@dataclass(frozen=True, slots=True)
class Left:
    """What a killed agent left: attempts that may live on, and batches of points, the oldest first."""

    attempts: tuple[LiveAttempt, ...] = ()
    batches: tuple[list[ResourcePoints], ...] = ()


class Journal:
    """The journal of one agent.

    Args:
        socket: the agent's socket, beside which it lies.
        boot: the running boot of the machine: pids mean nothing after the next.
    """

    def __init__(self, socket: Path, boot: str) -> None:
        self._prefix = socket.with_suffix("")
        self._boot = boot
        # Not the pid alone: in a container that is started again, the next agent may have the same one.
        self._own = f"{self._prefix.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock = _lock(self._path("lock"))
        self._slots = slots.Slots([self._path(suffix) for suffix in _LIVE])
        self._fresh: dict[int, Sequence[ResourcePoints]] = {}  # sealed, and in no file of their own
        self._noted: set[int] = set()  # of them, those that were written with the attempts
        self._sealed: list[int] = []  # in a file of their own
        self._due_s = self._written_s = 0.0
        self._is_empty = True

    def take(self) -> Left:
        """What agents that are no more have left; it is gone from disk then, so that nothing in it harms twice."""
        attempts: list[LiveAttempt] = []
        batches: list[list[ResourcePoints]] = []
        for stem, lock in self._abandoned():
            files = self._prefix.parent.glob(f"{stem}.*.batch")
            numbered = {number: rows for path in files for number, rows in _read(_content(path))}
            content, settled = slots.last([self._prefix.parent / f"{stem}.{suffix}" for suffix in _LIVE])
            open_points: list[Any] = []
            for boot, open_attempts, open_points, fresh in _read(content):  # noqa: B007 - one at most, used below
                numbered |= {number: rows for number, rows in fresh if number > settled}
                if boot == self._boot:
                    attempts += _attempts(open_attempts)
            batches += [_points(numbered[number]) for number in sorted(numbered)]
            batches.append(_points(open_points))
            for path in self._prefix.parent.glob(f"{stem}.*"):
                path.unlink(missing_ok=True)
            os.close(lock)
        return Left(tuple(attempts), tuple(batch for batch in batches if batch))

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for `write`, which is not free."""
        return self._lock is not None and now_s >= self._due_s

    def hasten(self) -> None:
        """Somebody came: a burst of them is noted together."""
        self._due_s = min(self._due_s, self._written_s + _BURST_S)

    def write(self, attempts: Iterable[LiveAttempt], points: Sequence[ResourcePoints]) -> None:
        """Note the attempts that live, and what was sampled of them since the last batch was sealed."""
        if self._lock is None:
            return
        started_s = time.thread_time()
        rows = [(each.registration, each.pid, each.start, tuple(each.progress)) for each in attempts]
        for number in self._noted:
            self._write(self._path(f"{number:012d}.batch"), (number, _rows(self._fresh.pop(number))))
            self._sealed.append(number)
        if rows or points or self._fresh or not self._is_empty:
            self._is_empty = not (rows or points or self._fresh)
            fresh = [(number, _rows(batch)) for number, batch in self._fresh.items()]
            self._write_live((self._boot, rows, _rows(points), fresh))
        self._noted = set(self._fresh)
        cost_s = time.thread_time() - started_s
        self._written_s = time.monotonic()
        self._due_s = self._written_s + max(_EVERY_S, cost_s * _SHARE)

    def seal(self, number: int, points: Sequence[ResourcePoints]) -> None:
        """Have the next `write` note a batch, by its number, until it is settled."""
        if self._lock is not None:
            self._fresh[number] = points

    def settle(self, number: int) -> None:
        """Forget the batches up to this one: they are taken, or safer elsewhere."""
        settled = [each for each in self._fresh if each <= number]
        for each in settled:
            del self._fresh[each]
        self._noted.difference_update(settled)
        if settled or (self._sealed and self._sealed[0] <= number):
            with contextlib.suppress(OSError):
                self._slots.mark(number)
        while self._sealed and self._sealed[0] <= number:
            with contextlib.suppress(OSError):
                self._path(f"{self._sealed.pop(0):012d}.batch").unlink(missing_ok=True)

    def close(self) -> None:
        """Leave nothing: this agent ends of itself."""
        if self._lock is None:
            return
        self._slots.close()
        with contextlib.suppress(OSError):
            for path in self._prefix.parent.glob(f"{self._own}.*"):
                path.unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None

    def _path(self, suffix: str) -> Path:
        return self._prefix.with_name(f"{self._own}.{suffix}")

    def _write_live(self, content: Any) -> None:
        try:
            self._slots.write(marshal.dumps((_FORMAT, content)))
        except (OSError, ValueError) as error:
            _log.debug("no journal: %s", error)

    def _write(self, path: Path, content: Any) -> None:
        temporary = path.with_suffix(".tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(marshal.dumps((_FORMAT, content)))
            temporary.replace(path)
        except (OSError, ValueError) as error:
            _log.debug("no journal: %s", error)

    def _abandoned(self) -> Iterator[tuple[str, int]]:
        """Names of agents that have ended without cleaning up, and their locks, which are ours now."""
        try:
            found = sorted(self._prefix.parent.glob(f"{self._prefix.name}.*.lock"))
        except OSError:
            return
        for path in found:
            lock = None if path.stem == self._own else _lock(path)
            if lock is not None:
                yield path.stem, lock


def _lock(path: Path) -> int | None:
    """The lock's descriptor, or ``None`` where another process holds it or there can be none."""
    try:
        return try_lock(path)
    except OSError:
        return None


def _content(path: Path) -> bytes:
    """What a file holds; nothing where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _read(content: bytes) -> list[Any]:
    """What was written, alone in a list; an empty one where it is not ours."""
    try:
        written_by, written = marshal.loads(content)  # noqa: S302 - this user's, in a closed directory
    except (ValueError, EOFError, TypeError):
        return []
    return [written] if written_by == _FORMAT else []


def _rows(points: Sequence[ResourcePoints]) -> list[Any]:
    return [(dict(each.resource), each.start_unix_nano, each.series) for each in points]


def _points(rows: list[Any]) -> list[ResourcePoints]:
    return [ResourcePoints(resource, start, series) for resource, start, series in rows]


def _attempts(rows: list[Any]) -> Iterator[LiveAttempt]:
    for registration, pid, start, progress in rows:
        yield LiveAttempt(registration, pid, start, Progress(*progress))
