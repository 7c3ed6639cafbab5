"""Frames of HTTP/2 (RFC 9113, 4 and 6): bytes to frames, frames to bytes.

What comes in: bytes as they arrive. What goes out: frames, each whole. Never holds more than one frame that is not
complete, and knows nothing of what frames mean to each other.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)
"""Why a stream or a connection ends (RFC 9113, 7)."""
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)
"""Settings (RFC 9113, 6.5.2)."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST_FRAME_BYTES = 16_384
"""What nobody may exceed who was not told otherwise; we tell nobody otherwise."""
MAX_WINDOW = (1 << 31) - 1
MAX_STREAM = (1 << 31) - 1
_HEAD = struct.Struct(">HBBBL")
"""Length in 16 and 8 bits, type, flags, stream."""
_SETTING = struct.Struct(">HL")
_WORD = struct.Struct(">L")
_GOAWAY = struct.Struct(">LL")


class ConnectionFault(Exception):  # noqa: N818 - RFC 9113 calls it an error; it never leaves this package
    """The client broke a rule that ends its connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_in_a_frame(self) -> bool:
        """Whether a frame has begun and is not complete."""
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Type, flags, stream and payload of each frame that is complete now.

        Raises:
            ConnectionFault: a frame is larger than it may be.
        """
        if self._rest:
            data = self._rest + data
        self._rest = b""
        at, end = 0, len(data)
        while end - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            size = high << 8 | low
            if size > LARGEST_FRAME_BYTES:
                raise ConnectionFault(FRAME_SIZE_ERROR, f"a frame is larger than {LARGEST_FRAME_BYTES} bytes")
            after = at + 9 + size
            if after > end:
                break
            yield kind, flags, stream & MAX_STREAM, data[at + 9 : after]
            at = after
        self._rest = data[at:]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """A frame that tells the other side our settings."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """What the other side's say, in their order."""
    return list(_SETTING.iter_unpack(payload))


def window_update(stream: int, size: int) -> bytes:
    """A frame that lets the other side send ``size`` more bytes; stream 0 is all of them together."""
    return frame(WINDOW_UPDATE, 0, stream, _WORD.pack(size))


def reset(stream: int, code: int) -> bytes:
    """A frame that ends a stream."""
    return frame(RST_STREAM, 0, stream, _WORD.pack(code))


def go_away(last_stream: int, code: int, reason: str = "") -> bytes:
    """A frame that says that streams after ``last_stream`` are not served."""
    return frame(GOAWAY, 0, 0, _GOAWAY.pack(last_stream, code) + reason.encode())


def word_of(payload: bytes) -> int:
    """The 31 bits of a window update, or of a dependency."""
    number: int = _WORD.unpack_from(payload)[0]
    return number & MAX_STREAM


def unpadded(payload: bytes) -> bytes:
    """What a padded frame carries.

    Raises:
        ConnectionFault: there is more padding than frame.
    """
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(PROTOCOL_ERROR, "a frame has more padding than it is long")
    return payload[1 : len(payload) - payload[0]]
