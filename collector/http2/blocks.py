"""Header blocks of a connection, put together from their frames (RFC 9113, 4.3 and 6.2).

What comes in: frames of types HEADERS and CONTINUATION. What goes out: blocks, each whole. Never holds more than one,
nor more of it than its bound, and never decodes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepsize.collector.http2 import frames
from stepsize.collector.http2.frames import END_HEADERS, END_STREAM, HAS_PRIORITY, PADDED, ConnectionFault

_MAX_BYTES = 64 << 10
_MAX_CONTINUATIONS = 16
_PRIORITY_BYTES = 5


@dataclass(slots=True)
class Block:
    """What was said of one stream.

    Attributes:
        stream: its number.
        ends_stream: whether its client has no more to send on it.
        depends_on_itself: whether its priority says so, which is malformed.
        parts: its bytes.
        size_bytes: how many.
    """

    stream: int
    ends_stream: bool
    depends_on_itself: bool
    parts: list[bytes]
    size_bytes: int

    @property
    def content(self) -> bytes:
        """Its bytes in one piece."""
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)


class Blocks:
    """Puts the blocks of one connection together.

    Attributes:
        arriving: the stream whose block has begun and is not complete; None where there is none.
    """

    def __init__(self) -> None:
        self.arriving: int | None = None
        self._block: Block | None = None

    def begun(self, flags: int, number: int, payload: bytes) -> Block | None:
        """A frame of headers came; the block, where that is all of it.

        Raises:
            ConnectionFault: no such frame can be.
        """
        if number % 2 == 0:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a client's streams have odd numbers")
        if flags & PADDED:
            payload = frames.unpadded(payload)
        depends_on_itself = False
        if flags & HAS_PRIORITY:
            if len(payload) < _PRIORITY_BYTES:
                raise ConnectionFault(frames.FRAME_SIZE_ERROR, "a priority has five bytes")
            depends_on_itself = frames.word_of(payload) == number
            payload = payload[_PRIORITY_BYTES:]
        block = Block(number, bool(flags & END_STREAM), depends_on_itself, [payload], len(payload))
        if flags & END_HEADERS:
            return block
        self._block, self.arriving = block, number
        return None

    def continued(self, flags: int, payload: bytes) -> Block | None:
        """More of it came; the block, where that is all of it.

        Raises:
            ConnectionFault: none has begun, or it does not end.
        """
        block = self._block
        if block is None:
            raise ConnectionFault(frames.PROTOCOL_ERROR, "a continuation of nothing")
        block.parts.append(payload)
        block.size_bytes += len(payload)
        if block.size_bytes > _MAX_BYTES or len(block.parts) > _MAX_CONTINUATIONS:
            raise ConnectionFault(frames.ENHANCE_YOUR_CALM, "a header block that does not end")
        if not flags & END_HEADERS:
            return None
        self._block = self.arriving = None
        return block
