"""Connections of gRPC clients: requests of HTTP/2 become calls with one message each, answers become statuses.

What comes in: connections. What goes out: messages to a service, its answers to the client. Every size and time has a
bound: messages, all messages together, calls at once, connections that are idle, old or silent, messages that do not
arrive, answers that are not read, the number of connections. Never interprets a message.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepsize.collector.http2 import frames
from stepsize.collector.http2.connection import FIRST_WINDOW, Connection
from stepsize.collector.http2.headers import MAX_LIST_BYTES
from stepsize.collector.otlp import answer
from stepsize.collector.server import grpc_messages
from stepsize.collector.server.grpc_calls import Call
from stepsize.collector.server.grpc_messages import PREFIX_BYTES
from stepsize.collector.server.refusals import INVALID, BusyError, Refusal, TooLargeError
from stepsize.errors import DataError, StepsizeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.http2.headers import Head
    from stepsize.collector.http2.streams import Stream
    from stepsize.collector.server.grpc_calls import GrpcLimits, Service
    from stepsize.collector.server.in_flight import InFlight

_GREETING_S = 10.0
_WRITE_S = 30.0
_FINISH_S = 1.0
"""How long a client has to hear that it is to send no more calls."""
_AGE_SPREAD = 0.1
_PART_BYTES = 32 << 10
_LEAST_LOOK_S, _LOOK_S = 0.02, 1.0
_TOO_SLOW = Refusal("read_timeout", 408, answer.DEADLINE_EXCEEDED, "the request did not arrive in time")


@dataclass(slots=True)
class GrpcServerState:
    """What the connections of one server share.

    Attributes:
        service: answers calls.
        limits: the bounds.
        in_flight: the messages of all connections, and maybe of other servers, together.
        clock_s: a monotonic clock.
        connections: those that are open.
        closing: whether no more connections are taken.
    """

    service: Service
    limits: GrpcLimits
    in_flight: InFlight
    clock_s: Callable[[], float] = time.monotonic
    connections: set[GrpcConnection] = field(default_factory=set)
    closing: bool = False

    async def look(self) -> None:
        """See to what has run out of time, for as long as the server lives."""
        limits = self.limits
        times_s = (limits.read_timeout_s, limits.idle_s, limits.age_s, limits.ping_after_s, limits.ping_timeout_s)
        pause_s = max(_LEAST_LOOK_S, min(_LOOK_S, *(time_s / 4 for time_s in times_s if time_s)))
        while True:
            await asyncio.sleep(pause_s)
            for connection in list(self.connections):
                connection.look()


class GrpcConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, state: GrpcServerState) -> None:
        self._state = state
        self._http2 = Connection(self, state.limits.http2, state.clock_s)
        self._transport: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_s = self._heard_s = self._busy_s = state.clock_s()
        self._age_s = state.limits.age_s * random.uniform(1 - _AGE_SPREAD, 1 + _AGE_SPREAD)  # noqa: S311 - no secret
        self._pinged_s: float | None = None
        self._draining_s: float | None = None
        self._unread_s: float | None = None
        self._arrived = b""
        self._stepped_s, self._steps = self._began_s, 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport
        state = self._state
        if len(state.connections) >= state.limits.connections or state.closing:
            state.service.refused("connections")
            transport.close()
            return
        state.connections.add(self)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client is gone. What it sent whole is still worked on: it may be on disk already."""
        self._state.connections.discard(self)
        self._http2.close(frames.NO_ERROR, "")

    def pause_writing(self) -> None:
        """The client does not read: nothing is read of it either."""
        self._unread_s = self._state.clock_s()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        if self._transport.is_closing():
            return
        self._unread_s = None
        self._take_in()
        if self._unread_s is None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes of frames."""
        self._heard_s, self._pinged_s = self._state.clock_s(), None
        self._arrived += data
        self._take_in()

    def _take_in(self) -> None:
        """Work on what has arrived, part by part, as long as the client reads: answers may be larger than what asks."""
        while self._arrived and self._unread_s is None and not self._transport.is_closing():
            part = self._arrived[:_PART_BYTES]
            self._arrived = self._arrived[_PART_BYTES:]
            self._http2.receive(part)
            self._flush()

    def _flush(self) -> None:
        http2, transport = self._http2, self._transport
        if transport.is_closing():
            http2.out.clear()
            return
        if http2.out:
            transport.write(b"".join(http2.out))
            http2.out.clear()
        if http2.is_over or http2.is_finished:
            self._unread_s = self._state.clock_s()  # for the rest to be read
            transport.close()

    # what the client wants (an Owner of an HTTP/2 connection)

    def began(self, stream: Stream, head: Head) -> None:
        """A call begins; or what is none."""
        state, now_s = self._state, self._heard_s
        self._busy_s = now_s
        if head.method != "POST" or not grpc_messages.is_grpc(head):
            state.service.refused(INVALID)
            self._http2.answer(stream, grpc_messages.no_grpc(415 if head.method == "POST" else 405))
            return
        call = stream.call = Call(stream, head, now_s + state.limits.read_timeout_s)
        try:
            wanted_s = grpc_messages.timeout_s(head)
        except ValueError as error:
            self._turn_away(call, state.service.turn_away(DataError(str(error))))
            return
        if head.size_bytes > MAX_LIST_BYTES:
            too_large = TooLargeError(f"the metadata is larger than {MAX_LIST_BYTES} bytes", "headers")
            self._turn_away(call, state.service.turn_away(too_large))
            return
        if wanted_s is not None:
            call.deadline_s = min(call.deadline_s, now_s + wanted_s)
        if refusal := state.service.opened(call):
            self._turn_away(call, refusal)
        elif call.admission is not None:
            call.admission.add_done_callback(lambda admission: self._admitted(call, admission))

    def _admitted(self, call: Call, admission: asyncio.Future[Refusal | None]) -> None:
        """It is known whether a call's sender may go on; where its message is there already, its answer says so."""
        if call.is_worked_on or admission.cancelled():
            return
        if refusal := admission.result():
            self._turn_away(call, refusal)
        else:
            self._let_come(call)
        self._flush()

    def came(self, stream: Stream, content: bytes) -> None:
        """Some of a message."""
        call: Call = stream.call
        try:
            self._state.in_flight.take(len(content))
        except BusyError as error:
            self._turn_away(call, self._state.service.turn_away(error))
            return
        if not call.content:
            call.content = content
        elif isinstance(call.content, bytearray):
            call.content += content
        else:
            call.content = bytearray(call.content + content)
        if not call.whole_bytes and len(call.content) >= PREFIX_BYTES:
            self._measure(call)

    def _measure(self, call: Call) -> None:
        """How large the message is going to be has come: it is let through, or refused before it has come."""
        _, size = grpc_messages.prefix_of(call.content)
        limit = self._state.limits.message_bytes
        if size > limit:
            error = TooLargeError(f"the message is larger than {limit} bytes")
            self._turn_away(call, self._state.service.turn_away(error))
            return
        call.whole_bytes = PREFIX_BYTES + size
        if call.admission is None or call.admission.done():
            self._let_come(call)

    def _let_come(self, call: Call) -> None:
        if call.whole_bytes > FIRST_WINDOW:
            self._http2.grant(call.stream, call.whole_bytes - len(call.content))

    def ended(self, stream: Stream) -> None:
        """A message is there, if there is one."""
        call: Call = stream.call
        if not call.whole_bytes or len(call.content) != call.whole_bytes:
            error = DataError(
                "a call has one message, as long as it says" if call.content else "the call has no message"
            )
            self._turn_away(call, self._state.service.turn_away(error))
            return
        call.is_worked_on = True
        task = asyncio.get_running_loop().create_task(self._work(call))
        self._tasks.add(task)  # asyncio itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    def gone(self, stream: Stream) -> None:
        """Nobody waits for an answer any more; what is worked on goes on, and counts as a call until it is done."""
        call: Call | None = stream.call
        if call is None:
            return
        call.is_gone = True
        if call.is_worked_on:
            self._http2.working += 1
        else:
            self._release(call)

    def turned_away(self, bound: str) -> None:
        """What was no call, or the connection, has broken a rule or bound of HTTP/2."""
        self._state.service.refused(bound)

    # answers

    async def _work(self, call: Call) -> None:
        """Answer a call whose message is there."""
        service, http2, stream = self._state.service, self._http2, call.stream
        try:
            refusal = await call.admission if call.admission is not None else None
            if refusal is None:
                encoding = _encoding_of(call)
                response = await service.answer(self._message_of(call), encoding)
                http2.answer(stream, grpc_messages.HEAD, grpc_messages.prefixed(response), grpc_messages.TRAILERS)
            else:
                self._tell(call, refusal)
        except StepsizeError as error:
            self._tell(call, service.turn_away(error))
        finally:
            self._release(call)
            self._done(call)

    def _message_of(self, call: Call) -> bytes:
        """The message, which is kept in place of what came: it is there once."""
        message = call.content = bytes(memoryview(call.content)[PREFIX_BYTES:])
        self._state.in_flight.give(PREFIX_BYTES)
        return message

    def _done(self, call: Call) -> None:
        call.is_worked_on = False
        self._busy_s = self._state.clock_s()
        call.deadline_s = self._busy_s + _WRITE_S
        if call.is_gone:
            self._http2.working -= 1
        elif not call.stream.is_answered:  # a defect: asyncio logs it, the client must not wait
            self._http2.drop(call.stream, frames.INTERNAL_ERROR)
        self._flush()

    def _turn_away(self, call: Call, refusal: Refusal) -> None:
        """Answer a call that is not worked on."""
        self._tell(call, refusal)
        self._release(call)

    def _tell(self, call: Call, refusal: Refusal) -> None:
        block = grpc_messages.failure(refusal.grpc, refusal.message, refusal.retry_after_s)
        self._http2.answer(call.stream, block)

    def _release(self, call: Call) -> None:
        """Its message takes no more room."""
        self._state.in_flight.give(len(call.content))
        call.content = b""
        if call.admission is not None:
            call.admission.cancel()

    # time

    def look(self) -> None:
        """See to what has run out of time."""
        now_s, limits, http2 = self._state.clock_s(), self._state.limits, self._http2
        if http2.steps != self._steps or not http2.is_in_a_step:
            self._stepped_s, self._steps = now_s, http2.steps
        is_stuck = now_s - self._stepped_s >= limits.read_timeout_s
        is_silent = self._pinged_s is not None and now_s - self._pinged_s >= limits.ping_timeout_s
        is_unread = self._unread_s is not None and now_s - self._unread_s >= _WRITE_S
        if is_stuck or is_silent or is_unread or (not http2.is_greeted and now_s - self._began_s >= _GREETING_S):
            self._transport.abort()
            return
        for stream in list(http2.streams.values()):
            self._look_at(stream, now_s)
        is_idle = limits.idle_s and not http2.streams and now_s - self._busy_s >= limits.idle_s
        is_old = limits.age_s and now_s - self._began_s >= self._age_s
        if is_idle or is_old:
            self.shut_down()
        if self._draining_s is not None and limits.age_grace_s:
            if now_s - self._draining_s >= _FINISH_S + limits.age_grace_s:
                self._transport.abort()
                return
        elif self._pinged_s is None and limits.ping_after_s and now_s - self._heard_s >= limits.ping_after_s:
            self._pinged_s = now_s
            http2.ping()
        self._flush()

    def _look_at(self, stream: Stream, now_s: float) -> None:
        call: Call | None = stream.call
        if call is None or call.is_worked_on or now_s < call.deadline_s:
            return
        if stream.is_answered:  # and the client takes no content
            self._http2.drop(stream, frames.CANCEL)
        else:
            self._state.service.refused(_TOO_SLOW.bound)
            self._turn_away(call, _TOO_SLOW)

    def shut_down(self) -> None:
        """Answer what has come and what is on its way, then close; the server says itself for how long it waits."""
        if self._draining_s is not None or self._transport.is_closing():
            return
        self._draining_s = self._state.clock_s()
        self._http2.drain()
        self._flush()
        asyncio.get_running_loop().call_later(_FINISH_S if self._http2.is_greeted else 0, self._finish)

    def _finish(self) -> None:
        self._http2.finish()
        self._flush()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()


def _encoding_of(call: Call) -> str:
    """How the message of a call is packed; "" where it is not.

    Raises:
        DataError: it is packed, and nobody says how.
    """
    is_packed, _ = grpc_messages.prefix_of(call.content)
    encoding = call.head.get("grpc-encoding") if is_packed else ""
    if is_packed and encoding in ("", "identity"):
        raise DataError("the message is packed, and grpc-encoding does not say how")
    return encoding
