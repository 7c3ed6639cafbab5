"""Header blocks of HTTP/2: HPACK (RFC 7541) and what a request's fields must be (RFC 9113, 8.2 and 8.3).

What comes in: header blocks, in the order in which a connection brings them. What goes out: heads of requests, and
blocks of ours. Decoding is the ``hpack`` library's. Since a gRPC client says the same of each call, in the same bytes
once its fields are in the table of the connection, what a block meant is remembered for as long as that table stays as
it is. Never makes more of a block than its bound.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import hpack

from stepsize.collector.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ConnectionFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_LIST_BYTES = 16 << 10
"""Of all fields of a request, each counted as 32 bytes more than it is long (RFC 9113, 6.5.2), as clients are told."""
_MOST_LIST_BYTES = 64 << 10
"""What is decoded nonetheless, so that who sends more than it was told can be answered. Beyond, the connection ends."""
_REMEMBERED, _REMEMBERED_BYTES, _REMEMBERED_LIST_BYTES = 4, 1024, 8192
"""So many blocks, none that is larger or says more: a client in order needs one or two, of some hundred bytes."""
_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
_NOT_IN_VALUES = re.compile(rb"[\0\r\n]")
_PSEUDO = {b":method", b":scheme", b":path", b":authority"}
_OF_CONNECTIONS = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}


@dataclass(frozen=True, slots=True)
class Head:
    """What a request says before its body.

    Attributes:
        fault: why it is malformed; "" where it is not.
        method, path: of the request.
        fields: the others, by name; one that is there several times is a list (RFC 9110, 5.3).
        length: what ``content-length`` says; -1 where there is none.
        size_bytes: of all fields, as :data:`MAX_LIST_BYTES` counts.
    """

    fault: str
    method: str = ""
    path: str = ""
    fields: Mapping[str, str] | None = None
    length: int = -1
    size_bytes: int = 0

    def get(self, name: str) -> str:
        """A field; empty where it is not there."""
        return self.fields.get(name, "") if self.fields else ""


class HeaderReader:
    """Reads the blocks of one connection."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=_MOST_LIST_BYTES)
        self._known: dict[bytes, Head] = {}

    def head(self, block: bytes) -> Head:
        """What the block of a request says.

        Raises:
            ConnectionFault: it cannot be decoded; then no later block can be.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        head = _head(self.fields(block))
        if self._is_to_be_remembered(block, head):
            self._known[block] = head
        return head

    def _is_to_be_remembered(self, block: bytes, head: Head) -> bool:
        is_small = len(block) <= _REMEMBERED_BYTES and head.size_bytes <= _REMEMBERED_LIST_BYTES
        return is_small and not head.fault and len(self._known) < _REMEMBERED and _leaves_the_table(block)

    def fields(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """The fields of a block, whatever they are; raises as :meth:`head`."""
        if len(self._known) >= _REMEMBERED or not _leaves_the_table(block):
            self._known.clear()
        try:
            return list(self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError:
            raise ConnectionFault(ENHANCE_YOUR_CALM, f"the headers are larger than {_MOST_LIST_BYTES} bytes") from None
        except (hpack.HPACKError, ValueError):  # what is no number at all, hpack does not always say itself
            raise ConnectionFault(COMPRESSION_ERROR, "the headers cannot be decoded") from None


def trailers_fault(fields: Iterable[tuple[bytes, bytes]]) -> str:
    """Why fields cannot end a request; "" where they can."""
    for name, value in fields:
        if name[:1] == b":":
            return "a pseudo-header among the trailers"
        if fault := _field_fault(name, value):
            return fault
    return ""


def encoded(fields: Iterable[tuple[str, str]]) -> bytes:
    """A block that says ``fields`` whatever was said before: literals that enter no table (RFC 7541, 6.2.2)."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    content = text.encode("latin-1", "replace")
    return _integer(len(content)) + content


def _integer(number: int) -> bytes:
    """In a prefix of 7 bits (RFC 7541, 5.1)."""
    if number < 127:
        return bytes([number])
    made, number = bytearray([127]), number - 127
    while number >= 128:
        made.append(number & 127 | 128)
        number >>= 7
    made.append(number)
    return bytes(made)


def _head(fields: list[tuple[bytes, bytes]]) -> Head:
    pseudo: dict[bytes, bytes] = {}
    others: dict[str, str] = {}
    for name, value in fields:
        if name[:1] == b":":
            if others or name in pseudo or name not in _PSEUDO:
                return Head(f"the pseudo-header {name.decode('latin-1')!r} is unknown, there twice or too late")
            pseudo[name] = value
            continue
        if fault := _field_fault(name, value):
            return Head(fault)
        key, text = name.decode("ascii"), value.decode("latin-1")
        others[key] = f"{others[key]}, {text}" if key in others else text
    if not (pseudo.get(b":method") and pseudo.get(b":scheme") and pseudo.get(b":path")):
        return Head("a request needs :method, :scheme and :path")
    length = others.get("content-length", "")
    if length and not (length.isascii() and length.isdigit() and len(length) < 20):
        return Head("the content-length is no number")
    method, path = pseudo[b":method"].decode("latin-1"), pseudo[b":path"].decode("latin-1")
    size_bytes = sum(len(name) + len(value) + 32 for name, value in fields)
    return Head("", method, path, others, int(length) if length else -1, size_bytes)


def _field_fault(name: bytes, value: bytes) -> str:
    if not _NAME.fullmatch(name) or _NOT_IN_VALUES.search(value):
        return "a header has characters that it may not have"
    if name in _OF_CONNECTIONS or (name == b"te" and value != b"trailers"):
        return f"{name.decode('ascii')} has no meaning in HTTP/2"
    return ""


def _leaves_the_table(block: bytes) -> bool:
    """Whether decoding a block changes nothing for the blocks after it (RFC 7541, 6)."""
    at, end = 0, len(block)
    while at < end:
        first = block[at]
        if first >= 0x80:  # indexed
            at = _after_integer(block, at, 0x7F)
        elif first >= 0x20:  # enters the table, or changes its size
            return False
        else:
            is_named = first & 0x0F
            at = _after_integer(block, at, 0x0F)
            at = at if is_named else _after_text(block, at)
            at = _after_text(block, at)
    return True


def _after_integer(block: bytes, at: int, mask: int) -> int:
    full = block[at] & mask == mask if at < len(block) else False
    at += 1
    while full and at < len(block):
        full = block[at] >= 0x80
        at += 1
    return at


def _after_text(block: bytes, at: int) -> int:
    if at >= len(block):
        return at
    after = _after_integer(block, at, 0x7F)
    size, shift = block[at] & 0x7F, 0
    for byte in block[at + 1 : after]:
        size += (byte & 0x7F) << shift
        shift += 7
    return after + size
