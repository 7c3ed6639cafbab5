"""The HTTP server at the level of bytes: what clients do that are slow, rude or clever."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from stepsize.collector.server.http import HttpConnection, HttpServerState
from stepsize.collector.server.http_messages import HttpLimits, Request, Response
from stepsize.collector.server.in_flight import InFlight

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

QUICK = HttpLimits(max_header_bytes=1000, max_body_bytes=100, read_timeout_s=0.2, idle_timeout_s=0.4, max_connections=3)


async def echo(request: Request) -> Response:
    await asyncio.sleep(0)
    return Response(200, f"{request.method} {request.path} ".encode() + request.body)


def served(
    client: Callable[[int, HttpServerState], Awaitable[None]], limits: HttpLimits = QUICK, **state_of: Any
) -> None:
    """Run ``client`` against a server that answers with what it was sent."""

    async def main() -> None:
        state = HttpServerState(**{"application": echo, **state_of}, limits=limits)
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


def test_bodies_of_all_connections_have_one_bound() -> None:
    """Bodies that arrive together may not take more than their bound: who comes too late is told to come again."""
    in_flight = InFlight(150)

    async def client(port: int, state: HttpServerState) -> None:
        first = await asyncio.open_connection("127.0.0.1", port)
        first[1].write(b"POST /1 HTTP/1.1\r\ncontent-length: 100\r\n\r\n" + b"x" * 99)
        while in_flight.used_bytes < 99:  # noqa: ASYNC110 - arriving is no event of the server's
            await asyncio.sleep(0.01)
        whole = b"POST /2 HTTP/1.1\r\nconnection: close\r\ncontent-length: 60\r\n\r\n" + b"y" * 60
        answer = await talk(port, whole)
        assert statuses(answer) == [503]
        assert b"retry-after" in answer
        first[1].write(b"x")
        assert b"200" in await first[0].readuntil(b"POST /1 " + b"x" * 100)
        assert in_flight.used_bytes == 0
        assert statuses(await talk(port, whole)) == [200]
        first[1].write(b"POST /1 HTTP/1.1\r\ncontent-length: 100\r\n\r\n" + b"x" * 99)
        while not in_flight.used_bytes:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        first[1].close()
        while state.connections:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        assert in_flight.used_bytes == 0

    served(client, replace(QUICK, read_timeout_s=10.0), in_flight=in_flight)


def test_clients_that_do_not_read_are_let_go() -> None:
    """A client that sends on and on and never reads an answer is cut off, and is not read from meanwhile."""
    answered = 0

    async def large(_request: Request) -> Response:
        nonlocal answered
        answered += 1
        return Response(200, b"z" * 500_000)

    async def client(port: int, state: HttpServerState) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\n\r\n" * 1000)
        while not state.connections:  # noqa: ASYNC110 - being accepted is no event of the server's
            await asyncio.sleep(0.01)
        while state.connections:  # noqa: ASYNC110 - nor is being let go
            await asyncio.sleep(0.01)
        assert 0 < answered < 100
        writer.close()
        reader.feed_eof()

    served(client, replace(QUICK, write_timeout_s=0.3), application=large)


def test_headers_may_have_less_time_than_bodies() -> None:
    """Headers that do not arrive within their own time end the connection; a body has the longer one."""

    async def client(port: int, _state: HttpServerState) -> None:
        assert statuses(await talk(port, b"POST / HTTP/1.1\r\nx: y\r\n")) == [408]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.4)
        writer.write(b"hi")
        await reader.readuntil(b"POST / hi")
        writer.close()

    served(client, replace(QUICK, read_header_timeout_s=0.1, read_timeout_s=10.0))


@pytest.mark.parametrize("delay_s", [0.0, 0.05])
def test_who_may_not_send_is_not_read(delay_s: float) -> None:
    """Who is not admitted gets that answer, whether the body is there already or not; who is gets the application's."""

    async def admit(headers: Mapping[str, str]) -> Response | None:
        await asyncio.sleep(delay_s)
        return None if headers.get("who") == "ada" else Response(401, b"no")

    async def client(port: int, state: HttpServerState) -> None:
        head = b"POST / HTTP/1.1\r\nwho: %s\r\ncontent-length: 100\r\n\r\n"
        assert statuses(await talk(port, head % b"eve" + b"x")) == [401]
        assert statuses(await talk(port, head % b"eve" + b"x" * 100 + head % b"ada", close=True))[0] == 401
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(head % b"ada" + b"x" * 60)
            await asyncio.sleep(delay_s / 2)
            writer.write(b"x" * 40)
            assert await reader.readuntil(b"POST / " + b"x" * 100)
        writer.write(2 * (head % b"ada" + b"x" * 100))
        for _ in range(2):
            assert await reader.readuntil(b"POST / " + b"x" * 100)
        expecting = b"POST / HTTP/1.1\r\nwho: ada\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        writer.write(expecting)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        await reader.readuntil(b"POST / hi")
        assert statuses(await talk(port, expecting.replace(b"ada", b"eve"))) == [401]
        writer.write(head % b"ada" + b"x")
        writer.close()
        while state.connections:  # noqa: ASYNC110 - a connection's end is no event of the server's
            await asyncio.sleep(0.01)
        assert state.in_flight.used_bytes == 0

    served(client, replace(QUICK, read_timeout_s=10.0, idle_timeout_s=10.0), admit=admit, in_flight=InFlight(1000))


def test_without_keep_alive() -> None:
    """Where keep-alive is off each connection serves one request, and every answer carries what was configured."""

    async def client(port: int, _state: HttpServerState) -> None:
        answer = await talk(port, b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        assert statuses(answer) == [200]
        assert b"connection: close" in answer
        assert b"x-of-ours: yes" in answer

    served(client, replace(QUICK, keep_alive=False), headers=(("x-of-ours", "yes"),))


async def send_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 1000)
        await writer.drain()
        await asyncio.sleep(0.01)


def test_refusals_reach_who_is_still_sending() -> None:
    """A client that sends a body that was refused, to its end, reads why; one that goes on for ever is cut off."""

    async def client(port: int, state: HttpServerState) -> None:
        for head in (b"content-length: 8000000", b"transfer-encoding: chunked"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\n" + head + b"\r\n\r\n")
            for _ in range(8):
                writer.write(b"f4240\r\n" + b"x" * 1_000_000)
                await writer.drain()
                await asyncio.sleep(0.01)
            assert statuses(await reader.read()) == [413]
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\ncontent-length: 8000000\r\n\r\n")
        with pytest.raises(ConnectionError):
            await send_for_ever(writer)
        assert not state.connections

    served(client)
