"""The exporters that do not send: ``debug``, ``file``, ``prometheus``, as readers of a log.

What comes in: a log. What goes out: lines, a file, an endpoint to scrape. ``debug`` and ``prometheus`` show what comes
from now on; ``file`` remembers how far it has written, so that nothing acknowledged is missing in it after a kill (what
it wrote last may be there twice then).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from stepsize.collector.pipelines.debug_lines import DebugLines
from stepsize.collector.pipelines.file_writer import FileWriter, utc_now
from stepsize.collector.pipelines.following import Following
from stepsize.collector.pipelines.prometheus_series import PrometheusSeries
from stepsize.collector.server.http import HttpConnection, HttpServerState
from stepsize.collector.server.http_messages import HttpLimits, Response
from stepsize.collector.wal.positions import ReaderPosition, read_position, release, write_position
from stepsize.errors import UnavailableError
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from stepsize.collector.components.debug_exporter import DebugExporterConfig
    from stepsize.collector.components.file_exporter import FileExporterConfig
    from stepsize.collector.components.prometheus_exporter import PrometheusExporterConfig
    from stepsize.collector.server.http_messages import Request

_PAUSE_S = 0.005
_AT_ONCE = 100
"""Requests that are shown before others get a turn."""
_FILE_AGAIN_S = 1.0
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Reader:
    """What the readers have in common; starts at the first position that it hears of, unless it has one."""

    def __init__(self, directory: Path, start: WalPosition | None = None) -> None:
        self.directory = directory
        self._following: Following | None = None if start is None else Following(directory, start)
        self._started = asyncio.Event()
        self._stopping = False
        self._finishing = False

    @property
    def done(self) -> WalPosition:
        """Everything before it is read."""
        return self._following.position if self._following else WalPosition()

    def advance(self, durable: WalPosition) -> None:
        """The log can be read up to ``durable``."""
        if self._following is None:
            self._following = Following(self.directory, durable)
        self._following.advance(durable)
        self._started.set()

    async def run(self) -> None:
        """Read until :meth:`stop`, or :meth:`finish` and nothing is left."""
        await self._started.wait()
        while not self._stopping:
            if not self._read_some():
                if self._finishing:
                    return
                if self._following:
                    await self._following.wait(self.idle())
            await asyncio.sleep(0)

    def finish(self) -> None:
        """Have :meth:`run` return once all that is durable is read."""
        self._finishing = True
        self._wake()

    async def stop(self, grace_s: float) -> None:  # noqa: ARG002 - nothing of it takes time
        """Have :meth:`run` return soon."""
        self._stopping = True
        self._wake()

    def take(self, request: bytes) -> None:
        """Take one request."""
        raise NotImplementedError

    def idle(self) -> float | None:
        """Nothing is left to read; returns after how many seconds to be called again."""
        return None

    def _wake(self) -> None:
        self._started.set()
        if self._following:
            self._following.wake()

    def _read_some(self) -> bool:
        for _ in range(_AT_ONCE):
            request = self._following.next() if self._following else None
            if request is None:
                return False
            self.take(request)
        return True


class DebugReader(Reader):
    """The ``debug`` exporter."""

    def __init__(self, directory: Path, config: DebugExporterConfig, log: Callable[[str], None]) -> None:
        super().__init__(directory)
        self._lines = DebugLines(config, log, time.monotonic)

    def take(self, request: bytes) -> None:
        """Show it."""
        self._lines.consume(ExportMetricsServiceRequest.FromString(request))


class PrometheusReader(Reader):
    """The ``prometheus`` exporter."""

    def __init__(self, directory: Path, config: PrometheusExporterConfig, log: Callable[[str], None]) -> None:
        super().__init__(directory)
        self._series = PrometheusSeries(config, log)
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(
        cls, directory: Path, config: PrometheusExporterConfig, log: Callable[[str], None], listener: socket.socket
    ) -> PrometheusReader:
        """One that answers on a socket that listens."""
        made = cls(directory, config, log)
        state = HttpServerState(made.answer, HttpLimits(max_body_bytes=0, max_connections=64))
        made._server = await asyncio.get_running_loop().create_server(lambda: HttpConnection(state), sock=listener)
        return made

    def finish(self) -> None:
        """As in the base; the address is free for the next collector, which may be there before we have ended."""
        super().finish()
        if self._server:
            self._server.close()

    def take(self, request: bytes) -> None:
        """Remember its values."""
        self._series.consume(ExportMetricsServiceRequest.FromString(request), time.monotonic())

    async def answer(self, request: Request) -> Response:
        """One scrape."""
        if request.path != "/metrics":
            return Response(404, b"nothing here; there is /metrics\n")
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"use GET\n", headers=(("allow", "GET"),))
        return Response(200, self._series.text(time.monotonic()), TEXT_FORMAT)


class FileReader(Reader):
    """The ``file`` exporter."""

    def __init__(
        self,
        name: str,
        directory: Path,
        config: FileExporterConfig,
        log: Callable[[str], None],
        *,
        keep: bool,
        until: WalPosition | None = None,
    ) -> None:
        saved = read_position(directory, name) or ReaderPosition(WalPosition())
        super().__init__(directory, saved.done)
        self._name = name
        self._log = log
        self._config = config
        self._file = FileWriter(config, keep=keep or until is not None, now=utc_now)
        self._written = saved.done
        self._flushed_s = time.monotonic()
        self._is_failing = False
        self._until = until
        self._finishing = until is not None
        if until is not None:
            self.advance(until)

    @property
    def done(self) -> WalPosition:
        """Everything before it is in the file."""
        return self._written

    async def run(self) -> None:
        """As in the base; what waits is written at the end."""
        await super().run()
        if self._flush() and self._until is not None and not self._stopping:
            release(self.directory, self._name)

    async def stop(self, grace_s: float) -> None:
        """As in the base; what has been read is written."""
        await super().stop(grace_s)
        self._flush()

    def take(self, request: bytes) -> None:
        """Have it written."""
        self._file.consume(request)

    def idle(self) -> float | None:
        """Write what waits when it is time."""
        if self.done == super().done:
            return None
        left_s = self._flushed_s + self._config.flush_interval_s - time.monotonic()
        if left_s > 0:
            return left_s
        return None if self._flush() else _FILE_AGAIN_S

    def _read_some(self) -> bool:
        if self._is_failing and not self._flush():
            return False  # what waits in memory is bounded: nothing more is read until it is in the file
        more = super()._read_some()
        if more:
            is_due = time.monotonic() >= self._flushed_s + self._config.flush_interval_s
            self._try(self._flush_file if is_due else self._file.flush)
        return more

    def _flush(self) -> bool:
        """Have all that was read in the file, and say so; whether that could be done."""
        return self._try(self._flush_file)

    def _flush_file(self) -> None:
        reached = super().done
        self._flushed_s = time.monotonic()
        self._file.flush()
        if reached > self._written:
            self._file.sync()  # or a power cut would leave a position that the file has not come to
            try:
                write_position(self.directory, self._name, ReaderPosition(reached))
            except OSError as error:
                reason = f"cannot write down how far it has come in {self.directory}: {error.strerror}"
                raise UnavailableError(reason) from None
            self._written = reached

    def _try(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except UnavailableError as error:
            if not self._is_failing:
                self._log(f"{self._name}: {error}; trying again")
            self._is_failing = True
        else:
            self._is_failing = False
        return not self._is_failing
