"""A collector: receivers, write-ahead log and sink, from start to drained end.

What comes in: a configuration and settings. What goes out: nothing but requests acknowledged and a lake that grows. It
stops on SIGTERM, SIGINT, ``/control/stop``, and, embedded, at the end of standard input. SIGHUP has it read its
configuration again: what is as before is left alone. Stopping takes no new
requests, finishes those that run, folds the log into the lake, and takes at most :data:`DRAIN_S`: what it does not
manage stays in the log for the next one. Where the lake is in an object store, what it writes here is brought there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

from stepsize import discovery
from stepsize.collector.access.directories import exposed
from stepsize.collector.limits import CommitLimits, RequestLimits, SinkLimits
from stepsize.collector.live.renderer import Renderer
from stepsize.collector.ownership import take_ownership
from stepsize.collector.pipelines.plan import sink_batch
from stepsize.collector.pipelines.streams import SOCKET, Streams, check_addresses
from stepsize.collector.server.control_http import control_routes, with_token
from stepsize.collector.server.descriptors import raise_limit
from stepsize.collector.server.http import HttpServerState
from stepsize.collector.server.http_messages import HttpLimits
from stepsize.collector.server.in_flight import InFlight
from stepsize.collector.server.intake import Intake
from stepsize.collector.server.lake_here import LakeHere
from stepsize.collector.server.listeners import Sockets, listen_unix, remove_unix
from stepsize.collector.server.metrics_http import metrics_route
from stepsize.collector.server.otlp_http import OtlpHttp, Router
from stepsize.collector.server.parts import Parts
from stepsize.collector.server.servers import Servers
from stepsize.collector.server.sink_process import SinkProcess
from stepsize.collector.sink.settings import SinkSettings
from stepsize.collector.state import writer_id
from stepsize.collector.telemetry.configuration import ConfigurationRecord
from stepsize.collector.telemetry.exporters import observe_exporters
from stepsize.collector.telemetry.health import Health, log_check
from stepsize.collector.telemetry.process import observe_process
from stepsize.collector.telemetry.registry import Registry
from stepsize.collector.telemetry.storage import observe_log, observe_sink, observe_upload
from stepsize.collector.wal.reader import delete_covered
from stepsize.errors import RetryableError, StepsizeError
from stepsize.store.layout import check_directory
from stepsize.store.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from stepsize.collector.config.service import CollectorConfig
    from stepsize.collector.server.otlp_http import Handler
    from stepsize.collector.server.upload_process import UploadProcess
    from stepsize.collector.telemetry.log import Log
    from stepsize.settings import Settings
    from stepsize.store.locks import Lock

DRAIN_S = 20.0
_GRACE_S = 5.0
_LOOK_S = 1.0
_FRAMES_TOLD = 4


class Collector:
    """One collector; :meth:`run` is its whole life.

    Args:
        config: what it serves; an embedded one serves its Unix socket alone.
        settings: its directories.
        embedded: whether it belongs to an agent, and ends with standard input.
        log: takes lines for the operator.
        ready: called once it serves, with the addresses of its TCP listeners.
        read: gives the configuration as it is written now; raises `ConfigError` where it is wrong, or changes what
            cannot be changed while a collector runs.
        source: the file that it is read from; empty for the built-in one.
    """

    def __init__(
        self,
        config: CollectorConfig,
        settings: Settings,
        *,
        embedded: bool,
        log: Log,
        ready: Callable[[list[str]], None],
        read: Callable[[], CollectorConfig],
        source: str = "",
    ) -> None:
        self._config = config
        self._read = read
        self._changing = asyncio.Lock()
        self._settings = settings
        self._embedded = embedded
        self._log = log
        self._ready = ready
        self._stop = asyncio.Event()
        self._failure: Exception | None = None
        self._exit = contextlib.AsyncExitStack()
        self._registry = Registry()
        self._record = ConfigurationRecord(self._registry, source)
        limits = [receiver.limits.limits for receiver in config.receivers.values()] or [RequestLimits()]
        self._in_flight = InFlight(max(limit.in_flight_bytes for limit in limits))
        self._lake = None if config.is_relay else _lake(settings, log)
        self._parts = Parts(self._registry, log, self._in_flight, self._lake)
        self._own = Servers(config, self._registry, log, self._in_flight, Sockets())
        """What serves the Unix socket."""

    async def run(self) -> None:
        """Serve until told to stop, then drain.

        Raises:
            LakeError: a directory cannot be used.
            UnavailableError: a port is in use, or another collector serves the directory.
            RetryableError: the write-ahead log failed, which ended the collector.
        """
        settings = self._settings
        asyncio.get_running_loop().set_exception_handler(self._report)
        async with self._exit as end:
            if not self._embedded:  # first: a port in use must not cost anybody their embedded collector
                self._parts.bind(self._config)
                check_addresses(self._config)
            raise_limit()
            check_directory(settings.data)
            lock = await asyncio.to_thread(take_ownership, settings, embedded=self._embedded)
            end.callback(lock.release)
            for problem in exposed([settings.data, settings.state_dir]):
                self._log.warn(problem)
            upload = await self._start_upload(end)
            sink = await self._start_sink(end, upload)
            streams = await self._open_streams(sink, end)
            health = self._observe(sink, streams, upload)
            if not self._embedded:
                if self._lake:
                    end.push_async_callback(self._lake.renderer.stop)
                await self._parts.serve(lambda name: _intake(streams, name), health)
                self._obey_hangups(sink, streams, health)
            await self._serve_socket(_intake(streams, SOCKET), _flushing(sink, upload), end)
            self._watch_for_the_end(lock)
            self._ready([*self._parts.addresses, *streams.addresses])
            await self._stop.wait()
            health.ending = True
            async with self._changing:
                await asyncio.gather(self._parts.close(), self._own.frontends.close(_GRACE_S))
        if self._failure is not None:
            raise RetryableError(
                f"the write-ahead log failed: {self._failure!r}; nothing that was acknowledged is lost: start it again"
            )

    # starting

    def _sink_settings(self) -> SinkSettings:
        parquet = self._config.parquet
        batch = sink_batch(self._config)
        commit = batch.commit if batch else CommitLimits()
        return SinkSettings(
            data=self._settings.data,
            state=self._settings.state_dir,
            writer=writer_id(self._settings.state_dir),
            limits=SinkLimits(parquet.clock, parquet.rollup, commit, parquet.upkeep),
        )

    async def _start_upload(self, end: contextlib.AsyncExitStack) -> UploadProcess | None:
        """What brings the lake to an object store, where that has it; it ends after the sink."""
        settings = self._settings
        if settings.store is None or self._config.is_relay:
            return None
        from stepsize.collector.server.upload_process import UploadProcess  # noqa: PLC0415 - few have their lake there

        upload = UploadProcess(str(settings.data), settings.store, settings.state_dir, self._log)
        end.push_async_callback(upload.stop)
        await upload.start()
        return upload

    async def _start_sink(self, end: contextlib.AsyncExitStack, upload: UploadProcess | None) -> SinkProcess | None:
        """The sink; a relay has none."""
        if self._config.is_relay:
            return None
        sink = SinkProcess(self._sink_settings(), self._log)
        if upload:
            sink.on_stored = upload.stored
        await sink.start()
        end.push_async_callback(self._drain_sink, sink)
        return sink

    async def _open_streams(self, sink: SinkProcess | None, end: contextlib.AsyncExitStack) -> Streams:
        state = self._settings.state_dir
        streams = Streams(
            state,
            self._log,
            first_segment=read_manifest(self._settings.data, writer_id(state)).position.segment + 1,
            on_durable=sink.advance if sink else lambda _: None,
            on_failure=self._fail,
        )
        end.push_async_callback(streams.close)
        await streams.open(self._config)
        if sink and streams.main:
            sink.on_seal = streams.seal
            sink.advance(streams.main.durable)
        return streams

    def _observe(self, sink: SinkProcess | None, streams: Streams, upload: UploadProcess | None) -> Health:
        observe_process(self._registry, lambda: sink.pid if sink else None)
        health = Health(lambda: sink.lag_s if sink else 0.0)
        self._observe_streams(streams, health)
        health.add("exporters", streams.problem)
        if sink:
            observe_sink(self._registry, sink)
            health.add("sink", lambda: None if sink.is_alive else "the sink does not run; it is being started again")
        if upload:
            observe_upload(self._registry, upload)
            health.add("upload", upload.problem)
        return health

    def _observe_streams(self, streams: Streams, health: Health) -> None:
        observe_exporters(self._registry, streams)
        for directory, log in streams.logs.items():
            name = "main" if log is streams.main else directory.name
            observe_log(self._registry, log, name)
            health.add(f"log {name}", self._log_health(streams, directory))

    def _log_health(self, streams: Streams, directory: Path) -> Callable[[], str | None]:
        """What is wrong with a log, for as long as it is used."""
        log = streams.logs[directory]
        check = log_check(directory, self._config.parquet.wal, log.counters)
        return lambda: check() if streams.logs.get(directory) is log else None

    async def _serve_socket(
        self, intake: Intake, flush: Callable[[], Awaitable[None]], end: contextlib.AsyncExitStack
    ) -> None:
        path = discovery.collector_socket(self._settings)
        listener = listen_unix(path)
        end.callback(listener.close)
        end.callback(remove_unix, path)
        token = secrets.token_urlsafe(32)
        limits, bounds = HttpLimits(), RequestLimits()
        reception = self._own.reception("socket", "http", intake, bounds, self._own.guard("socket", bounds))
        routes: dict[str, Handler] = {
            "/v1/metrics": OtlpHttp(reception, limits.max_body_bytes),
            "/metrics": metrics_route(self._registry),
            **control_routes(flush, self._stop.set),
        }
        application = with_token(token, Router(routes))
        await self._own.frontends.serve_http(HttpServerState(application, limits, in_flight=self._in_flight), listener)
        address = discovery.CollectorAddress(
            os.getpid(), discovery.machine_id(), str(path), token, embedded=self._embedded
        )
        discovery.write_address(self._settings, address)
        end.callback(discovery.remove_address, self._settings, address)

    # changing

    def _obey_hangups(self, sink: SinkProcess | None, streams: Streams, health: Health) -> None:
        tasks: set[asyncio.Task[None]] = set()

        def change() -> None:
            task = asyncio.create_task(self._change(sink, streams, health))
            tasks.add(task)  # asyncio itself holds tasks weakly
            task.add_done_callback(tasks.discard)

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, change)

    async def _change(self, sink: SinkProcess | None, streams: Streams, health: Health) -> None:
        """Read the configuration again and do what it says; where it is wrong, what it said before."""
        async with self._changing:
            if self._stop.is_set():
                return
            read_unix_s = self._record.now_s()
            try:
                config = await asyncio.to_thread(self._read)
                self._parts.bind(config)
                await self._lead(config, streams)
            except StepsizeError as error:
                self._record.refused()
                self._log.error(f"{error}; the configuration from before goes on")
                return
            self._config = config
            self._record.loaded(read_unix_s)
            try:
                await self._parts.serve(lambda name: _intake(streams, name), health)
            except StepsizeError as error:  # the address was free a moment ago
                self._log.error(f"{error}; all else is as the configuration says now")
            self._observe_streams(streams, health)
            if sink:
                sink.configure(self._sink_settings())
            self._log(f"the configuration was read again; {', '.join([*self._parts.addresses, *streams.addresses])}")

    async def _lead(self, config: CollectorConfig, streams: Streams) -> None:
        """Have requests go where ``config`` says."""
        try:
            await streams.open(config)
        except StepsizeError:
            self._parts.unbind()
            raise

    # ending

    def _watch_for_the_end(self, lock: Lock) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(_LOOK_S, self._look_at_directory, lock)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._embedded:
            threading.Thread(target=_wait_for_eof, args=(loop, self._stop.set), daemon=True, name="stdin").start()

    def _report(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A defect that ended a task or a callback is a line as all others are."""
        error = context.get("exception")
        where = "".join(traceback.format_exception(error)[-_FRAMES_TOLD:]) if error else ""
        self._log.error(f"a defect: {context['message']}", where=where)

    def _fail(self, failure: Exception) -> None:
        """End because of ``failure``: a collector that can keep nothing is of no use to anybody."""
        self._failure = failure
        self._stop.set()

    def _look_at_directory(self, lock: Lock) -> None:
        """End when the state directory was deleted: what is acknowledged from now on could never be found again."""
        if lock.is_in_place():
            asyncio.get_running_loop().call_later(_LOOK_S, self._look_at_directory, lock)
        else:
            self._log(f"{self._settings.state_dir} was taken away; ending")
            self._stop.set()

    async def _drain_sink(self, sink: SinkProcess) -> None:
        if not await sink.stop(DRAIN_S):
            self._log("the sink did not finish in time; the next collector goes on from the write-ahead log")
            return
        settings = self._settings
        delete_covered(settings.state_dir, read_manifest(settings.data, sink.writer).settled)


def _lake(settings: Settings, log: Log) -> LakeHere:
    home = settings.state_dir
    return LakeHere(settings.data, home, Renderer(settings.data, home, log, settings.store), settings.store)


def _intake(streams: Streams, receiver: str) -> Intake:
    entrance = streams.entrance(receiver)
    return Intake(entrance, [entrance.closed])


def _flushing(sink: SinkProcess | None, upload: UploadProcess | None) -> Callable[[], Awaitable[None]]:
    """What has everything that is durable shown where the lake is; a relay shows nothing."""

    async def flush() -> None:
        if sink:
            await sink.flush()
        if sink and upload:
            await upload.flush()

    return flush


def _wait_for_eof(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        while os.read(sys.stdin.fileno(), 1 << 12):
            pass
    with contextlib.suppress(RuntimeError):  # it has ended already
        loop.call_soon_threadsafe(stop)


def run(
    config: CollectorConfig,
    settings: Settings,
    *,
    embedded: bool,
    log: Log,
    ready: Callable[[list[str]], None],
    read: Callable[[], CollectorConfig],
    source: str = "",
) -> None:
    """Run a collector in this process until it is told to stop (see :class:`Collector`)."""

    collector = Collector(config, settings, embedded=embedded, log=log, ready=ready, read=read, source=source)
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        asyncio.run(collector.run())
    else:
        uvloop.run(collector.run())
