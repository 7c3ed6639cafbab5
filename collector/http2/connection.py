"""One connection of HTTP/2, from the server's side: a state machine.

What comes in: bytes of a client; answers. What goes out: bytes for the client (:attr:`Connection.out`), and calls of
the :class:`Owner` that is told of requests. Never does I/O, never waits, never keeps content. Every rule that a client
can break ends its stream or its connection as RFC 9113 says, what would cost without end ends it as well
(`budget.py`), and nothing that a client sends raises.

Requests only: nothing is pushed, priorities are read and have no effect. Our header blocks use no table, so there is
none of ours for a client to bound.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stepsize.collector.http2 import frames
from stepsize.collector.http2.budget import RESET_COST, Budget
from stepsize.collector.http2.frames import (
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    MAX_WINDOW,
    PADDED,
    ConnectionFault,
)
from stepsize.collector.http2.headers import MAX_LIST_BYTES, HeaderReader, trailers_fault
from stepsize.collector.http2.streams import Ended, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.http2.headers import Head

STREAMS, MALFORMED, FRAMES = "streams", "invalid", "frames"
"""Bounds: requests at a time, what a request must be, what a connection may do."""
FIRST_WINDOW = 65_535
"""What may come on a stream before :meth:`Connection.grant` lets more come."""
_CONNECTION_WINDOW = 1 << 20
_MAX_BLOCK_BYTES = 64 << 10
_MAX_CONTINUATIONS = 16
_HEADER_TABLE_BYTES = 4096
_DRAINING = b"draining"


class Owner(Protocol):
    """Whom a connection tells what its client wants."""

    def began(self, stream: Stream, head: Head) -> None:
        """A request begins."""

    def came(self, stream: Stream, content: bytes) -> None:
        """Some of its content."""

    def ended(self, stream: Stream) -> None:
        """All of it has come."""

    def gone(self, stream: Stream) -> None:
        """Nobody waits for its answer any more."""

    def turned_away(self, bound: str) -> None:
        """A request that did not begin, or the connection, was ended because of :data:`STREAMS` or another bound."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a connection.

    Attributes:
        streams: requests that are under way at a time.
        ping_gap_s, pings_without_calls: see :class:`~stepsize.collector.http2.budget.Budget`.
    """

    streams: int = 1024
    ping_gap_s: float = 300.0
    pings_without_calls: bool = False


class Connection:
    """One client.

    Args:
        owner: is told of requests.
        limits: the bounds.
        clock_s: a monotonic clock.

    Attributes:
        out: what is to be sent to the client, which the caller empties.
        is_over: whether the connection is to be closed once that is sent.
        is_greeted: whether the client has shown that it speaks HTTP/2.
        streams: those that are open.
        steps: frames and header blocks that have come whole.
    """

    def __init__(self, owner: Owner, limits: Limits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._owner = owner
        self._limits = limits
        self._budget = Budget(clock_s, limits.ping_gap_s, pings_without_calls=limits.pings_without_calls)
        self._reader = frames.FrameReader()
        self._headers = HeaderReader()
        self._preface = b""
        self._has_settings = False
        self._block: _Block | None = None
        self._ended = Ended()
        self._highest = 0
        self._last_served = frames.MAX_STREAM
        self._first_send_window = FIRST_WINDOW
        self._send_left = FIRST_WINDOW
        self._receive_left = _CONNECTION_WINDOW
        self._before_next_block = b""
        self.working = 0
        """Requests that their owner works on although their streams are gone; they count as if they were open."""
        self.steps = 0
        self.out: list[bytes] = []
        self.is_over = False
        self.is_greeted = False
        self.streams: dict[int, Stream] = {}
        self._handlers = {
            frames.DATA: self._data,
            frames.HEADERS: self._headers_frame,
            frames.PRIORITY: self._priority,
            frames.RST_STREAM: self._reset,
            frames.SETTINGS: self._settings,
            frames.PUSH_PROMISE: self._push_promise,
            frames.PING: self._ping,
            frames.GOAWAY: self._go_away,
            frames.WINDOW_UPDATE: self._window_update,
            frames.CONTINUATION: self._continuation,
        }
        ours = {frames.MAX_CONCURRENT_STREAMS: limits.streams, frames.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES}
        self.out += frames.settings(ours), frames.window_update(0, _CONNECTION_WINDOW - FIRST_WINDOW)

    # what a client sends

    def receive(self, data: bytes) -> None:
        """Take what came."""
        if self.is_over:
            return
        try:
            if not self.is_greeted:
                data = self._greet(data)
            for kind, flags, number, payload in self._reader.feed(data):
                self._take(kind, flags, number, payload)
        except ConnectionFault as fault:
            self._owner.turned_away(FRAMES)
            self.close(fault.code, fault.reason)

    def _greet(self, data: bytes) -> bytes:
        self._preface += data
        size = min(len(self._preface), len(frames.PREFACE))
        if self._preface[:size] != frames.PREFACE[:size]:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "this is no HTTP/2")
        if size < len(frames.PREFACE):
            return b""
        data, self._preface, self.is_greeted = self._preface[size:], b"", True
        return data

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or number != self._block.stream):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame within a header block")
        if not self._has_settings and kind != frames.SETTINGS:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "the first frame is not the settings")
        handler = self._handlers.get(kind)
        if handler is None:
            self._budget.spend()
        else:
            handler(flags, number, payload)
        if self._block is None:
            self.steps += 1

    @property
    def is_in_a_step(self) -> bool:
        """Whether a frame or a header block has begun and is not complete."""
        return self._block is not None or self._reader.is_in_a_frame

    # requests

    def _headers_frame(self, flags: int, number: int, payload: bytes) -> None:
        if number % 2 == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a client's streams have odd numbers")
        if flags & PADDED:
            payload = frames.unpadded(payload)
        depends_on_itself = False
        if flags & HAS_PRIORITY:
            if len(payload) < 5:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a priority has five bytes")
            depends_on_itself = frames.word_of(payload) == number
            payload = payload[5:]
        block = _Block(number, [payload], len(payload), bool(flags & END_STREAM), depends_on_itself)
        if flags & END_HEADERS:
            self._head(block)
        else:
            self._block = block

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        block = self._block
        if block is None:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a continuation of nothing")
        block.parts.append(payload)
        block.size += len(payload)
        if block.size > _MAX_BLOCK_BYTES or len(block.parts) > _MAX_CONTINUATIONS:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "a header block that does not end")
        if flags & END_HEADERS:
            self._block = None
            self._head(block)

    def _head(self, block: _Block) -> None:
        number, content = block.stream, b"".join(block.parts)
        if number in self.streams:
            self._trailers(self.streams[number], block, content)
        elif number > self._highest:
            self._highest = number
            head = self._headers.head(content)
            if number > self._last_served:
                self._ended.add(number, overlooked=True)
            elif len(self.streams) + self.working >= self._limits.streams:
                self._owner.turned_away(STREAMS)
                self._refuse(number, frames.REFUSED_STREAM)
            elif head.fault or block.depends_on_itself:
                self._owner.turned_away(MALFORMED)
                self._refuse(number, frames.PROTOCOL_ERROR)
            else:
                self._begin(Stream(number, self._first_send_window, FIRST_WINDOW, head.length), head, block)
        elif self._ended.overlooks(number):
            self._headers.fields(content)  # what it says to the table counts all the same
        elif number in self._ended:
            raise ConnectionFault(frames.STREAM_CLOSED, "headers on a stream that has ended")
        else:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a new stream with a number below others")

    def _begin(self, stream: Stream, head: Head, block: _Block) -> None:
        self.streams[stream.number] = stream
        self._owner.began(stream, head)
        if block.ends_stream:
            self._end_of_content(stream)

    def _trailers(self, stream: Stream, block: _Block, content: bytes) -> None:
        fields = self._headers.fields(content)
        if stream.is_all_there:
            raise ConnectionFault(frames.STREAM_CLOSED, "headers on a stream whose client has ended it")
        if not block.ends_stream or trailers_fault(fields) or block.depends_on_itself:
            self._fail(stream, frames.PROTOCOL_ERROR)
        else:
            self._end_of_content(stream)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._count_received(size)
        if not size and not flags & END_STREAM:
            self._budget.spend()
        stream = self.streams.get(number)
        if stream is None:
            self._for_nobody(number)
            return
        if stream.is_all_there:
            self._fail(stream, frames.STREAM_CLOSED)
            return
        stream.receive_left -= size
        if stream.receive_left < 0:
            self._fail(stream, frames.FLOW_CONTROL_ERROR)
            return
        content = frames.unpadded(payload) if flags & PADDED else payload
        stream.received += len(content)
        if content and not stream.is_answered:
            self._owner.came(stream, content)
        if flags & END_STREAM and number in self.streams:
            self._end_of_content(stream)

    def _count_received(self, size: int) -> None:
        """Content counts for the connection whatever becomes of it; it is let through again at once.

        How much is kept is the owner's to bound, which refuses what it has no room for: it would help nobody to have a
        client wait whose other requests could be answered.
        """
        self._receive_left -= size
        if self._receive_left < 0:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "more content than the connection's window")
        if self._receive_left < _CONNECTION_WINDOW // 2:
            self.out.append(frames.window_update(0, _CONNECTION_WINDOW - self._receive_left))
            self._receive_left = _CONNECTION_WINDOW

    def _end_of_content(self, stream: Stream) -> None:
        stream.is_all_there = True
        if stream.expected >= 0 and stream.expected != stream.received:
            self._fail(stream, frames.PROTOCOL_ERROR)
        elif not stream.is_answered:
            self._owner.ended(stream)

    def _for_nobody(self, number: int) -> None:
        """A frame came for a stream that is not open."""
        if number > self._highest or number % 2 == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame on a stream that has not begun")
        if not self._ended.overlooks(number):
            self._budget.spend()
            self.out.append(frames.reset(number, frames.STREAM_CLOSED))

    # the rest of the protocol

    def _reset(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a reset has four bytes")
        if number > self._highest or number % 2 == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a reset of a stream that has not begun")
        self._budget.spend(RESET_COST)
        stream = self.streams.get(number)
        if stream is not None:
            self._forget(stream, overlooked=False)
            self._owner.gone(stream)

    def _priority(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        if not number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a priority of no stream")
        self._budget.spend()
        if len(payload) != 5 or frames.word_of(payload) == number:
            code = frames.FRAME_SIZE_ERROR if len(payload) != 5 else frames.PROTOCOL_ERROR
            if number in self.streams:
                self._fail(self.streams[number], code)
            elif number > self._highest:  # there is no stream to end
                raise ConnectionFault(code, "a priority that cannot be")
            else:
                self._refuse(number, code)

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "settings of a stream")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "an acknowledgement of settings has no content")
            self._budget.spend()
            return
        if len(payload) % 6:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a setting has six bytes")
        self._budget.spend(1 + len(payload) / 60)
        self._has_settings = True
        for name, value in frames.settings_of(payload):
            self._set(name, value)
        self.out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._send_rest()

    def _set(self, name: int, value: int) -> None:
        if name == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
        if name == frames.MAX_FRAME_SIZE and not frames.LARGEST_FRAME_BYTES <= value < 1 << 24:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of range")
        if name == frames.HEADER_TABLE_SIZE and value < _HEADER_TABLE_BYTES:
            # Who makes the table smaller waits to hear that it is (RFC 7541, 4.2): from now on ours holds nothing.
            self._before_next_block = b"\x20"
        if name == frames.INITIAL_WINDOW_SIZE:
            if value > MAX_WINDOW:
                raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is out of range")
            change, self._first_send_window = value - self._first_send_window, value
            for stream in self.streams.values():
                stream.send_left += change
                if stream.send_left > MAX_WINDOW:
                    raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window is out of range")

    def _push_promise(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        raise ConnectionFault(frames.PROTOCOL_ERROR, "a client promises nothing")

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a ping on a stream")
        if len(payload) != 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a ping has eight bytes")
        if not flags & frames.ACK:
            self._budget.pinged(has_calls=bool(self.streams))
            self.out.append(frames.frame(frames.PING, frames.ACK, 0, payload))
            return
        self._budget.spend()
        if payload == _DRAINING and self._last_served == frames.MAX_STREAM:
            self.finish()

    def _go_away(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        if number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a GOAWAY has eight bytes")
        self._budget.spend()  # it is about streams of ours, of which there are none

    def _window_update(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a window update has four bytes")
        self._budget.spend()
        size = frames.word_of(payload)
        if not number:
            self._send_left += size
            if not size or self._send_left > MAX_WINDOW:
                code = frames.FLOW_CONTROL_ERROR if size else frames.PROTOCOL_ERROR
                raise ConnectionFault(code, "a window that cannot be")
        elif number in self.streams:
            stream = self.streams[number]
            stream.send_left += size
            if not size or stream.send_left > MAX_WINDOW:
                self._fail(stream, frames.FLOW_CONTROL_ERROR if size else frames.PROTOCOL_ERROR)
        elif number > self._highest or number % 2 == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a window of a stream that has not begun")
        self._send_rest()

    # what we send

    def grant(self, stream: Stream, window_bytes: int) -> None:
        """Let so much content come on a stream, counted from now."""
        if window_bytes > stream.receive_left and not stream.is_all_there:
            self.out.append(frames.window_update(stream.number, window_bytes - stream.receive_left))
            stream.receive_left = window_bytes

    def answer(self, stream: Stream, head: bytes, content: bytes = b"", trailers: bytes = b"") -> None:
        """Answer with header blocks and content; without ``trailers`` the head is the end. Once a stream."""
        if stream.number not in self.streams or stream.is_answered:
            return
        stream.is_answered = True
        self._budget.answered()
        head, self._before_next_block = self._before_next_block + head, b""
        if not trailers:
            self.out.append(frames.frame(frames.HEADERS, END_HEADERS | END_STREAM, stream.number, head))
            self._finished(stream)
            return
        self.out.append(frames.frame(frames.HEADERS, END_HEADERS, stream.number, head))
        stream.rest, stream.last = content, trailers
        self._send_rest_of(stream)

    def _send_rest(self) -> None:
        for stream in [stream for stream in self.streams.values() if stream.last]:
            self._send_rest_of(stream)

    def _send_rest_of(self, stream: Stream) -> None:
        while stream.rest:
            size = min(len(stream.rest), stream.send_left, self._send_left, frames.LARGEST_FRAME_BYTES)
            if size <= 0:
                return
            stream.send_left -= size
            self._send_left -= size
            self.out.append(frames.frame(frames.DATA, 0, stream.number, stream.rest[:size]))
            stream.rest = stream.rest[size:]
        self.out.append(frames.frame(frames.HEADERS, END_HEADERS | END_STREAM, stream.number, stream.last))
        stream.last = b""
        self._finished(stream)

    def _finished(self, stream: Stream) -> None:
        """All of an answer is sent: a client that still sends is told that it need not (RFC 9113, 8.1)."""
        if stream.is_all_there:
            self._forget(stream, overlooked=False)
        else:
            self._forget(stream, overlooked=True)
            self.out.append(frames.reset(stream.number, frames.NO_ERROR))

    def drop(self, stream: Stream, code: int) -> None:
        """End a stream without an answer."""
        if stream.number in self.streams:
            self._forget(stream, overlooked=True)
            self.out.append(frames.reset(stream.number, code))

    def _fail(self, stream: Stream, code: int) -> None:
        self._budget.spend(RESET_COST)
        self.drop(stream, code)
        self._owner.gone(stream)

    def _refuse(self, number: int, code: int) -> None:
        self._budget.spend(RESET_COST)
        self._ended.add(number, overlooked=True)
        self.out.append(frames.reset(number, code))

    def _forget(self, stream: Stream, *, overlooked: bool) -> None:
        del self.streams[stream.number]
        self._ended.add(stream.number, overlooked=overlooked)

    def ping(self) -> None:
        """Ask whether the client is there."""
        self.out.append(frames.frame(frames.PING, 0, 0, b"are you?"))

    def drain(self) -> None:
        """Ask for no more requests; those that are on their way are served until the client has heard it.

        In two steps (RFC 9113, 6.8): :meth:`finish` follows when it answers, or when its owner waits no longer.
        """
        self.out.append(frames.go_away(frames.MAX_STREAM, frames.NO_ERROR))
        self.out.append(frames.frame(frames.PING, 0, 0, _DRAINING))

    def finish(self) -> None:
        """Serve the requests that have come, and none that comes from now on."""
        if self._last_served == frames.MAX_STREAM:
            self._last_served = self._highest
            self.out.append(frames.go_away(self._highest, frames.NO_ERROR))

    @property
    def is_finished(self) -> bool:
        """Whether all is answered that will ever be."""
        return self._last_served != frames.MAX_STREAM and not self.streams

    def close(self, code: int, reason: str) -> None:
        """End the connection; nobody waits for answers any more."""
        self.is_over = True
        self.out.append(frames.go_away(self._highest, code, reason))
        for stream in list(self.streams.values()):
            self._forget(stream, overlooked=True)
            self._owner.gone(stream)


@dataclass(slots=True)
class _Block:
    """A header block that is arriving."""

    stream: int
    parts: list[bytes]
    size: int
    ends_stream: bool
    depends_on_itself: bool
