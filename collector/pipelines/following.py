"""Reads a log as it grows.

What comes in: a directory, a position to start from, positions up to which the log is durable. What goes out: records,
each once, in order. Never changes a file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stepsize.collector.wal.reader import read_records
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepsize.collector.wal.format import Record


class Following:
    """One reader's way through one log.

    Args:
        directory: where the log lies.
        start: nothing before it is returned.
    """

    def __init__(self, directory: Path, start: WalPosition) -> None:
        self.directory = directory
        self.position = start
        """The end of what has been returned last."""
        self._durable = WalPosition()
        self._reads_to = WalPosition()
        self._records: Iterator[tuple[Record, WalPosition]] | None = None
        self._more = asyncio.Event()

    def advance(self, durable: WalPosition) -> None:
        """The log can be read up to ``durable``."""
        if durable > self._durable:
            self._durable = durable
            self._more.set()

    def wake(self) -> None:
        """Have :meth:`wait` return."""
        self._more.set()

    def next(self) -> bytes | None:
        """The next request; None where none is durable."""
        while self._records is not None or self.position < self._durable:
            if self._records is None:
                self._records = read_records(self.directory, self.position, self._durable)
                self._reads_to = self._durable
            found = next(self._records, None)
            if found is not None:
                record, self.position = found
                return record.request
            self._records = None
            self.position = max(self.position, self._reads_to)
        return None

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return when there may be more, or after ``timeout_s``."""
        if self.position < self._durable or self._records is not None:
            return
        self._more.clear()
        try:
            await asyncio.wait_for(self._more.wait(), timeout_s)
        except asyncio.TimeoutError:
            return
