"""The HTTP server at the level of bytes: what clients do that are slow, rude or clever."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from stepsize.collector.server.http import HttpConnection, HttpLimits, HttpServerState, Request, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

QUICK = HttpLimits(max_header_bytes=1000, max_body_bytes=100, read_timeout_s=0.2, idle_timeout_s=0.4, max_connections=3)


async def echo(request: Request) -> Response:
    await asyncio.sleep(0)
    return Response(200, f"{request.method} {request.path} ".encode() + request.body)


def served(client: Callable[[int, HttpServerState], Awaitable[None]], limits: HttpLimits = QUICK) -> None:
    """Run ``client`` against a server that answers with what it was sent."""

    async def main() -> None:
        state = HttpServerState(echo, limits)
        server = await asyncio.get_running_loop().create_server(lambda: HttpConnection(state), "127.0.0.1", 0)
        try:
            await asyncio.wait_for(client(server.sockets[0].getsockname()[1], state), 10)
        finally:
            server.close()

    asyncio.run(main())


async def talk(port: int, *parts: bytes, close: bool = False) -> bytes:
    """Send ``parts`` and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    if close:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+)", answer)]


def test_pipelined_requests_are_answered_in_order() -> None:
    """Requests that arrive together, cut at any byte, are answered one after the other on one connection."""
    stream = b"".join(b"POST /%d HTTP/1.1\r\ncontent-length: 2\r\n\r\nx%d" % (i, i) for i in range(5))

    async def client(port: int, _state: HttpServerState) -> None:
        for cut in (1, 7, 40, 41, len(stream)):
            answer = await talk(port, *(stream[i : i + cut] for i in range(0, len(stream), cut)))
            assert statuses(answer) == [200] * 5
            places = [answer.index(b"POST /%d x%d" % (i, i)) for i in range(5)]
            assert places == sorted(places)

    served(client)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 101\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n65\r\n" + b"x" * 101, 413),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 1001, 431),
        (b"GET /" + b"y" * 1001, 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % i for i in range(400)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nshort", 408),
        (b"POST / HT", 408),
    ],
)
def test_faults_are_answered_and_end_the_connection(sent: bytes, status: int) -> None:
    """Each fault has its status, once, and the connection ends; the server serves on."""

    async def client(port: int, state: HttpServerState) -> None:
        assert statuses(await talk(port, sent)) == [status]
        assert statuses(await talk(port, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")) == [200]
        assert not state.connections

    served(client)


def test_idle_connections_end() -> None:
    """A connection without a request ends without an answer, before one and after one."""

    async def client(port: int, _state: HttpServerState) -> None:
        assert await talk(port) == b""
        assert statuses(await talk(port, b"GET / HTTP/1.1\r\n\r\n")) == [200]

    served(client)


def test_half_closed_clients_get_their_answer() -> None:
    """A client that shuts its side down after the request still reads the answer."""

    async def client(port: int, _state: HttpServerState) -> None:
        answer = await talk(port, b"POST /a HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi", close=True)
        assert statuses(answer) == [200]

    served(client)


def test_expect_continue() -> None:
    """`100 Continue` comes for a body that will be taken; one that is too large is refused before it is sent."""

    async def client(port: int, _state: HttpServerState) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        await reader.readuntil(b"POST / hi")
        writer.close()
        large = b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 200\r\n\r\n"
        assert statuses(await talk(port, large)) == [413]

    served(client)


def test_too_many_connections_are_told_so() -> None:
    """A connection above the bound is answered 503 and ended; when others end, there is room again."""

    async def client(port: int, state: HttpServerState) -> None:
        open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(QUICK.max_connections)]
        answer = await talk(port)
        assert statuses(answer) == [503]
        assert b"retry-after" in answer
        for _, writer in open_ones:
            writer.close()
        while state.connections:  # noqa: ASYNC110 - a connection's end is no event of the server's
            await asyncio.sleep(0.01)
        assert statuses(await talk(port, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")) == [200]

    served(client)
