"""What gRPC adds to HTTP/2 (grpc/grpc, doc/PROTOCOL-HTTP2.md): lengths before messages, statuses as trailers.

What comes in: content of requests; outcomes. What goes out: messages, header blocks. Pure.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING
from urllib.parse import quote

from stepsize.collector.http2.headers import encoded
from stepsize.collector.otlp import answer
from stepsize.errors import DataError

if TYPE_CHECKING:
    from stepsize.collector.http2.headers import Head

PREFIX_BYTES = 5
CONTENT_TYPE = "application/grpc"
ENCODINGS = ("gzip", "deflate", "zstd", "snappy")
"""What messages may be packed with."""
_PREFIX = struct.Struct(">BL")
_MAX_ENCODING_CHARACTERS = 32
_MAX_MESSAGE_CHARACTERS = 1000
"""Of words in a status: clients take 8 KiB of trailers, and the words are there twice."""
_AS_THEY_ARE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
_DETAILS = "grpc-status-details-bin"
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_STATUS_200 = b"\x88"
"""``:status: 200``, which has a number of its own (RFC 7541, A)."""

HEAD = _STATUS_200 + encoded([("content-type", CONTENT_TYPE)])
"""Before the message of an answer."""
TRAILERS = encoded([("grpc-status", "0")])
"""After it."""


def prefix_of(content: bytes | bytearray) -> tuple[bool, int]:
    """Whether the message that begins with ``content`` is packed, and its bytes."""
    flag, size = _PREFIX.unpack_from(content)
    return bool(flag), size


def prefixed(message: bytes) -> bytes:
    """A message as it is sent, not packed."""
    return _PREFIX.pack(0, len(message)) + message


def failure(code: int, message: str, retry_after_s: int | None = None) -> bytes:
    """The block of an answer that is a status alone ("Trailers-Only")."""
    message = message[:_MAX_MESSAGE_CHARACTERS]
    details = base64.b64encode(answer.status(code, message, retry_after_s).SerializeToString()).rstrip(b"=")
    fields = [
        ("content-type", CONTENT_TYPE),
        ("grpc-status", str(code)),
        ("grpc-message", quote(message, safe=_AS_THEY_ARE)),
        (_DETAILS, details.decode("ascii")),
    ]
    if code == answer.UNIMPLEMENTED:
        fields.append(("grpc-accept-encoding", ",".join(("identity", *ENCODINGS))))
    return _STATUS_200 + encoded(fields)


def no_grpc(status: int) -> bytes:
    """The block of an answer to a request that is no call of gRPC."""
    return encoded([(":status", str(status)), ("content-length", "0")])


def encoding(head: Head) -> str:
    """What the client says that its message is packed with, cut to what can be told from what there is."""
    return head.get("grpc-encoding")[:_MAX_ENCODING_CHARACTERS]


def is_grpc(head: Head) -> bool:
    """Whether a request says that it is a call."""
    kind = head.get("content-type")
    return kind == CONTENT_TYPE or kind.startswith((f"{CONTENT_TYPE}+", f"{CONTENT_TYPE};"))


def timeout_s(head: Head) -> float | None:
    """How long the client waits for its answer; None where it does not say.

    Raises:
        DataError: it says nonsense.
    """
    text = head.get("grpc-timeout")
    if not text:
        return None
    if not (2 <= len(text) <= 9 and text[:-1].isascii() and text[:-1].isdigit() and text[-1] in _UNITS_S):
        raise DataError("grpc-timeout is up to eight digits and one of H, M, S, m, u and n")
    return int(text[:-1]) * _UNITS_S[text[-1]]
