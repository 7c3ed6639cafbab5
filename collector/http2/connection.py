"""One connection of HTTP/2, from the server's side: a state machine.

What comes in: bytes of a client; answers. What goes out: bytes for the client (:attr:`Connection.out`), and calls of
the :class:`~stepsize.collector.http2.owner.Owner` that is told of requests. Never does I/O, never waits, never keeps
content. Every rule that a client can break ends its stream or its connection as RFC 9113 says, what would cost without
end ends it as well (`budget.py`), and nothing that a client sends raises.

Requests only: nothing is pushed, priorities are read and have no effect. Our header blocks use no table, so there is
none of ours for a client to bound. What frames mean for the connection is here, what they mean for its requests in
`requests.py`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from stepsize.collector.http2 import frames
from stepsize.collector.http2.blocks import Blocks
from stepsize.collector.http2.budget import Budget
from stepsize.collector.http2.frames import END_STREAM, ConnectionFault
from stepsize.collector.http2.headers import MAX_LIST_BYTES
from stepsize.collector.http2.owner import FRAMES
from stepsize.collector.http2.requests import Requests
from stepsize.collector.http2.sending import Sender
from stepsize.collector.http2.streams import FIRST_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepsize.collector.http2.owner import Limits, Owner
    from stepsize.collector.http2.streams import Stream

_WINDOW = 1 << 20
_DRAINING = b"draining"
_LOOKED_AT = 50
"""So many streams are looked at for what a frame that leads to nothing costs."""


class Connection:
    """One client.

    Args:
        owner: is told of requests.
        limits: the bounds.
        clock_s: a monotonic clock.

    Attributes:
        out: what is to be sent to the client, which the caller empties.
        is_over: whether the connection is to be closed once that is sent.
        is_greeted: whether the client has shown that it speaks HTTP/2: its preface and its settings have come.
        steps: frames and header blocks that have come whole.
        answer, grant, drop: as :class:`~stepsize.collector.http2.requests.Requests` has them.
    """

    def __init__(self, owner: Owner, limits: Limits, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._owner = owner
        self._budget = Budget(clock_s, limits.ping_gap_s, pings_without_calls=limits.pings_without_calls)
        self._reader = frames.FrameReader()
        self._blocks = Blocks()
        self._sender = Sender()
        self._requests = Requests(owner, limits.streams, self._budget, self._sender)
        self._preface: bytes | None = b""
        self._receive_left = _WINDOW
        self.answer, self.grant, self.drop = self._requests.answer, self._requests.grant, self._requests.drop
        self.out = self._sender.out
        self.steps = 0
        self.is_over = False
        self.is_greeted = False
        self._handlers = {
            frames.DATA: self._data,
            frames.HEADERS: self._headers,
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
        self.out += frames.settings(ours), frames.window_update(0, _WINDOW - FIRST_WINDOW)

    @property
    def streams(self) -> Mapping[int, Stream]:
        """Those that are open."""
        return self._requests.open

    def work_alone(self, more: int) -> None:
        """Count requests that their owner works on although their streams are gone, as if they were open."""
        self._requests.working += more

    # what a client sends

    def receive(self, data: bytes) -> None:
        """Take what came."""
        if self.is_over:
            return
        try:
            if self._preface is not None:
                data = self._greet(self._preface + data)
            for kind, flags, number, payload in self._reader.feed(data):
                self._take(kind, flags, number, payload)
        except ConnectionFault as fault:
            self._owner.turned_away(FRAMES)
            self.close(fault.code, fault.reason)

    def _greet(self, data: bytes) -> bytes:
        """Look at what a client has to say before its first frame; what it said after it."""
        size = min(len(data), len(frames.PREFACE))
        if data[:size] != frames.PREFACE[:size]:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "this is no HTTP/2")
        if size < len(frames.PREFACE):
            self._preface = data
            return b""
        self._preface = None
        return data[size:]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        arriving = self._blocks.arriving
        if arriving is not None and (kind != frames.CONTINUATION or number != arriving):
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a frame within a header block")
        if not self.is_greeted and kind != frames.SETTINGS:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "the first frame is not the settings")
        handler = self._handlers.get(kind)
        if handler is None:
            self._budget.spend()
        else:
            handler(flags, number, payload)
        if self._blocks.arriving is None:
            self.steps += 1

    @property
    def is_in_a_step(self) -> bool:
        """Whether a frame or a header block has begun and is not complete."""
        return self._blocks.arriving is not None or self._reader.is_in_a_frame

    # frames of requests

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        block = self._blocks.begun(flags, number, payload)
        if block is not None:
            self._requests.said(block)

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        block = self._blocks.continued(flags, payload)
        if block is not None:
            self._requests.said(block)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        """Content counts for the connection whatever becomes of it; it is let through again at once.

        How much is kept is the owner's to bound, which refuses what it has no room for: it would help nobody to have a
        client wait whose other requests could be answered.
        """
        self._receive_left -= len(payload)
        if self._receive_left < 0:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "more content than the connection's window")
        if self._receive_left < _WINDOW // 2:
            self.out.append(frames.window_update(0, _WINDOW - self._receive_left))
            self._receive_left = _WINDOW
        if not payload and not flags & END_STREAM:
            self._budget.spend()
        self._requests.came(flags, number, payload)

    def _reset(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a reset has four bytes")
        self._requests.reset(number)

    def _priority(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        if not number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a priority of no stream")
        self._budget.spend()
        if len(payload) != 5 or frames.word_of(payload) == number:
            code = frames.FRAME_SIZE_ERROR if len(payload) != 5 else frames.PROTOCOL_ERROR
            if number in self.streams:
                self._requests.fail(self.streams[number], code)
            elif number > self._requests.highest:  # there is no stream to end
                raise ConnectionFault(code, "a priority that cannot be")
            else:
                self._requests.refuse(number, code)

    def _window_update(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        if len(payload) != 4:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a window update has four bytes")
        size_bytes = frames.word_of(payload)
        if number:
            self._budget.spend()
            self._requests.widen(number, size_bytes)
        else:
            self._budget.spend(1 + self._sender.waiting / _LOOKED_AT)
            self._sender.widen(size_bytes)
            self._requests.go_on()

    # frames of the connection

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
        settings = frames.settings_of(payload)
        self._budget.spend(1 + len(settings) / 10 + len(self.streams) / _LOOKED_AT)
        self.is_greeted = True
        self._sender.obey(settings, self.streams.values())
        self._requests.go_on()

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
        if payload == _DRAINING and self._requests.last_served == frames.MAX_STREAM:
            self.finish()

    def _go_away(self, flags: int, number: int, payload: bytes) -> None:  # noqa: ARG002 - as all handlers
        if number:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a GOAWAY has eight bytes")
        self._budget.spend()  # it is about streams of ours, of which there are none

    # what we send

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
        if self._requests.last_served == frames.MAX_STREAM:
            self._requests.last_served = self._requests.highest
            self.out.append(frames.go_away(self._requests.highest, frames.NO_ERROR))

    @property
    def is_finished(self) -> bool:
        """Whether all is answered that will ever be."""
        return self._requests.last_served != frames.MAX_STREAM and not self.streams

    def close(self, code: int, reason: str) -> None:
        """End the connection; nobody waits for answers any more."""
        self.is_over = True
        self.out.append(frames.go_away(self._requests.highest, code, reason))
        self._requests.leave()
