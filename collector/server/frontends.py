"""The listening servers of a collector, from bound to closed.

What comes in: bound sockets, applications, TLS. What goes out: connections served, until :meth:`Frontends.close` has
let those finish that have a request. Certificates are read again while servers run; a listening socket stays, so that
nobody is turned away meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from stepsize.collector.server.http import HttpConnection, HttpServerState
from stepsize.errors import ConfigError

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine

    from stepsize.collector.server.grpc_connection import GrpcServerState
    from stepsize.collector.telemetry.log import Log
    from stepsize.listening.tls import WatchedTls

_HANDSHAKE_S = 10.0
_LAST_WORD_S = 2.0
"""What runs beside the servers may take so long for what it still has to say."""


class Frontends:
    """All servers of one collector.

    Args:
        log: takes lines for the operator.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._states: list[HttpServerState | GrpcServerState] = []
        self._end = contextlib.AsyncExitStack()

    async def serve_http(self, state: HttpServerState, listener: socket.socket, tls: WatchedTls | None = None) -> None:
        """Serve HTTP on a bound socket."""
        await self._serve(state, lambda: HttpConnection(state), listener, tls)

    async def serve_grpc(self, state: GrpcServerState, listener: socket.socket, tls: WatchedTls | None = None) -> None:
        """Serve gRPC on a bound socket."""
        from stepsize.collector.server.grpc_connection import GrpcConnection  # noqa: PLC0415 - not in an embedded one

        await self._serve(state, lambda: GrpcConnection(state), listener, tls)
        self.run_beside(state.look())

    async def _serve(
        self,
        state: HttpServerState | GrpcServerState,
        connection: Callable[[], asyncio.Protocol],
        listener: socket.socket,
        tls: WatchedTls | None,
    ) -> None:
        served = _Served(connection, listener, tls)
        await served.start()
        self._end.callback(served.close)
        self._states.append(state)
        if tls is not None and tls.interval_s is not None:
            self.run_beside(self._renew(served, tls, tls.interval_s))

    def run_beside(self, work: Coroutine[object, object, None]) -> None:
        """Run something until the servers close, and wait for its end then."""
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            await asyncio.wait({task}, timeout=_LAST_WORD_S)

        self._end.push_async_callback(end)

    def close_with(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have ``close`` called when the servers close."""
        self._end.push_async_callback(close)

    async def close(self, grace_s: float) -> None:
        """Let requests that have arrived be answered; those that would come now find nobody."""
        await self._end.aclose()
        for state in self._states:
            state.closing = True
        for connection in self._connections():
            connection.shut_down()
        deadline_s = asyncio.get_running_loop().time() + grace_s
        while self._connections():
            if asyncio.get_running_loop().time() >= deadline_s:
                break
            await asyncio.sleep(0.01)
        for connection in self._connections():
            connection.abort()

    def _connections(self) -> list[_Connection]:
        return [connection for state in self._states for connection in state.connections]

    async def _renew(self, served: _Served, tls: WatchedTls, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            try:
                if await asyncio.to_thread(tls.renew):
                    await served.start()
                    self._log.info("certificates were read again")
            except ConfigError as error:
                self._tell(error)

    def _tell(self, error: ConfigError) -> None:
        self._log.error(f"{error}; the certificates that were read before stay in use")


class _Connection(Protocol):
    """A client of either protocol."""

    def shut_down(self) -> None:
        """Answer what has arrived or is arriving, then close."""

    def abort(self) -> None:
        """Close at once."""


class _Served:
    """One listening socket and the server that accepts from it now."""

    def __init__(
        self, connection: Callable[[], asyncio.Protocol], listener: socket.socket, tls: WatchedTls | None
    ) -> None:
        self._connection = connection
        self._listener = listener
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept with the certificates as they are now; connections that are open keep theirs."""
        context = self._tls.context if self._tls else None
        server = await asyncio.get_running_loop().create_server(
            self._connection,
            sock=self._listener.dup(),
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE_S if context else None,
        )
        self.stop()
        self._server = server

    def stop(self) -> None:
        """Accept no more with the certificates as they are."""
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        """Accept no more; who tries to connect now is told at once that nobody is there."""
        self.stop()
        self._listener.close()
