"""A server of HTTP/2 that answers each request, once it is there, with a few bytes: what the rules are tried on."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from stepsize.collector.http2.connection import Connection
from stepsize.collector.http2.headers import encoded
from stepsize.collector.http2.owner import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepsize.collector.http2.headers import Head
    from stepsize.collector.http2.streams import Stream


class _Plain(asyncio.Protocol):
    def __init__(self) -> None:
        self._http2 = Connection(self, Limits(streams=100))
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._http2.receive(data)
        self._flush()

    def _flush(self) -> None:
        self._transport.write(b"".join(self._http2.out))
        self._http2.out.clear()
        if self._http2.is_over:
            self._transport.close()

    def began(self, stream: Stream, head: Head) -> None:
        pass

    def came(self, stream: Stream, content: bytes) -> None:
        pass

    def gone(self, stream: Stream) -> None:
        pass

    def turned_away(self, bound: str) -> None:
        pass

    def ended(self, stream: Stream) -> None:
        self._http2.answer(stream, encoded([(":status", "200")]), b"hello", encoded([("x-end", "1")]))


@contextlib.contextmanager
def plain_server() -> Iterator[int]:
    """Serve in a thread; gives the port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(_Plain, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
