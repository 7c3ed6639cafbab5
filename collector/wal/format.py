"""Bytes of a write-ahead log: segments that hold records, each with its length, checksums and time of arrival.

What comes in: requests, or the bytes of a segment. What goes out: bytes, or the records that are whole, and where one
may begin after bytes that are none. Never does I/O, and never returns a record that is not as it was written.

A segment starts with :data:`HEADER`. A record is :data:`MARK`, then little-endian a ``u32`` length of the request, an
``i64`` arrival in nanoseconds since 1970, a ``u32`` CRC-32 of the request, a ``u32`` CRC-32 of those sixteen bytes and
the mark, and the request (``ExportMetricsServiceRequest``, protobuf). The head has a checksum of its own so that a
length is never believed that was damaged, and the mark so that the records after a damaged one are found again.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = b"STEPWAL2"
MARK = b"\xf5WR\xfa"
"""No text holds it: neither 0xF5 nor 0xFA is part of UTF-8."""
SUFFIX = ".wal"
_HEAD = struct.Struct("<4sIqI")
_HEAD_CHECK = struct.Struct("<I")
OVERHEAD_BYTES = _HEAD.size + _HEAD_CHECK.size
MAX_REQUEST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Record:
    """One acknowledged request, and the offset in its segment right after it."""

    received_at_unix_nano: int
    request: bytes
    end_offset: int


def segment_name(number: int) -> str:
    """File name of segment ``number``."""
    return f"{number:020d}{SUFFIX}"


def segment_number(name: str) -> int:
    """The number in a segment's file name."""
    return int(name.removesuffix(SUFFIX))


def encode_record(request: bytes, received_at_unix_nano: int) -> bytes:
    """The bytes of one record."""
    head = _HEAD.pack(MARK, len(request), received_at_unix_nano, zlib.crc32(request))
    return head + _HEAD_CHECK.pack(zlib.crc32(head)) + request


def decode_records(chunk: bytes, offset: int, begin: int = 0) -> Iterator[Record]:
    """The whole records from ``begin`` on in ``chunk``, which starts at ``offset`` of its segment."""
    view = memoryview(chunk)
    while (head := _head_at(view, begin)) is not None:
        length, received_at, checksum = head
        start = begin + OVERHEAD_BYTES
        end = start + length
        if end > len(chunk) or zlib.crc32(view[start:end]) != checksum:
            return
        yield Record(received_at, chunk[start:end], offset + end)
        begin = end


def record_bytes(chunk: bytes, begin: int) -> int | None:
    """How long the record is whose head lies at ``begin`` in ``chunk``; None where no whole head does."""
    head = _head_at(memoryview(chunk), begin)
    return None if head is None else OVERHEAD_BYTES + head[0]


def next_mark(chunk: bytes, begin: int) -> int:
    """Where from ``begin`` on a head may lie in ``chunk``, one whose end is not in it included."""
    found = chunk.find(MARK, begin)
    return found if found >= 0 else max(begin, len(chunk) - len(MARK) + 1)


def _head_at(view: memoryview, begin: int) -> tuple[int, int, int] | None:
    """Length, arrival and checksum of a request, if a whole head lies there."""
    check = begin + _HEAD.size
    if check + _HEAD_CHECK.size > len(view):
        return None
    mark, length, received_at, checksum = _HEAD.unpack_from(view, begin)
    if mark != MARK or length > MAX_REQUEST_BYTES:
        return None
    if zlib.crc32(view[begin:check]) != _HEAD_CHECK.unpack_from(view, check)[0]:
        return None
    return length, received_at, checksum
