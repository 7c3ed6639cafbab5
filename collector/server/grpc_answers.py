"""The calls of one gRPC connection: requests of HTTP/2 become calls with one message each, answers become statuses.

What comes in: what an HTTP/2 connection says of its client. What goes out: messages to a service, its answers to the
client. Every size and time has a bound: a message, all that calls hold together, a message that does not arrive, an
answer that is not read. Never interprets a message, never keeps of a call's metadata what nobody asks for again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from stepsize.collector.http2 import frames
from stepsize.collector.http2.connection import Connection
from stepsize.collector.http2.headers import MAX_LIST_BYTES
from stepsize.collector.http2.streams import FIRST_WINDOW
from stepsize.collector.otlp import answer
from stepsize.collector.server import grpc_messages
from stepsize.collector.server.grpc_calls import WRITE_S, Call
from stepsize.collector.server.grpc_messages import PREFIX_BYTES
from stepsize.collector.server.refusals import INVALID, BusyError, Refusal, TooLargeError
from stepsize.errors import DataError, StepsizeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.http2.headers import Head
    from stepsize.collector.http2.streams import Stream
    from stepsize.collector.server.grpc_calls import GrpcLimits, Service
    from stepsize.collector.server.in_flight import InFlight

_CALL_BYTES = 1024
"""What a call takes here as long as it is open, its message apart."""
_TOO_SLOW = Refusal("read_timeout", 408, answer.DEADLINE_EXCEEDED, "the request did not arrive in time")


class Calls:
    """One connection's.

    Args:
        service: answers calls.
        limits: the bounds.
        in_flight: the room of all connections, and maybe of other servers, together.
        clock_s: a monotonic clock.
        flush: called where there is something to send although nothing has come.

    Attributes:
        http2: the protocol, whose owner this is.
        busy_s: when a call last began or was answered.
        has_admitted: whether a call has been let through.
    """

    def __init__(
        self,
        service: Service,
        limits: GrpcLimits,
        in_flight: InFlight,
        clock_s: Callable[[], float],
        flush: Callable[[], None],
    ) -> None:
        self._service = service
        self._limits = limits
        self._in_flight = in_flight
        self._clock_s = clock_s
        self._flush = flush
        self._tasks: set[asyncio.Task[None]] = set()
        self.http2 = Connection(self, limits.http2, clock_s)
        self.busy_s = clock_s()
        self.has_admitted = False

    # what the client wants (an Owner of an HTTP/2 connection)

    def began(self, stream: Stream, head: Head) -> None:
        """A call begins; or what is none."""
        self.busy_s = now_s = self._clock_s()
        if head.method != "POST" or not grpc_messages.is_grpc(head):
            self._service.refused(INVALID)
            self.http2.answer(stream, grpc_messages.no_grpc(415 if head.method == "POST" else 405))
            return
        call = stream.call = Call(stream, grpc_messages.encoding(head), now_s + self._limits.read_timeout_s)
        try:
            wanted_s = grpc_messages.timeout_s(head)
            if head.size_bytes > MAX_LIST_BYTES:
                raise TooLargeError(f"the metadata is larger than {MAX_LIST_BYTES} bytes", "headers")
            if refusal := self._service.opened(call, head):
                self._tell(call, refusal)
                return
            self._hold(call, head)
        except StepsizeError as error:
            self._turn_away(call, error)
            return
        if wanted_s is not None:
            call.deadline_s = min(call.deadline_s, now_s + wanted_s)
        if call.admission is None:
            self.has_admitted = True
        else:
            call.admission.add_done_callback(lambda admission: self._admitted(call, admission))

    def _hold(self, call: Call, head: Head) -> None:
        """Count what a call takes; its credentials are here until it is known whose they are."""
        held_bytes = _CALL_BYTES + (head.size_bytes if call.admission is not None else 0)
        self._in_flight.take(held_bytes)
        call.held_bytes = held_bytes

    def _admitted(self, call: Call, admission: asyncio.Future[Refusal | None]) -> None:
        """It is known whether a call's sender may go on; where its message is there already, its answer says so."""
        if call.is_gone or admission.cancelled():
            return
        self._in_flight.give(call.held_bytes - _CALL_BYTES)
        call.held_bytes = _CALL_BYTES
        refusal = admission.result()
        self.has_admitted |= refusal is None
        if call.is_worked_on:
            return
        if refusal is None:
            self._let_come(call)
        else:
            self._tell(call, refusal)
        self._flush()

    def came(self, stream: Stream, content: bytes) -> None:
        """Some of a message."""
        call: Call = stream.call
        try:
            self._in_flight.take(len(content))
        except BusyError as error:
            self._turn_away(call, error)
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
        limit = self._limits.message_bytes
        if size > limit:
            self._turn_away(call, TooLargeError(f"the message is larger than {limit} bytes"))
            return
        call.whole_bytes = PREFIX_BYTES + size
        if call.admission is None or call.admission.done():
            self._let_come(call)

    def _let_come(self, call: Call) -> None:
        if call.whole_bytes > FIRST_WINDOW:
            self.http2.grant(call.stream, call.whole_bytes - len(call.content))

    def ended(self, stream: Stream) -> None:
        """A message is there, if there is one."""
        call: Call = stream.call
        if not call.whole_bytes or len(call.content) != call.whole_bytes:
            words = "a call has one message, as long as it says" if call.content else "the call has no message"
            self._turn_away(call, DataError(words))
            return
        call.is_worked_on = True
        task = asyncio.get_running_loop().create_task(self._work(call))
        self._tasks.add(task)  # asyncio itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    def gone(self, stream: Stream) -> None:
        """A call is over; what is worked on goes on, and counts as a call until it is done."""
        call: Call | None = stream.call
        if call is None:
            return
        call.is_gone = True
        if call.is_worked_on:
            self.http2.work_alone(1)
        else:
            self._release(call)

    def turned_away(self, bound: str) -> None:
        """What was no call, or the connection, has broken a rule or bound of HTTP/2."""
        self._service.refused(bound)

    # answers

    async def _work(self, call: Call) -> None:
        """Answer a call whose message is there."""
        told: tuple[bytes, ...] = ()  # nothing after a defect
        try:
            refusal = await call.admission if call.admission is not None else None
            if refusal is None:
                encoding = _encoding_of(call)
                response = await self._service.answer(self._message_of(call), encoding)
                told = grpc_messages.HEAD, grpc_messages.prefixed(response), grpc_messages.TRAILERS
            else:
                told = (_status_of(refusal),)
        except StepsizeError as error:
            told = (_status_of(self._service.turn_away(error)),)
        finally:
            self._done(call, told)

    def _message_of(self, call: Call) -> bytes:
        """The message, which is kept in place of what came: it is there once."""
        message = call.content = bytes(memoryview(call.content)[PREFIX_BYTES:])
        self._in_flight.give(PREFIX_BYTES)
        return message

    def _done(self, call: Call, told: tuple[bytes, ...]) -> None:
        call.is_worked_on = False
        self.busy_s = self._clock_s()
        call.deadline_s = self.busy_s + WRITE_S
        if call.is_gone:
            self.http2.work_alone(-1)
        elif told:
            self.http2.answer(call.stream, *told)
        else:  # asyncio logs a defect, the client must not wait
            self.http2.drop(call.stream, frames.INTERNAL_ERROR)
        if call.held_bytes:  # it is not over, or was before it was done
            self._release(call)
        self._flush()

    def _turn_away(self, call: Call, error: StepsizeError) -> None:
        self._tell(call, self._service.turn_away(error))

    def _tell(self, call: Call, refusal: Refusal) -> None:
        """Answer a call with why it is turned away; then it is over."""
        self.http2.answer(call.stream, _status_of(refusal))

    def _release(self, call: Call) -> None:
        """The message of a call takes no more room; what else it held is given back when it is over."""
        self._in_flight.give(len(call.content))
        call.content = b""
        if call.is_gone:
            self._in_flight.give(call.held_bytes)
            call.held_bytes = 0
        if call.admission is not None:
            call.admission.cancel()

    # time

    def look(self, now_s: float) -> None:
        """See to calls that have run out of time."""
        for stream in list(self.http2.streams.values()):
            call: Call | None = stream.call
            if call is None or call.is_worked_on or now_s < call.deadline_s:
                continue
            if stream.is_answered:  # and the client takes no content
                self.http2.drop(stream, frames.CANCEL)
            else:
                self._service.refused(_TOO_SLOW.bound)
                self._tell(call, _TOO_SLOW)


def _status_of(refusal: Refusal) -> bytes:
    return grpc_messages.failure(refusal.grpc, refusal.message, refusal.retry_after_s)


def _encoding_of(call: Call) -> str:
    """How the message of a call is packed; "" where it is not.

    Raises:
        DataError: it is packed, and nobody says how.
    """
    is_packed, _ = grpc_messages.prefix_of(call.content)
    encoding = call.encoding if is_packed else ""
    if is_packed and encoding in ("", "identity"):
        raise DataError("the message is packed, and grpc-encoding does not say how")
    return encoding
