"""A write-ahead log that a test writes, and an exporters' process that reads it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepsize.collector.components.table import COMPONENTS
from stepsize.collector.config.language import build
from stepsize.collector.pipelines.exporting import ExportingProcess
from stepsize.collector.pipelines.settings import ExportingSettings, LogSettings
from stepsize.collector.wal.positions import ReaderPosition, read_position, write_position
from stepsize.collector.wal.writer import WalWriter
from stepsize.store.manifest import WalPosition
from tests.collector.otlp import SECOND, RequestBuilder, identity

DEADLINE_S = 20.0


def exporter(kind: str, **settings: Any) -> Any:
    """The configuration of an exporter."""
    return build(COMPONENTS["exporters"][kind], settings, kind)


def request(*values: float, name: str = "loss") -> bytes:
    """A request with a gauge of these values."""
    points = [((index + 1) * SECOND, value) for index, value in enumerate(values)]
    return RequestBuilder(identity()).gauge(name, points).content()


async def wait_until(condition: Any, what: str) -> Any:
    """What ``condition`` returns once it is true."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + DEADLINE_S
    while loop.time() < deadline_s:
        if found := condition():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {DEADLINE_S} s: {what}")


@dataclass
class Exporting:
    """One log with one exporter."""

    directory: Path
    config: Any
    name: str = "one"
    batch: Any = None
    is_main: bool = False
    is_first: bool = True
    listeners: dict[str, int] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    until: WalPosition | None = None

    async def __aenter__(self) -> Exporting:  # noqa: PYI034 - Self is new in Python 3.11
        self.directory.mkdir(exist_ok=True)
        self.wal = WalWriter(self.directory, first_segment=self._first(), on_durable=self._advance)
        if read_position(self.directory, self.name) is None:
            write_position(self.directory, self.name, ReaderPosition(self.wal.durable), durable=True)
        log = LogSettings(self.directory, (self.name,), self.is_main, self.batch, self.until)
        settings = ExportingSettings(
            self.directory, {self.name: self.config}, self.extensions, (log,), self.listeners, self.is_first
        )
        self.process = ExportingProcess(settings, [self.wal.durable], self.lines.append)
        await self.process.start()
        self.drain = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.wal.close()
        await self.process.stop(drain=self.drain)

    def position(self) -> ReaderPosition:
        found = read_position(self.directory, self.name)
        assert found
        return found

    def _advance(self, durable: WalPosition) -> None:
        self.process.advance(0, durable)

    def _first(self) -> int:
        found = read_position(self.directory, self.name)
        return found.done.segment + 1 if found else 1
