"""A small HTTP/1.1 server for bounded POST bodies.

What comes in: connections. What goes out: :class:`Request` values to an application, its :class:`Response` values to
the client. Every size and time has a bound: headers, bodies, all bodies together, idle connections, requests that do
not arrive, answers that are not read, the number of connections. Never interprets a body.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools

from stepsize.collector.access.neighbours import Ends
from stepsize.collector.server.arriving import Arrived, Arriving, RefusedError
from stepsize.collector.server.http_messages import HttpLimits, Request, Response, plain_refusal
from stepsize.collector.server.in_flight import InFlight
from stepsize.collector.server.refusals import IN_FLIGHT, BusyError
from stepsize.errors import StepsizeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_LINGER_S = 2.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(slots=True)
class HttpServerState:
    """What the connections of one server share.

    Attributes:
        application: answers requests.
        limits: the bounds.
        admit: says of headers, before the body is read, why they are turned away; None admits everybody.
        refuse: makes the answer where the server itself turns somebody away: headers so far, status, bound, words.
        in_flight: the bodies of all connections, and maybe of other servers, together.
        headers: what every answer carries.
        connections: those that are open.
        closing: whether no more requests are taken.
    """

    application: Callable[[Request], Awaitable[Response]]
    limits: HttpLimits
    admit: Callable[[Mapping[str, str]], Awaitable[Response | None]] | None = None
    refuse: Callable[[Mapping[str, str], int, str, str], Response] = plain_refusal
    in_flight: InFlight = field(default_factory=lambda: InFlight(0))
    headers: tuple[tuple[str, str], ...] = ()
    connections: set[HttpConnection] = field(default_factory=set)
    closing: bool = False


@functools.lru_cache(maxsize=64)
def _head(status: int, content_type: str, size_bytes: int, more: tuple[tuple[str, str], ...]) -> bytes:
    """What stands before a body; most answers are alike."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"content-type: {content_type}",
        f"content-length: {size_bytes}",
        *(f"{name}: {value}" for name, value in more),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """One client. Requests that it pipelines are answered one after the other."""

    def __init__(self, state: HttpServerState) -> None:
        self._state = state
        self._transport: Any = None
        self._parser = httptools.HttpRequestParser(self)
        self._arriving = Arriving()
        self._waiting: deque[Arrived | Response] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline_s: float | None = None
        self._last = False
        self._lingering = False
        self._drained = asyncio.Event()
        self._drained.set()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        self._state.connections.add(self)
        if len(self._state.connections) > self._state.limits.max_connections or self._state.closing:
            self._fail(503, "connections", "too many connections; try again later")
        else:
            self._set_timer(self._state.limits.idle_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone. What it sent and was read is still worked on: it may be on disk already."""
        self._state.connections.discard(self)
        self._set_timer(None)
        if self._timer is not None:
            self._timer.cancel()
        self._drained.set()
        self._arriving.give_back(self._state.in_flight)
        self._arriving.cancel()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._drained.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._drained.set()

    def eof_received(self) -> bool:
        """The client sends no more; it may still wait for its answer."""
        self._last = True
        if self._lingering:
            return False
        return self._task is not None and self._transport.get_extra_info("sslcontext") is None  # TLS knows no half

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._last:  # of a request that was refused: not kept
            return
        arriving = self._arriving
        if not arriving.size_bytes and not self._task:
            limits = self._state.limits
            self._set_timer(limits.read_header_timeout_s or limits.read_timeout_s)
        arriving.size_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, RefusedError):
                self._fail(cause.status, cause.bound, cause.reason)
            else:
                self._fail(400, "invalid", "the request cannot be read")
        except httptools.HttpParserError:
            self._fail(400, "invalid", "the request is not valid HTTP")
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
        """One of its headers; what is there twice is a list (RFC 9110, 5.3)."""
        arriving, limit = self._arriving, self._state.limits.max_header_bytes
        arriving.header_bytes += len(name) + len(value)
        if arriving.header_bytes + len(arriving.url) > limit:
            raise RefusedError(431, "headers", f"the headers are larger than {limit} bytes")
        key, content = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        before = arriving.headers.get(key)
        arriving.headers[key] = content if before is None else f"{before}, {content}"

    def on_headers_complete(self) -> None:
        """All of them: what can be refused is refused before the body is read."""
        arriving, limits = self._arriving, self._state.limits
        arriving.headers_complete = True
        arriving.method = self._parser.get_method().decode("ascii")
        if limits.read_header_timeout_s and not self._task:
            self._set_timer(limits.read_timeout_s)
        length = arriving.headers.get("content-length", "")
        if length.isdigit() and int(length) > limits.max_body_bytes:
            raise RefusedError(413, "size", f"the body is larger than {limits.max_body_bytes} bytes")
        if self._parser.should_upgrade():
            raise RefusedError(400, "invalid", "protocol upgrades are not supported")
        if self._state.admit is not None:
            self._ask(self._state.admit, arriving)
        elif arriving.expects_continue and not self._task:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """Some of its body."""
        arriving = self._arriving
        if arriving.body_bytes + len(body) > self._state.limits.max_body_bytes:
            raise RefusedError(413, "size", f"the body is larger than {self._state.limits.max_body_bytes} bytes")
        try:
            self._state.in_flight.take(len(body))
        except BusyError as error:
            raise RefusedError(503, IN_FLIGHT, str(error)) from None
        arriving.body.append(body)
        arriving.body_bytes += len(body)

    def on_message_complete(self) -> None:
        """The whole of it."""
        arriving, self._arriving = self._arriving, Arriving()
        if self._last:  # what follows the last request of a connection is none
            arriving.give_back(self._state.in_flight)
            return
        path = arriving.url.decode("latin-1").partition("?")[0]
        if "://" in path:
            path = "/" + path.partition("://")[2].partition("/")[2]
        is_only_one = self._state.closing or not self._state.limits.keep_alive
        self._last = is_only_one or not self._parser.should_keep_alive()
        request = Request(arriving.method, path, arriving.headers, b"".join(arriving.body), self._ends)
        arriving.body.clear()
        self._queue(Arrived(request, arriving))

    def _ends(self) -> Ends | None:
        own, other = (self._transport.get_extra_info(name) for name in ("sockname", "peername"))
        is_tcp = isinstance(own, tuple) and isinstance(other, tuple)
        return Ends((own[0], own[1]), (other[0], other[1])) if is_tcp else None

    # admission

    def _ask(self, admit: Callable[[Mapping[str, str]], Awaitable[Response | None]], arriving: Arriving) -> None:
        """Ask who sends before reading on: who may not send may not fill our memory either."""
        self._transport.pause_reading()
        arriving.admission = asyncio.ensure_future(admit(arriving.headers))
        arriving.admission.add_done_callback(lambda task: self._admitted(arriving, task))

    def _admitted(self, arriving: Arriving, task: asyncio.Future[Response | None]) -> None:
        if arriving is not self._arriving or task.cancelled():  # it has arrived already: its answer says so
            return
        refused = Response(500) if task.exception() else task.result()
        if refused is not None:
            self._turn_away(refused)
            return
        if arriving.expects_continue and not self._task:
            self._transport.write(_CONTINUE)
        if self._task is None:
            self._transport.resume_reading()

    # answers

    def shut_down(self) -> None:
        """Answer what has arrived or is arriving, then close; the server says itself for how long it waits."""
        if self._arriving.begun:
            return
        self._last = True
        if self._task is None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _queue(self, item: Arrived | Response) -> None:
        self._waiting.append(item)
        if self._task is None:
            self._set_timer(None)
            self._transport.pause_reading()
            self._task = asyncio.get_running_loop().create_task(self._answer_all())
            self._task.add_done_callback(self._ended)

    async def _answer_all(self) -> None:
        while self._waiting:
            item = self._waiting.popleft()
            response = item if isinstance(item, Response) else await self._answer(item)
            if not self._drained.is_set():
                await self._wait_for_reader()
            self._write(response, close=self._last and not self._waiting)
        self._task = None
        if self._transport.is_closing():
            return
        if self._last or self._state.closing:
            self._end()
            return
        if self._arriving.admission is None or self._arriving.admission.done():
            self._transport.resume_reading()
        self._set_timer(
            self._state.limits.read_timeout_s if self._arriving.begun else self._state.limits.idle_timeout_s
        )

    def _end(self) -> None:
        """Close; where a client is still sending what was refused, only when it has had time to read why.

        To close a socket on which bytes arrive resets the connection, and the answer is lost with it: the client would
        send what is too large again and again (RFC 9112, 9.6).
        """
        if not self._arriving.begun or len(self._state.connections) > 2 * self._state.limits.max_connections:
            self._transport.close()
            self._set_timer(self._state.limits.write_timeout_s)  # for the rest of the answer to be read
            return
        self._arriving = Arriving()
        self._lingering = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()
        self._set_timer(_LINGER_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            return  # what waits now has come since, and is the next task's
        self._forget_waiting()
        self._transport.abort()  # a defect: asyncio logs it, the client must not wait

    async def _answer(self, item: Arrived) -> Response:
        try:
            if item.arriving.admission is not None and (refused := await item.arriving.admission) is not None:
                return refused
            return await self._state.application(item.request)
        except StepsizeError as error:
            return Response(500, f"{error}\n".encode())
        finally:
            item.arriving.give_back(self._state.in_flight)

    async def _wait_for_reader(self) -> None:
        try:
            await asyncio.wait_for(self._drained.wait(), self._state.limits.write_timeout_s)
        except asyncio.TimeoutError:
            self._transport.abort()
            self._forget_waiting()

    def _forget_waiting(self) -> None:
        while self._waiting:
            item = self._waiting.popleft()
            if isinstance(item, Arrived):
                item.arriving.give_back(self._state.in_flight)

    def _write(self, response: Response, *, close: bool) -> None:
        if self._transport.is_closing():
            return
        more = (*response.headers, *self._state.headers)
        if close or self._state.closing:
            more = (*more, ("connection", "close"))
        head = _head(response.status, response.content_type, len(response.body), more)
        self._transport.write(head + response.body)

    def _fail(self, status: int, bound: str, reason: str) -> None:
        """Answer what came before, then this, then close."""
        if self._last and self._task is None:
            return
        self._turn_away(self._state.refuse(self._arriving.headers, status, bound, reason))

    def _turn_away(self, response: Response) -> None:
        self._last = True
        self._arriving.give_back(self._state.in_flight)
        self._arriving.body.clear()
        self._queue(response)

    def _check_header_size(self) -> None:
        arriving, limit = self._arriving, self._state.limits.max_header_bytes
        if not arriving.headers_complete and arriving.size_bytes > limit:
            self._fail(431, "headers", f"the headers are larger than {limit} bytes")

    def _set_timer(self, delay_s: float | None) -> None:
        """Expire after so long, or not at all. A timer that runs is left to find that it has more time: most do."""
        if delay_s is None:
            self._deadline_s = None
            return
        loop = asyncio.get_running_loop()
        self._deadline_s = loop.time() + delay_s
        if self._timer is not None and self._timer.when() > self._deadline_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_at(self._deadline_s, self._look_at_time)

    def _look_at_time(self) -> None:
        self._timer = None
        if self._deadline_s is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._deadline_s:
            self._timer = loop.call_at(self._deadline_s, self._look_at_time)
        else:
            self._deadline_s = None
            self._expire()

    def _expire(self) -> None:
        if self._transport.is_closing() or self._lingering:
            self._transport.abort()
        elif self._arriving.begun:
            self._fail(408, "read_timeout", "the request did not arrive in time")
        else:
            self._transport.close()
            self._set_timer(self._state.limits.write_timeout_s)  # for an answer that nobody has read to its end
