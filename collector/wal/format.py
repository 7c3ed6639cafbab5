"""Bytes of a write-ahead log: segments that hold records, each with its length, checksum and time of arrival.

What comes in: requests, or the bytes of a segment. What goes out: bytes, or the records that are whole. Never does
I/O. Anything that is not a whole record with the right checksum ends a segment: a crash can tear only its tail.

A segment starts with :data:`HEADER`; a record is a little-endian ``u32`` length of the request, ``u32`` CRC-32 of all
that follows, ``i64`` arrival in nanoseconds since 1970, and the request (``ExportMetricsServiceRequest``, protobuf).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = b"STEPWAL1"
SUFFIX = ".wal"
_FRAME = struct.Struct("<II")
_ARRIVAL = struct.Struct("<q")
OVERHEAD_BYTES = _FRAME.size + _ARRIVAL.size
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
    arrival = _ARRIVAL.pack(received_at_unix_nano)
    return _FRAME.pack(len(request), zlib.crc32(request, zlib.crc32(arrival))) + arrival + request


def decode_records(chunk: bytes, offset: int) -> Iterator[Record]:
    """The whole records at the start of ``chunk``, which begins at ``offset`` of its segment."""
    position = 0
    while position + OVERHEAD_BYTES <= len(chunk):
        length, checksum = _FRAME.unpack_from(chunk, position)
        end = position + OVERHEAD_BYTES + length
        if end > len(chunk) or length > MAX_REQUEST_BYTES:
            return
        if zlib.crc32(memoryview(chunk)[position + _FRAME.size : end]) != checksum:
            return
        (received_at,) = _ARRIVAL.unpack_from(chunk, position + _FRAME.size)
        yield Record(received_at, chunk[end - length : end], offset + end)
        position = end


def needed_bytes(chunk: bytes) -> int:
    """How many bytes the record at the start of ``chunk`` takes, as far as can be told from it."""
    if len(chunk) < OVERHEAD_BYTES:
        return OVERHEAD_BYTES
    length: int = _FRAME.unpack_from(chunk)[0]
    return OVERHEAD_BYTES + min(length, MAX_REQUEST_BYTES)
