"""The logs of a collector, what feeds them and who reads them besides the sink; all of it can be changed while it runs.

What comes in: a configuration, later another one. What goes out: an :class:`Entrance` for each receiver, which stays
the same object whatever is configured behind it. Nothing acknowledged is lost over a change: what an exporter has not
sent yet of a log that is no longer written to, it sends from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from stepsize.collector.components.file_exporter import FileExporterConfig
from stepsize.collector.components.memory_limiter_processor import memory_gate
from stepsize.collector.components.otlp_exporter import OtlpExporterConfig
from stepsize.collector.components.otlphttp_exporter import OtlpHttpExporterConfig
from stepsize.collector.components.prometheus_exporter import PrometheusExporterConfig
from stepsize.collector.pipelines.entrance import Entrance, Way, queue_gate
from stepsize.collector.pipelines.exporting import ExportingProcess
from stepsize.collector.pipelines.fanout import appender
from stepsize.collector.pipelines.plan import LogPlan, memory_limiters, plan_logs, routes, socket_receiver
from stepsize.collector.pipelines.settings import ExportingSettings, LogSettings
from stepsize.collector.server.listeners import listen_tcp
from stepsize.collector.state import LOGS, make_state_directory
from stepsize.collector.wal.positions import ReaderPosition, read_position, readers, release, write_position
from stepsize.collector.wal.reader import bytes_between, end_of, segments
from stepsize.collector.wal.writer import WalWriter
from stepsize.errors import StepsizeError
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stepsize.collector.config.language import Endpoint
    from stepsize.collector.config.service import CollectorConfig
    from stepsize.collector.telemetry.log import Log

SOCKET = ""
"""The collector's own Unix socket, which no receiver is named for."""
_REMEMBER = (OtlpExporterConfig, OtlpHttpExporterConfig, FileExporterConfig)
"""Exporters that remember how far they have come."""


def check_addresses(config: CollectorConfig) -> None:
    """See that exporters can listen where they are to.

    Raises:
        UnavailableError: one cannot.
    """
    for name, one in config.exporters.items():
        if isinstance(one, PrometheusExporterConfig):
            listen_tcp(one.endpoint, f"exporters.{name}.endpoint").close()


class Streams:
    """All logs of one collector.

    Args:
        state: the state directory, which is the main log's.
        log: takes lines for the operator.
        first_segment: of the main log.
        on_durable: takes how far the main log is durable.
        on_failure: takes what ended a log.
    """

    def __init__(
        self,
        state: Path,
        log: Log,
        *,
        first_segment: int,
        on_durable: Callable[[WalPosition], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._state = state
        self._log = log
        self._first_segment = first_segment
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._config: CollectorConfig | None = None
        self._plans: tuple[LogPlan, ...] = ()
        self._entrances: dict[str, Entrance] = {}
        self._sockets: dict[Endpoint, socket.socket] = {}
        self._indexes: dict[Path, int] = {}
        self._exporting: ExportingProcess | None = None
        self._is_first = True
        self._past: Counter[tuple[str, str]] = Counter()
        self.logs: dict[Path, WalWriter] = {}

    @property
    def main(self) -> WalWriter | None:
        """The log that the sink reads, if there is one."""
        return self.logs.get(self._state)

    @property
    def addresses(self) -> list[str]:
        """Who listens where."""
        return [f"Prometheus on {_where(listener)}" for listener in self._sockets.values()]

    def problem(self) -> str | None:
        """Why exporters do not do their work, or None."""
        if self._exporting is None or self._exporting.is_alive:
            return None
        return "the exporters do not run; they are being started again"

    def entrance(self, receiver: str) -> Entrance:
        """The way in of a receiver, or of :data:`SOCKET`."""
        return self._entrances[receiver]

    def points(self, what: str, exporter: str) -> int:
        """How many points an exporter has `sent`, or `failed` to."""
        return self._past[what, exporter] + (self._exporting.counts[what, exporter] if self._exporting else 0)

    def backlogs(self) -> Iterator[tuple[str, Callable[[], int]]]:
        """Exporters that remember how far they have come, and how many bytes of their log wait for each."""
        for plan in self._plans:
            for name in plan.exporters:
                if self._config and isinstance(self._config.exporters[name], _REMEMBER):
                    yield name, _backlog(plan.directory, name, self.logs[plan.directory])

    async def open(self, config: CollectorConfig) -> None:
        """Do what ``config`` says, in place of what was done until now. Where that fails, nothing has changed.

        Raises:
            LakeError: a directory cannot be used.
            UnavailableError: an address cannot be listened on, or an exporter cannot begin.
        """
        before = self._config
        bound = self._bind(config)
        try:
            await self._apply(config, bound)
        except StepsizeError:
            if before is not None:
                await self._apply(before, self._bind(before))
            raise

    def seal(self) -> None:
        """Have every log go on in a new segment, so that what is read can be deleted."""
        for log in self.logs.values():
            log.seal()

    async def close(self) -> None:
        """Make what was accepted durable, send what can be sent soon, and end."""
        await asyncio.gather(*(log.close() for log in self.logs.values()))
        if self._exporting is not None:
            await self._exporting.stop(drain=True)
        for listener in self._sockets.values():
            listener.close()

    # changing

    def _bind(self, config: CollectorConfig) -> dict[Endpoint, socket.socket]:
        """Sockets for the exporters that listen: those that are bound already, and new ones."""
        bound: dict[Endpoint, socket.socket] = {}
        try:
            for name, one in config.exporters.items():
                if isinstance(one, PrometheusExporterConfig):
                    known = self._sockets.get(one.endpoint)
                    bound[one.endpoint] = known or listen_tcp(one.endpoint, f"exporters.{name}.endpoint")
        except StepsizeError:
            for endpoint, listener in bound.items():
                if endpoint not in self._sockets:
                    listener.close()
            raise
        return bound

    async def _apply(self, config: CollectorConfig, bound: dict[Endpoint, socket.socket]) -> None:
        plans = plan_logs(config, self._state)
        before = self._config
        if before is not None and plans == self._plans and _exporting(config) == _exporting(before):
            self._config = config
            self._enter(config, plans)
            return
        for plan in plans:
            if plan.directory not in self.logs:
                self.logs[plan.directory] = self._open_log(plan, config)
        if self._exporting is not None:
            self._past.update(self._exporting.counts)
            await self._exporting.stop(drain=False)
            self._exporting = None
        self._begin(config, plans)
        # What is on its way as it was before is to be in the logs before anybody says where they end for whom.
        await asyncio.gather(*(way.settled() for way in self._enter(config, plans)))
        wanted = {plan.directory for plan in plans}
        for directory in [directory for directory in self.logs if directory not in wanted]:
            await self.logs.pop(directory).close()
        self._plans, self._config = plans, config
        self._switch_sockets(bound)
        await self._export(config, plans)

    def _open_log(self, plan: LogPlan, config: CollectorConfig) -> WalWriter:
        make_state_directory(plan.directory)
        first = self._first_segment if plan.is_main else 0
        for position in readers(plan.directory).values():
            first = max([first, position.done.segment + 1, *(end.segment + 1 for end in position.sealed)])
        return WalWriter(
            plan.directory,
            first_segment=max(first, 1),
            on_durable=lambda durable: self._advance(plan.directory, durable),
            on_failure=self._on_failure,
            limits=config.parquet.wal,
        )

    def _advance(self, directory: Path, durable: WalPosition) -> None:
        if directory == self._state:
            self._on_durable(durable)
        if self._exporting is not None and directory in self._indexes:
            self._exporting.advance(self._indexes[directory], durable)

    def _begin(self, config: CollectorConfig, plans: tuple[LogPlan, ...]) -> None:
        """Have exporters that are new in a log begin with what comes now."""
        for plan in plans:
            for name in plan.exporters:
                if isinstance(config.exporters[name], _REMEMBER) and read_position(plan.directory, name) is None:
                    begin = ReaderPosition(self.logs[plan.directory].durable)
                    write_position(plan.directory, name, begin, durable=True)

    def _enter(self, config: CollectorConfig, plans: tuple[LogPlan, ...]) -> list[Way]:
        """Have every receiver's requests go the way that ``config`` says; returns the ways before."""
        ways_before = []
        gates = {name: memory_gate(one) for name, one in memory_limiters(config)}
        for name in {*config.receivers, *self._entrances, SOCKET}:
            ways = routes(config, socket_receiver(config) if name == SOCKET else name, plans)
            feeds = {directory for way in ways for directory in way.logs}
            limits = [gates[one] for way in ways for one in config.pipelines[way.pipeline].processors if one in gates]
            limits += [
                queue_gate(
                    exporter,
                    one.sending_queue.queue_size,
                    _backlog(plan.directory, exporter, self.logs[plan.directory]),
                )
                for plan in plans
                if plan.directory in feeds
                for exporter in plan.exporters
                if isinstance(one := config.exporters[exporter], (OtlpExporterConfig, OtlpHttpExporterConfig))
            ]
            entrance = self._entrances.setdefault(name, Entrance())
            ways_before.append(entrance.lead(appender(ways, self.logs) if ways else None, limits))
        return ways_before

    def _switch_sockets(self, bound: dict[Endpoint, socket.socket]) -> None:
        for endpoint, listener in self._sockets.items():
            if endpoint not in bound:
                listener.close()
        self._sockets = bound

    async def _export(self, config: CollectorConfig, plans: tuple[LogPlan, ...]) -> None:
        """Start the exporters, if there are any."""
        settings = [
            LogSettings(plan.directory, plan.exporters, plan.is_main, plan.batch) for plan in plans if plan.exporters
        ]
        self._indexes = {one.directory: index for index, one in enumerate(settings)}
        durable = [self.logs[one.directory].durable for one in settings]
        for left in self._left_over(config, plans):
            settings.append(left)
            durable.append(left.until or WalPosition())
        if not settings:
            return
        exporters = {name: config.exporters[name] for one in settings for name in one.exporters}
        listeners = {
            name: self._sockets[one.endpoint].fileno()
            for name, one in exporters.items()
            if isinstance(one, PrometheusExporterConfig)
        }
        exporting = ExportingProcess(
            ExportingSettings(self._state, exporters, _signing(config), tuple(settings), listeners, self._is_first),
            durable,
            self._log,
        )
        self._exporting = exporting
        try:
            await exporting.start()
        except StepsizeError:
            self._exporting = None
            raise
        self._is_first = False

    def _left_over(self, config: CollectorConfig, plans: tuple[LogPlan, ...]) -> Iterator[LogSettings]:
        """Logs from which an exporter has still to send what another configuration gave it; the rest is given up."""
        live = {plan.directory: plan for plan in plans}
        directories = [self._state, *sorted(path for path in (self._state / LOGS).glob("*") if path.is_dir())]
        for directory in directories:
            kept = False
            for name, position in readers(directory).items():
                remembers = isinstance(config.exporters.get(name), _REMEMBER)
                if directory in live and name in live[directory].exporters and remembers:
                    continue
                until = self.logs[directory].durable if directory in live else _end(directory)
                waiting = bytes_between(directory, position.done, until)
                if waiting and remembers:
                    kept = True
                    yield LogSettings(directory, (name,), directory == self._state or directory in live, None, until)
                    continue
                if waiting:
                    self._log.warn(f"{name} is used no more: {waiting} bytes that it had not sent are given up")
                release(directory, name)
            if not kept and directory not in live and directory != self._state:
                with contextlib.suppress(OSError):
                    shutil.rmtree(directory)


def _exporting(config: CollectorConfig) -> tuple[Any, ...]:
    """What the exporters' process depends on."""
    return config.exporters, _signing(config)


def _signing(config: CollectorConfig) -> dict[str, Any]:
    """The extensions that sign the requests of exporters."""
    named = {name: getattr(exporter, "auth", None) for name, exporter in config.exporters.items()}
    return {name: config.extensions[auth.authenticator] for name, auth in named.items() if auth is not None}


def _end(directory: Path) -> WalPosition:
    found = segments(directory)
    return end_of(directory, found[-1]) if found else WalPosition()


def _backlog(directory: Path, exporter: str, log: WalWriter) -> Callable[[], int]:
    """How many bytes of a log wait for an exporter."""

    def read() -> int:
        position = read_position(directory, exporter)
        return bytes_between(directory, position.done, log.durable) if position else 0

    return read


def _where(listener: socket.socket) -> Any:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
