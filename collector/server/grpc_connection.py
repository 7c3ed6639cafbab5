"""Connections of gRPC clients: bytes in, bytes out, and when a connection ends.

What comes in: connections. What goes out: their bytes to the protocol and calls of each (`grpc_answers.py`), answers to
the client. Every time has a bound: connections that do not greet, that make no call, are idle, old or silent, frames
that do not end, answers that are not read; and so has the number of connections. What was answered reaches the client
before its connection is closed, if it reads.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepsize.collector.http2 import frames
from stepsize.collector.server.grpc_answers import Calls
from stepsize.collector.server.grpc_calls import WRITE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.server.grpc_calls import GrpcLimits, Service
    from stepsize.collector.server.in_flight import InFlight

_GREETING_S = 10.0
_FINISH_S = 1.0
"""How long a client has to hear that it is to send no more calls."""
_LINGER_S = 2.0
"""How long a client has to read its last answers and to close."""
_AGE_SPREAD = 0.1
_PART_BYTES = 32 << 10
_LEAST_LOOK_S, _LOOK_S = 0.02, 1.0


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
        times_s = (
            limits.read_timeout_s,
            limits.first_call_s,
            limits.idle_s,
            limits.age_s,
            limits.ping_after_s,
            limits.ping_timeout_s,
        )
        pause_s = max(_LEAST_LOOK_S, min(_LOOK_S, *(time_s / 4 for time_s in times_s if time_s)))
        while True:
            await asyncio.sleep(pause_s)
            for connection in list(self.connections):
                connection.look()


class GrpcConnection(asyncio.Protocol):
    """One client."""

    def __init__(self, state: GrpcServerState) -> None:
        self._state = state
        self._calls = Calls(state.service, state.limits, state.in_flight, state.clock_s, self._flush)
        self._http2 = self._calls.http2
        self._transport: Any = None
        self._began_s = self._heard_s = state.clock_s()
        self._greeting_s = min(_GREETING_S, state.limits.first_call_s)
        self._age_s = state.limits.age_s * random.uniform(1 - _AGE_SPREAD, 1 + _AGE_SPREAD)  # noqa: S311 - no secret
        self._pinged_s: float | None = None
        self._draining_s: float | None = None
        self._unread_s: float | None = None
        self._is_leaving = False
        self._later: asyncio.TimerHandle | None = None
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
        self._is_leaving = True
        if self._later is not None:
            self._later.cancel()
        self._http2.close(frames.NO_ERROR, "")

    def pause_writing(self) -> None:
        """The client does not read: nothing is read of it either."""
        if not self._is_leaving:
            self._unread_s = self._state.clock_s()
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        if self._is_leaving or self._transport.is_closing():
            return
        self._unread_s = None
        self._take_in()
        if self._unread_s is None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes of frames."""
        if self._is_leaving:  # nobody is going to answer them
            return
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
        if self._is_leaving or transport.is_closing():
            http2.out.clear()
            return
        if http2.out:
            transport.write(b"".join(http2.out))
            http2.out.clear()
        if http2.is_over or http2.is_finished:
            self._leave()

    # the end

    def shut_down(self) -> None:
        """Answer what has come and what is on its way, then close; the server says itself for how long it waits."""
        if self._draining_s is not None or self._is_leaving or self._transport.is_closing():
            return
        self._draining_s = self._state.clock_s()
        self._http2.drain()
        self._flush()
        self._later = asyncio.get_running_loop().call_later(_FINISH_S if self._http2.is_greeted else 0, self._finish)

    def _finish(self) -> None:
        self._http2.finish()
        self._flush()

    def _leave(self) -> None:
        """Nothing is left to say: close, when the client has had time to read it.

        To close a socket on which bytes arrive, or have arrived and were not read, resets the connection, and what the
        client has not read yet is lost with it. So it is told that this was all, and what it still sends is dropped.
        """
        transport = self._transport
        self._is_leaving = True
        self._unread_s = self._state.clock_s()
        self._arrived = b""
        if transport.can_write_eof():
            transport.write_eof()
        transport.resume_reading()
        self._linger(is_sent=False)

    def _linger(self, *, is_sent: bool) -> None:
        """Close after a time in which there was nothing to be sent any more; the client may be quicker."""
        if is_sent:
            self._transport.close()
            return
        is_sent = not self._transport.get_write_buffer_size()
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(_LINGER_S, lambda: self._linger(is_sent=is_sent))

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # time

    def look(self) -> None:
        """See to what has run out of time."""
        now_s = self._state.clock_s()
        if self._is_stuck(now_s):
            self._transport.abort()
            return
        if self._is_leaving or self._transport.is_closing():
            return
        self._calls.look(now_s)
        if self._has_lasted(now_s):
            self.shut_down()
        self._ask(now_s)
        self._flush()

    def _is_stuck(self, now_s: float) -> bool:
        """Whether the client does not do what it has to do by now."""
        limits, http2 = self._state.limits, self._http2
        if self._unread_s is not None and now_s - self._unread_s >= WRITE_S:
            return True
        if self._is_leaving:
            return False
        if http2.steps != self._steps or not http2.is_in_a_step:
            self._stepped_s, self._steps = now_s, http2.steps
        return (
            now_s - self._stepped_s >= limits.read_timeout_s
            or (self._pinged_s is not None and now_s - self._pinged_s >= limits.ping_timeout_s)
            or (not http2.is_greeted and now_s - self._began_s >= self._greeting_s)
            or self._is_past_its_grace(now_s)
        )

    def _is_past_its_grace(self, now_s: float) -> bool:
        grace_s = self._state.limits.age_grace_s
        return bool(grace_s) and self._draining_s is not None and now_s - self._draining_s >= _FINISH_S + grace_s

    def _has_lasted(self, now_s: float) -> bool:
        """Whether a connection on which all is in order has been there for long enough."""
        limits, calls = self._state.limits, self._calls
        is_old = limits.age_s and now_s - self._began_s >= self._age_s
        is_quiet = not self._http2.streams
        is_idle = limits.idle_s and now_s - calls.busy_s >= limits.idle_s
        is_unused = not calls.has_admitted and now_s - self._began_s >= limits.first_call_s
        return bool(is_old or (is_quiet and (is_idle or is_unused)))

    def _ask(self, now_s: float) -> None:
        """Ask a silent client whether it is there."""
        after_s = self._state.limits.ping_after_s
        if self._pinged_s is None and after_s and now_s - self._heard_s >= after_s:
            self._pinged_s = now_s
            self._http2.ping()
