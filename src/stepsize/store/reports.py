"""Where a lake keeps the reports that are made of it: ``reports/`` in its data directory.

What comes in: files by name, days. What goes out: files that are there whole or not at all, and a link to the newest
day. Never touches what is not its own: other files in a day's directory stay, and keep it.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stepsize.discovery import write_whole
from stepsize.errors import BusyError, LakeError
from stepsize.store.layout import make_directory
from stepsize.store.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REPORTS = "reports"
LATEST = "latest"
REPORT_FILES = tuple(
    f"{name}.{suffix}"
    for name, suffixes in (("report", ("json", "html", "md")), ("comparison", ("json", "html", "md", "csv", "txt")))
    for suffix in suffixes
)
SNAPSHOT_FILE = "steps.json"
"""What the next report is compared with."""
ROWS_FILE = "report.parquet"
"""What SQL shows of the report: reading a year of JSON takes minutes."""
DAY_FILES = (*REPORT_FILES, SNAPSHOT_FILE, ROWS_FILE)
STATE_FILE = ".state.json"
_LOCK = ".lock"
_MAKING = ".making"
_DAY = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
_LEFT = re.compile(r"\.(.+)\.\w{8}")
_OWN = frozenset((*DAY_FILES, STATE_FILE, f"{LATEST}.json"))


class Shelf(Protocol):
    """Reports of one lake, wherever it lies. Errors of the disk or the store are `LakeError`."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """The right to write here, which one process at a time has.

        Raises:
            BusyError: another one has it.
        """
        ...

    def staging(self) -> contextlib.AbstractContextManager[Path]:
        """An empty directory of this machine, in which a day's files are made before they are put here."""
        ...

    def state(self) -> bytes | None:
        """What the last holder of the lock kept; None where nothing."""
        ...

    def keep(self, state: bytes) -> None:
        """Have `state` answer this from now on, whatever happens."""
        ...

    def put(self, day: str, name: str, content: bytes) -> None:
        """Have a day hold this file."""
        ...

    def get(self, day: str, name: str) -> bytes | None:
        """A day's file, None where it is not there."""
        ...

    def link(self, day: str) -> None:
        """Have ``latest`` mean this day."""
        ...

    def days(self) -> Sequence[str]:
        """The days that are here, oldest first."""
        ...

    def remove(self, day: str) -> None:
        """Delete a day's files."""
        ...

    def where(self, day: str, name: str) -> str:
        """Where people find a day's file."""
        ...

    def path(self, name: str) -> str:
        """Where people find a file that is of no day."""
        ...

    def clear(self, timeout_s: float) -> int:
        """Delete all reports and what the next one would be compared with; of how many days there were any.

        Raises:
            UnavailableError: some are still being made after ``timeout_s``.
        """
        ...


class LocalShelf:
    """The reports of the lake in ``data``."""

    def __init__(self, data: Path) -> None:
        self._root = data.absolute() / REPORTS

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """As `Shelf.locked`; the kernel lets go of it when the process ends."""
        with self._told():
            make_directory(self._root)
        lock = Lock(self._root / _LOCK)
        if not lock.try_acquire():
            raise BusyError(f"another stepsize is making the reports in {self._root}; wait for it")
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """As `Shelf.staging`; what one that was killed has left goes first."""
        making = self._root / _MAKING
        with self._told():
            shutil.rmtree(making, ignore_errors=True)
            make_directory(making)
            directory = Path(tempfile.mkdtemp(dir=making))  # no name that a process of the killed one may still know
        try:
            yield directory
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def state(self) -> bytes | None:
        """As `Shelf.state`."""
        return self._read(self._root / STATE_FILE)

    def keep(self, state: bytes) -> None:
        """As `Shelf.keep`."""
        with self._told():
            write_whole(self._root / STATE_FILE, state, mode=0o600)

    def put(self, day: str, name: str, content: bytes) -> None:
        """As `Shelf.put`."""
        with self._told():
            make_directory(self._day(day))
            write_whole(self._day(day) / name, content)

    def get(self, day: str, name: str) -> bytes | None:
        """As `Shelf.get`."""
        return self._read(self._day(day) / name)

    def link(self, day: str) -> None:
        """As `Shelf.link`; ``latest.json`` says it too, for systems without links."""
        with self._told():
            write_whole(self._root / f"{LATEST}.json", latest_bytes(day))
            made = self._root / f".{LATEST}"
            made.unlink(missing_ok=True)
            with contextlib.suppress(NotImplementedError, PermissionError):  # Windows asks for a privilege
                made.symlink_to(self._day(day).name, target_is_directory=True)
                made.replace(self._root / LATEST)

    def days(self) -> Sequence[str]:
        """As `Shelf.days`."""
        with self._told():
            if not self._root.is_dir():
                return ()
            found = (_DAY.fullmatch(path.name) for path in self._root.iterdir())
            return sorted(one[1] for one in found if one)

    def remove(self, day: str) -> None:
        """As `Shelf.remove`."""
        with self._told():
            for name in DAY_FILES:
                (self._day(day) / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody keeps a file of their own in it
                self._day(day).rmdir()

    def where(self, day: str, name: str) -> str:
        """As `Shelf.where`."""
        return str(self._day(day) / name)

    def path(self, name: str) -> str:
        """As `Shelf.path`."""
        return str(self._root / name)

    def clear(self, timeout_s: float) -> int:
        """As `Shelf.clear`."""
        if not self._root.is_dir():
            return 0
        with Lock(self._root / _LOCK).held(timeout_s), self._told():
            self._sweep()
            days = self.days()
            for day in days:
                self.remove(day)
            for name in (STATE_FILE, LATEST, f"{LATEST}.json"):
                (self._root / name).unlink(missing_ok=True)
            shutil.rmtree(self._root / _MAKING, ignore_errors=True)
            return len(days)

    def _sweep(self) -> None:
        """Delete what one that was killed had not put in its place yet (`write_whole`)."""
        with self._told():
            for directory in (self._root, *map(self._day, self.days())):
                for path in directory.iterdir():
                    if (left := _LEFT.fullmatch(path.name)) and left[1] in _OWN:
                        path.unlink(missing_ok=True)
            (self._root / f".{LATEST}").unlink(missing_ok=True)

    def _day(self, day: str) -> Path:
        return self._root / f"day={day}"

    def _read(self, path: Path) -> bytes | None:
        with self._told():
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self._root
            raise LakeError(f"cannot keep reports: {where}: {error.strerror}; make room, or mend its mode") from None


def latest_bytes(day: str) -> bytes:
    """The content of ``latest.json``."""
    return json.dumps({"day": day}).encode() + b"\n"
