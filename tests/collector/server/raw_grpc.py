"""A gRPC client that says what it is told to, frame by frame."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import hpack

from tests.collector.http2.client import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    number,
    setting,
)
from tests.collector.running import DEADLINE_S

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

PATH = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


def prefixed(message: bytes, *, is_packed: bool = False) -> bytes:
    return struct.pack(">BI", is_packed, len(message)) + message


@dataclass
class Answer:
    """What came on one stream."""

    fields: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    reset: int | None = None
    is_whole: bool = False


@contextlib.contextmanager
def connected(address: str, receive_bytes: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[RawGrpc]:
    with contextlib.closing(RawGrpc(address, receive_bytes, tls)) as client:
        yield client


def is_served(address: str, message: bytes, **more: str) -> bool:
    """Whether a call over a connection of its own is taken; a busy machine may be too slow for one."""
    with contextlib.suppress(ConnectionError), connected(address) as client:
        client.begin(1, **more)
        client.content(1, prefixed(message))
        return client.answer(1).fields.get("grpc-status") == "0"
    return False


@dataclass
class RawGrpc:
    """One connection, whose system keeps so much that was not read; 0 is as much as it likes."""

    address: str
    receive_bytes: int = 0
    tls: ssl.SSLContext | None = None
    answers: dict[int, Answer] = field(default_factory=dict)
    went_away: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    is_closed: bool = False

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        self._socket = socket.socket()
        self._socket.settimeout(DEADLINE_S)
        if self.receive_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_bytes)
        self._socket.connect((host, int(port)))
        if self.tls is not None:
            self._socket = self.tls.wrap_socket(self._socket, server_hostname=host)
        self._encoder, self._decoder = hpack.Encoder(), hpack.Decoder()
        self._rest = b""
        self.send(PREFACE + setting())

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_until_reset(self, data: bytes) -> None:
        """Send the same again and again, for as long as the other side is there; reads nothing."""
        with contextlib.suppress(ConnectionError):
            while True:
                self.send(data)

    def begin(self, stream: int, *, ends: bool = False, path: str = PATH, method: str = "POST", **more: str) -> None:
        """The headers of a call."""
        fields = {":method": method, ":scheme": "http", ":path": path, "content-type": "application/grpc"}
        fields |= {"te": "trailers"} | {name.replace("_", "-"): text for name, text in more.items()}
        block = self._encoder.encode(list(fields.items()))
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block))

    def begin_many(self, streams: Iterable[int], *, path: str) -> int:
        """Headers of calls without content, as far as they are taken; how many bytes that is."""
        fields = {":method": "POST", ":scheme": "http", ":path": path, "content-type": "application/grpc"}
        block = [self._encoder.encode(list(fields.items())) for _ in range(2)][-1]  # all of it in the table
        data = b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream, block) for stream in streams)
        self._socket.settimeout(1.0)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < len(data):
                sent += self._socket.send(data[sent : sent + 65_536])
        self._socket.settimeout(DEADLINE_S)
        return sent

    def content(self, stream: int, content: bytes, *, ends: bool = True) -> None:
        """Some of its content."""
        parts = [content[at : at + 16_384] for at in range(0, len(content), 16_384)]
        for place, part in enumerate(parts):
            self.send(frame(DATA, END_STREAM if ends and place == len(parts) - 1 else 0, stream, part))

    def answer(self, stream: int) -> Answer:
        """The answer to a call, once it is there or will never be."""
        while not self.answers.setdefault(stream, Answer()).is_whole and not self.is_closed:
            self.hear()
        return self.answers[stream]

    def hear(self) -> None:
        """Take what comes next."""
        for kind, flags, stream, payload in self._frames():
            answer = self.answers.setdefault(stream, Answer())
            if kind == HEADERS:
                answer.fields |= dict(self._decoder.decode(payload))
            elif kind == DATA:
                answer.content += payload
            elif kind == RST_STREAM:
                answer.reset, answer.is_whole = struct.unpack(">I", payload)[0], True
            elif kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK))
            elif kind == GOAWAY:
                self.went_away.append(struct.unpack(">I", payload[:4])[0])
                self.reasons.append(payload[8:].decode())
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                answer.is_whole = True

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionError:
            data = b""
        self.is_closed = not data
        self._rest += data
        while len(self._rest) >= 9:
            size = int.from_bytes(self._rest[:3], "big")
            if len(self._rest) < 9 + size:
                return
            kind, flags, stream = struct.unpack(">BBI", self._rest[3:9])
            payload, self._rest = self._rest[9 : 9 + size], self._rest[9 + size :]
            yield kind, flags, stream, payload

    def cancel(self, stream: int) -> None:
        """Wait for an answer no longer."""
        self.send(frame(RST_STREAM, 0, stream, number(8)))
