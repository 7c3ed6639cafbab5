"""A collector: receivers, write-ahead log and sink, from start to drained end.

What comes in: a configuration and settings. What goes out: nothing but requests acknowledged and a lake that grows. It
stops on SIGTERM, SIGINT, ``/control/stop``, and, embedded, at the end of standard input. Stopping takes no new
requests, finishes those that run, folds the log into the lake, and takes at most :data:`DRAIN_S`: what it does not
manage stays in the log for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from stepsize import discovery
from stepsize.collector.components.batch_processor import BatchConfig
from stepsize.collector.components.debug_exporter import DebugExporterConfig, debug_observer
from stepsize.collector.components.health_check_extension import HealthCheckConfig, health_handler
from stepsize.collector.components.memory_limiter_processor import MemoryLimiterConfig, memory_gate
from stepsize.collector.components.otlp_receiver import HttpConfig, OtlpReceiverConfig
from stepsize.collector.config.language import Endpoint
from stepsize.collector.limits import SinkLimits
from stepsize.collector.ownership import take_ownership
from stepsize.collector.server.control_http import control_routes, with_token
from stepsize.collector.server.http import HttpConnection, HttpLimits, HttpServerState
from stepsize.collector.server.intake import Intake
from stepsize.collector.server.listeners import listen_tcp, listen_unix, remove_unix
from stepsize.collector.server.otlp_http import OtlpHttp, Router
from stepsize.collector.server.sink_process import SinkProcess
from stepsize.collector.sink.settings import SinkSettings
from stepsize.collector.state import writer_id
from stepsize.collector.wal.reader import delete_covered
from stepsize.collector.wal.writer import WalWriter
from stepsize.errors import RetryableError
from stepsize.store.layout import check_directory
from stepsize.store.manifest import read_manifest

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from stepsize.collector.config.service import CollectorConfig
    from stepsize.collector.server.otlp_http import Handler
    from stepsize.settings import Settings
    from stepsize.store.locks import Lock

DRAIN_S = 20.0
_GRACE_S = 5.0
_LOOK_S = 1.0


class _Listener(NamedTuple):
    config: HttpConfig | HealthCheckConfig
    socket: socket.socket


class Collector:
    """One collector; :meth:`run` is its whole life.

    Args:
        config: what it serves; an embedded one serves its Unix socket alone.
        settings: its directories.
        embedded: whether it belongs to an agent, and ends with standard input.
        log: takes a line for the operator.
        ready: called once it serves, with the addresses of its TCP listeners.
    """

    def __init__(
        self,
        config: CollectorConfig,
        settings: Settings,
        *,
        embedded: bool,
        log: Callable[[str], None],
        ready: Callable[[list[str]], None],
    ) -> None:
        self._config = config
        self._settings = settings
        self._embedded = embedded
        self._log = log
        self._ready = ready
        self._stop = asyncio.Event()
        self._failure: Exception | None = None
        self._exit = contextlib.AsyncExitStack()
        self._http_servers: list[HttpServerState] = []

    async def run(self) -> None:
        """Serve until told to stop, then drain.

        Raises:
            LakeError: a directory cannot be used.
            UnavailableError: a port is in use, or another collector serves the directory.
            RetryableError: the write-ahead log failed, which ended the collector.
        """
        settings = self._settings
        async with self._exit as end:
            listeners = [] if self._embedded else self._listen(end)
            check_directory(settings.data)
            lock = await asyncio.to_thread(take_ownership, settings, embedded=self._embedded)
            end.callback(lock.release)
            sink = SinkProcess(self._sink_settings(), self._log)
            await sink.start()
            end.push_async_callback(self._drain_sink, sink)
            wal = self._open_wal(sink)
            end.push_async_callback(wal.close)
            intake = Intake(wal, self._gates(), self._observers())
            addresses = await self._serve_tcp(listeners, intake, end)
            await self._serve_socket(intake, sink, end)
            self._watch_for_the_end(lock)
            self._ready(addresses)
            await self._stop.wait()
            await self._close_servers()
        if self._failure is not None:
            raise RetryableError(
                f"the write-ahead log failed: {self._failure!r}; nothing that was acknowledged is lost: start it again"
            )

    # starting

    def _sink_settings(self) -> SinkSettings:
        parquet = self._config.parquet
        batch = next(iter(self._config.of_kind(BatchConfig)), BatchConfig())
        return SinkSettings(
            data=self._settings.data,
            state=self._settings.state_dir,
            writer=writer_id(self._settings.state_dir),
            limits=SinkLimits(parquet.clock, parquet.rollup, batch.commit, parquet.upkeep),
        )

    def _open_wal(self, sink: SinkProcess) -> WalWriter:
        state = self._settings.state_dir
        committed = read_manifest(self._settings.data, writer_id(state)).position
        wal = WalWriter(
            state,
            first_segment=committed.segment + 1,
            on_durable=sink.advance,
            on_failure=self._fail,
            limits=self._config.parquet.wal,
        )
        sink.advance(wal.durable)
        return wal

    def _gates(self) -> list[Callable[[], str | None]]:
        return [memory_gate(config) for config in self._config.of_kind(MemoryLimiterConfig)]

    def _observers(self) -> list[Callable[[Any], None]]:
        return [debug_observer(config, self._log) for config in self._config.of_kind(DebugExporterConfig)]

    def _listen(self, end: contextlib.AsyncExitStack) -> list[_Listener]:
        """Bind the HTTP addresses first: a port in use must not cost anybody their embedded collector."""
        wanted: list[tuple[str, HttpConfig | HealthCheckConfig]] = []
        for name, receiver in self._config.receivers.items():
            if isinstance(receiver, OtlpReceiverConfig) and receiver.protocols.http:
                wanted.append((f"receivers.{name}.protocols.http.endpoint", receiver.protocols.http))
        for name, extension in self._config.extensions.items():
            if isinstance(extension, HealthCheckConfig):
                wanted.append((f"extensions.{name}.endpoint", extension))
        made = []
        for key, config in wanted:
            listener = listen_tcp(config.endpoint, key)
            end.callback(listener.close)
            made.append(_Listener(config, listener))
        return made

    async def _serve_tcp(
        self,
        listeners: list[_Listener],
        intake: Intake,
        end: contextlib.AsyncExitStack,
    ) -> list[str]:
        addresses = [] if self._embedded else await self._serve_grpc(intake, end)
        for config, listener in listeners:
            where = Endpoint(*listener.getsockname()[:2])
            if isinstance(config, HealthCheckConfig):
                await self._serve_http(Router({config.path: health_handler()}), HttpLimits(), listener, end)
                addresses.append(f"health check on {where}")
                continue
            limits = HttpLimits(
                max_body_bytes=config.max_request_body_size,
                read_timeout_s=config.read_timeout_s,
                idle_timeout_s=config.idle_timeout_s,
            )
            metrics = OtlpHttp(intake, config.max_request_body_size)
            await self._serve_http(Router({config.metrics_url_path: metrics}), limits, listener, end)
            addresses.append(f"OTLP/HTTP on {where}")
        return addresses

    async def _serve_grpc(self, intake: Intake, end: contextlib.AsyncExitStack) -> list[str]:
        addresses = []
        for name, receiver in self._config.receivers.items():
            config = receiver.protocols.grpc
            if config is None:
                continue
            # grpcio takes 20 MiB of memory: an embedded collector never gets here.
            from stepsize.collector.server.otlp_grpc import GrpcReceiver  # noqa: PLC0415

            server = GrpcReceiver(
                intake,
                max_message_bytes=config.max_message_bytes,
                max_concurrent_streams=config.max_concurrent_streams or None,
            )
            # gRPC binds by itself and does not say why it could not: ask the kernel first.
            listen_tcp(config.endpoint, f"receivers.{name}.protocols.grpc.endpoint").close()
            port = await server.start(str(config.endpoint))
            end.push_async_callback(server.stop, _GRACE_S)
            addresses.append(f"OTLP/gRPC on {Endpoint(config.endpoint.host, port)}")
        return addresses

    async def _serve_socket(self, intake: Intake, sink: SinkProcess, end: contextlib.AsyncExitStack) -> None:
        path = discovery.collector_socket(self._settings)
        listener = listen_unix(path)
        end.callback(remove_unix, path)
        token = secrets.token_urlsafe(32)
        limits = HttpLimits()
        routes: dict[str, Handler] = {
            "/v1/metrics": OtlpHttp(intake, limits.max_body_bytes),
            **control_routes(sink.flush, self._stop.set),
        }
        await self._serve_http(with_token(token, Router(routes)), limits, listener, end)
        address = discovery.CollectorAddress(
            os.getpid(), discovery.machine_id(), str(path), token, embedded=self._embedded
        )
        discovery.write_address(self._settings, address)
        end.callback(discovery.remove_address, self._settings, address)

    async def _serve_http(
        self, application: Handler, limits: HttpLimits, listener: socket.socket, end: contextlib.AsyncExitStack
    ) -> None:
        state = HttpServerState(application, limits)
        server = await asyncio.get_running_loop().create_server(lambda: HttpConnection(state), sock=listener)
        end.callback(server.close)
        self._http_servers.append(state)

    # ending

    def _watch_for_the_end(self, lock: Lock) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(_LOOK_S, self._look_at_directory, lock)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._embedded:
            threading.Thread(target=_wait_for_eof, args=(loop, self._stop.set), daemon=True, name="stdin").start()

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

    async def _close_servers(self) -> None:
        """Let requests that have arrived be answered; those that would come now find nobody."""
        for state in self._http_servers:
            state.closing = True
            for connection in list(state.connections):
                connection.shut_down()
        deadline = asyncio.get_running_loop().time() + _GRACE_S
        while any(state.connections for state in self._http_servers):
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(0.01)

    async def _drain_sink(self, sink: SinkProcess) -> None:
        if not await sink.stop(DRAIN_S):
            self._log("the sink did not finish in time; the next collector goes on from the write-ahead log")
            return
        settings = self._settings
        delete_covered(settings.state_dir, read_manifest(settings.data, sink.writer).position)


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
    log: Callable[[str], None],
    ready: Callable[[list[str]], None],
) -> None:
    """Run a collector in this process until it is told to stop (see :class:`Collector`)."""

    collector = Collector(config, settings, embedded=embedded, log=log, ready=ready)
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        asyncio.run(collector.run())
    else:
        uvloop.run(collector.run())
