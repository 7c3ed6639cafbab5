"""The client's side of HTTP/2, frame by frame: says what it is told to, whether that is allowed or not."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import hpack

from stepsize.collector.http2.connection import Connection
from stepsize.collector.http2.owner import Limits

if TYPE_CHECKING:
    from stepsize.collector.http2.headers import Head
    from stepsize.collector.http2.streams import Stream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ENHANCE_YOUR_CALM, REFUSED_STREAM, STREAM_CLOSED, FLOW_CONTROL_ERROR, PROTOCOL_ERROR = 11, 7, 5, 3, 1
REQUEST = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "here"), ("te", "trailers")]


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def setting(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def number(value: int) -> bytes:
    return struct.pack(">I", value)


def frames_of(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Type, flags, stream and payload of frames that are whole."""
    found = []
    while data:
        size = int.from_bytes(data[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", data[3:9])
        found.append((kind, flags, stream, data[9 : 9 + size]))
        assert len(found[-1][3]) == size
        data = data[9 + size :]
    return found


@dataclass
class Heard:
    """An owner that writes down what it is told, and answers as soon as a request is there where it is told to."""

    answers: bytes | None = None
    told: list[tuple[str, int, object]] = field(default_factory=list)
    connection: Connection | None = None
    streams: dict[int, Stream] = field(default_factory=dict)
    heads: dict[int, Head] = field(default_factory=dict)
    bounds: list[str] = field(default_factory=list)

    def began(self, stream: Stream, head: Head) -> None:
        self.streams[stream.number] = stream
        self.heads[stream.number] = head
        self.told.append(("began", stream.number, head))

    def came(self, stream: Stream, content: bytes) -> None:
        self.told.append(("came", stream.number, content))

    def ended(self, stream: Stream) -> None:
        self.told.append(("ended", stream.number, None))
        if self.answers is not None and self.connection is not None:
            self.connection.answer(stream, b"\x88", self.answers, b"\x88")

    def gone(self, stream: Stream) -> None:
        self.told.append(("gone", stream.number, None))

    def turned_away(self, bound: str) -> None:
        self.bounds.append(bound)

    def forget(self) -> None:
        """All that was told."""
        self.told.clear()
        self.streams.clear()
        self.heads.clear()


class Talk:
    """A connection of ours and a client that speaks to it. ``now_s`` is its clock."""

    def __init__(self, answers: bytes | None = None, *, greets: bool = True, **limits: float) -> None:
        self.now_s = 0.0
        self.owner = Heard(answers)
        bounds = Limits(**limits)  # type: ignore[arg-type]  # each is what its test gives
        self.connection = Connection(self.owner, bounds, lambda: self.now_s)
        self.owner.connection = self.connection
        self.encoder = hpack.Encoder()
        if greets:
            self.say(PREFACE + setting())

    def say(self, data: bytes) -> list[tuple[int, int, int, bytes]]:
        """Send bytes; what the server says then."""
        self.connection.receive(data)
        return self.heard()

    def heard(self) -> list[tuple[int, int, int, bytes]]:
        out = b"".join(self.connection.out)
        self.connection.out.clear()
        return frames_of(out)

    def request(self, stream: int, content: bytes | None = b"", fields: list[tuple[str, str]] = REQUEST) -> bytes:
        """A request; without content its headers do not end it."""
        block = self.encoder.encode(fields)
        head = frame(HEADERS, END_HEADERS | (END_STREAM if content == b"" else 0), stream, block)
        return head + (frame(DATA, END_STREAM, stream, content) if content else b"")

    def code(self, said: list[tuple[int, int, int, bytes]]) -> int | None:
        """Why the server ended the connection; None where it did not."""
        ends = [payload for kind, _, _, payload in said if kind == GOAWAY]
        assert bool(ends) == self.connection.is_over
        return struct.unpack(">I", ends[-1][4:8])[0] if ends else None
