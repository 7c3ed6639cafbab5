"""The file of a ``file`` exporter, and its rotation.

What comes in: requests. What goes out: a file that grows, renamed with the time in its name when it is full, as
upstream's (lumberjack): ``data.json`` becomes ``data-2026-11-22T05-02-14.173.json``. A request is never cut in two by a
rotation, and what a kill cut off of one is taken away before anything follows it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.pipelines.file_end import LENGTH, end_of_lines, end_of_messages
from stepsize.collector.pipelines.json_text import json_text
from stepsize.discovery import sync_directory
from stepsize.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stepsize.collector.components.file_exporter import FileExporterConfig

_STAMP = re.compile(r"-(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.\d{3})$")
_STAMP_FORMAT = "%Y-%m-%dT%H-%M-%S.%f"
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class FileWriter:
    """The exporter.

    Args:
        config: which file, and how.
        keep: whether what is in the file stays whatever the configuration says: it is the same run of a collector.
        now: the time by our clock, in UTC.

    Raises:
        UnavailableError: the file cannot be opened, or holds something else than this exporter writes.
    """

    def __init__(self, config: FileExporterConfig, *, keep: bool, now: Callable[[], datetime]) -> None:
        self._config = config
        self._path = config.path
        self._now = now
        self._descriptor = -1
        self._size_bytes = 0
        self._is_regular = False  # else a pipe or a device: what goes there cannot be taken back, nor synced
        self._waiting: list[bytes] = []
        if config.create_directory:
            with self._explained():
                self._path.parent.mkdir(parents=True, exist_ok=True)
        self._open(keep=keep or config.append or config.rotation is not None)

    def consume(self, request: bytes) -> None:
        """Take one request; it is in the file after :meth:`flush`."""
        if self._config.format == "proto":
            self._waiting.append(LENGTH.pack(len(request)) + request)
        else:
            self._waiting.append(json_text(ExportMetricsServiceRequest.FromString(request)) + b"\n")

    def flush(self) -> None:
        """Write what waits, and rotate.

        Raises:
            UnavailableError: it cannot be written; it still waits.
        """
        while self._waiting:
            self._rotate_for(len(self._waiting[0]))
            with self._explained():
                self._write(self._waiting[0])
            del self._waiting[0]

    def sync(self) -> None:
        """Have what is in the file outlive the machine's power.

        Raises:
            UnavailableError: it may not.
        """
        if self._is_regular and self._descriptor >= 0:
            with self._explained():
                _sync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        self.sync()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, content: bytes) -> None:
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            with contextlib.suppress(OSError):  # a part of a line would spoil the next one
                os.ftruncate(self._descriptor, self._size_bytes)
            raise
        self._size_bytes += len(content)

    def _open(self, *, keep: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND | (0 if keep else os.O_TRUNC)
        with self._explained():
            self._descriptor = os.open(self._path, flags, 0o600)
            found = os.fstat(self._descriptor)
            self._size_bytes = found.st_size
            self._is_regular = stat.S_ISREG(found.st_mode)
            if self._is_regular:
                sync_directory(self._path.parent)
                self._mend()

    def _mend(self) -> None:
        """Have what is written next begin a record."""
        is_proto = self._config.format == "proto"
        with self._path.open("rb") as file:
            end = end_of_messages(file) if is_proto else end_of_lines(file)
        if end is not None:
            os.ftruncate(self._descriptor, end)
            self._size_bytes = end
        elif is_proto:
            raise UnavailableError(f"{self._path} holds something else than requests after their lengths; move it away")
        else:
            self._write(b"\n")

    def _rotate_for(self, size_bytes: int) -> None:
        rotation = self._config.rotation
        if rotation is None or not self._size_bytes or self._size_bytes + size_bytes <= rotation.max_bytes:
            return
        now = self._now()
        stamp = (now.astimezone() if rotation.localtime else now).strftime(_STAMP_FORMAT)[:-3]
        self.close()
        with self._explained():
            self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        self._open(keep=True)
        self._remove_old(now)

    def _remove_old(self, now: datetime) -> None:
        rotation = self._config.rotation
        assert rotation
        backups = sorted(
            (match[1], path)
            for path in self._path.parent.glob(f"*{self._path.suffix}")
            if path.name.startswith(f"{self._path.stem}-") and (match := _STAMP.search(path.stem))
        )
        gone = backups[: -rotation.max_backups] if rotation.max_backups else []
        if rotation.max_days:
            oldest = (now - timedelta(days=rotation.max_days)).strftime(_STAMP_FORMAT)[:-3]
            gone += [backup for backup in backups if backup[0] < oldest]
        for _, path in gone:
            with contextlib.suppress(OSError):
                path.unlink()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnavailableError(f"cannot write to {self._path}: {error.strerror}") from None


def utc_now() -> datetime:
    """The time by our clock."""
    return datetime.now(timezone.utc)
