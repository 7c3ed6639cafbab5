"""What a client lets a connection of HTTP/2 send, and what waits until it lets more (RFC 9113, 5.2, 6.5 and 6.9).

What comes in: the client's settings and windows; answers. What goes out: frames for it (:attr:`Sender.out`), and which
streams' answers are sent whole. Never sends more than the client takes, and never keeps what is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.http2 import frames
from stepsize.collector.http2.frames import END_HEADERS, END_STREAM, MAX_WINDOW, ConnectionFault
from stepsize.collector.http2.streams import FIRST_WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.collector.http2.streams import Stream

_HEADER_TABLE_BYTES = 4096


class Sender:
    """One connection's.

    Attributes:
        out: what is to be sent to the client, which the connection's caller empties.
        first_window: bytes of content that may be sent on a stream that begins now.
    """

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.first_window = FIRST_WINDOW
        self._left = FIRST_WINDOW
        self._waiting: dict[int, Stream] = {}
        self._before_next_block = b""

    @property
    def waiting(self) -> int:
        """How many answers wait for room."""
        return len(self._waiting)

    # what the client lets us send

    def obey(self, settings: Iterable[tuple[int, int]], streams: Iterable[Stream]) -> None:
        """Take the client's settings and acknowledge them. Looks at each of the open ``streams`` once at most.

        Raises:
            ConnectionFault: one of them cannot be.
        """
        before = highest = self.first_window
        for name, value in settings:
            self._check(name, value)
            if name == frames.INITIAL_WINDOW_SIZE:
                self.first_window, highest = value, max(highest, value)
            elif name == frames.HEADER_TABLE_SIZE and value < _HEADER_TABLE_BYTES:
                # Who makes the table smaller waits to hear that it is (RFC 7541, 4.2): from now on ours holds nothing.
                self._before_next_block = b"\x20"
        if highest != before or self.first_window != before:
            for stream in streams:
                if stream.send_left + highest - before > MAX_WINDOW:
                    raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "a window is out of range")
                stream.send_left += self.first_window - before
        self.out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _check(self, name: int, value: int) -> None:
        if name == frames.ENABLE_PUSH and value > 1:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "ENABLE_PUSH is 0 or 1")
        if name == frames.MAX_FRAME_SIZE and not frames.LARGEST_FRAME_BYTES <= value < 1 << 24:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "MAX_FRAME_SIZE is out of range")
        if name == frames.INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ConnectionFault(frames.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is out of range")

    def widen(self, size_bytes: int) -> None:
        """The client takes so much more on all streams together.

        Raises:
            ConnectionFault: that cannot be.
        """
        self._left += size_bytes
        if not size_bytes or self._left > MAX_WINDOW:
            code = frames.FLOW_CONTROL_ERROR if size_bytes else frames.PROTOCOL_ERROR
            raise ConnectionFault(code, "a window that cannot be")

    # answers

    def answer(self, stream: Stream, head: bytes, content: bytes, trailers: bytes) -> bool:
        """Send header blocks and content, as far as they are taken; whether that is all of it."""
        head, self._before_next_block = self._before_next_block + head, b""
        if not trailers:
            self.out.append(frames.frame(frames.HEADERS, END_HEADERS | END_STREAM, stream.number, head))
            return True
        self.out.append(frames.frame(frames.HEADERS, END_HEADERS, stream.number, head))
        stream.rest, stream.last = content, trailers
        if self._send(stream):
            return True
        self._waiting[stream.number] = stream
        return False

    def go_on(self) -> list[Stream]:
        """Send what there is room for now; the streams whose answers are sent whole."""
        whole = [stream for stream in self._waiting.values() if self._send(stream)]
        for stream in whole:
            self.forget(stream)
        return whole

    def go_on_with(self, stream: Stream) -> bool:
        """The same of one stream, whose answer has begun or has not; whether it is sent whole."""
        if stream.number not in self._waiting or not self._send(stream):
            return False
        self.forget(stream)
        return True

    def forget(self, stream: Stream) -> None:
        """Send no more of a stream."""
        self._waiting.pop(stream.number, None)

    def _send(self, stream: Stream) -> bool:
        while stream.rest:
            size = min(len(stream.rest), stream.send_left, self._left, frames.LARGEST_FRAME_BYTES)
            if size <= 0:
                return False
            stream.send_left -= size
            self._left -= size
            self.out.append(frames.frame(frames.DATA, 0, stream.number, stream.rest[:size]))
            stream.rest = stream.rest[size:]
        self.out.append(frames.frame(frames.HEADERS, END_HEADERS | END_STREAM, stream.number, stream.last))
        stream.last = b""
        return True
