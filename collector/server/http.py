"""A small HTTP/1.1 server for bounded POST bodies.

What comes in: connections. What goes out: :class:`Request` values to an application, its :class:`Response` values to
the client. Every size and time has a bound: headers, bodies, idle connections, requests that do not arrive, their
number. Never interprets a body.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools

from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


@dataclass(frozen=True, slots=True)
class Request:
    """One request; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of a server, in bytes and seconds."""

    max_header_bytes: int = 32 << 10
    max_body_bytes: int = 20 << 20
    read_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    max_connections: int = 4096


@dataclass(slots=True)
class HttpServerState:
    """What the connections of one server share."""

    application: Callable[[Request], Awaitable[Response]]
    limits: HttpLimits
    connections: set[HttpConnection] = field(default_factory=set)
    closing: bool = False


class HttpConnection(asyncio.Protocol):
    """One client. Requests that it pipelines are answered one after the other."""

    def __init__(self, state: HttpServerState) -> None:
        self._state = state
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._arriving = _Arriving()
        self._waiting: deque[Request | Response] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        self._state.connections.add(self)
        if len(self._state.connections) > self._state.limits.max_connections or self._state.closing:
            self._fail(503, "too many connections; try again later")
        else:
            self._set_timer(self._state.limits.idle_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone. What it sent and was read is still worked on: it may be on disk already."""
        self._state.connections.discard(self)
        self._set_timer(None)

    def eof_received(self) -> bool:
        """The client sends no more; it may still wait for its answer."""
        self._last = True
        return self._task is not None

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._last:
            return
        if not self._arriving.size_bytes and not self._task:
            self._set_timer(self._state.limits.read_timeout_s)
        self._arriving.size_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, _RefusedError):
                self._fail(cause.status, cause.reason)
            else:
                self._fail(400, "the request cannot be read")
        except httptools.HttpParserError:
            self._fail(400, "the request is not valid HTTP")
        else:
            self._check_header_size()

    # httptools callbacks

    def on_message_begin(self) -> None:
        """A request starts."""
        self._arriving.begun = True

    def on_url(self, url: bytes) -> None:
        """Its target, or a part of it."""
        self._arriving.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        arriving, limit = self._arriving, self._state.limits.max_header_bytes
        arriving.header_bytes += len(name) + len(value)
        if arriving.header_bytes + len(arriving.url) > limit:
            raise _RefusedError(431, f"the headers are larger than {limit} bytes")
        arriving.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """All of them: what can be refused is refused before the body is read."""
        arriving, limits = self._arriving, self._state.limits
        arriving.headers_complete = True
        arriving.method = self._parser.get_method().decode("ascii")
        length = arriving.headers.get("content-length", "")
        if length.isdigit() and int(length) > limits.max_body_bytes:
            raise _RefusedError(413, f"the body is larger than {limits.max_body_bytes} bytes")
        if self._parser.should_upgrade():
            raise _RefusedError(400, "protocol upgrades are not supported")
        if arriving.headers.get("expect", "").lower() == "100-continue" and not self._task:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Some of its body."""
        arriving = self._arriving
        arriving.body.append(body)
        arriving.body_bytes += len(body)
        if arriving.body_bytes > self._state.limits.max_body_bytes:
            raise _RefusedError(413, f"the body is larger than {self._state.limits.max_body_bytes} bytes")

    def on_message_complete(self) -> None:
        """The whole of it."""
        arriving, self._arriving = self._arriving, _Arriving()
        path = arriving.url.decode("latin-1").partition("?")[0]
        if "://" in path:
            path = "/" + path.partition("://")[2].partition("/")[2]
        self._last = self._last or not self._parser.should_keep_alive()
        self._queue(Request(arriving.method, path, arriving.headers, b"".join(arriving.body)))

    # answers

    def shut_down(self) -> None:
        """Answer what has arrived, then close."""
        self._last = True
        if self._task is None:
            self._transport.close()

    def _queue(self, item: Request | Response) -> None:
        self._waiting.append(item)
        if self._task is None:
            self._set_timer(None)
            self._transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._answer_all())
            self._task.add_done_callback(self._ended)

    async def _answer_all(self) -> None:
        while self._waiting:
            item = self._waiting.popleft()
            response = await self._answer(item) if isinstance(item, Request) else item
            self._write(response, close=self._last and not self._waiting)
        self._task = None
        if self._transport.is_closing():
            return
        if self._last or self._state.closing:
            self._transport.close()
            return
        self._transport.resume_reading()
        self._set_timer(self._state.limits.idle_timeout_s)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:  # a defect: asyncio logs it, the client must not wait
            self._transport.abort()

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._state.application(request)
        except StepsizeError as error:
            return Response(500, f"{error}\n".encode())

    def _write(self, response: Response, *, close: bool) -> None:
        if self._transport.is_closing():
            return
        lines = [
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
            f"content-type: {response.content_type}",
            f"content-length: {len(response.body)}",
            *(f"{name}: {value}" for name, value in response.headers),
            *(["connection: close"] if close or self._state.closing else []),
        ]
        self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + response.body)

    def _fail(self, status: int, reason: str) -> None:
        """Answer what came before, then this, then close."""
        if self._last and self._task is None:
            return
        self._last = True
        headers = (("retry-after", "1"),) if status == 503 else ()
        self._queue(Response(status, f"{reason}\n".encode(), headers=headers))

    def _check_header_size(self) -> None:
        arriving = self._arriving
        if not arriving.headers_complete and arriving.size_bytes > self._state.limits.max_header_bytes:
            self._fail(431, f"the headers are larger than {self._state.limits.max_header_bytes} bytes")

    def _set_timer(self, delay_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if delay_s is None else loop.call_later(delay_s, self._expire)

    def _expire(self) -> None:
        if self._arriving.begun:
            self._fail(408, "the request did not arrive in time")
        else:
            self._transport.close()


@dataclass(slots=True)
class _Arriving:
    """A request that is being read."""

    method: str = ""
    url: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    header_bytes: int = 0
    headers_complete: bool = False
    begun: bool = False
    size_bytes: int = 0
    body: list[bytes] = field(default_factory=list)
    body_bytes: int = 0


class _RefusedError(Exception):
    """Ends the parsing of a request that will not be taken."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
