"""Undoes the packing of a body or message, within a bound.

What comes in: a body and how it is packed. What goes out: the content. Never holds more than the bound: a small body
that would become large is refused while it is being unpacked.

The names are those of HTTP's ``Content-Encoding`` and of gRPC's ``grpc-encoding``, and mean what they mean to the
OpenTelemetry Collector (config/confighttp/compression.go): ``snappy`` is a block, or frames where it begins like them.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from stepsize.collector.server.refusals import TooLargeError, UnknownEncodingError
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

LARGE_BYTES = 256 << 10
"""Content as large as this is unpacked in a thread: other requests do not wait for it."""
_THREADS = 2
"""So many bodies become large at a time; each takes as much memory as its content before anything counts it."""
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15, "zlib": 15}
_MAX_MEMBERS = 1000
"""A gzip body may be several after each other; a million empty ones would take a second and hold nothing."""
_FIRST_PIECE_BYTES = 64 << 10
"""What a stream is given first, then twice as much each time: what lies behind its end is copied as it ends, and may be
the rest of a body of megabytes, behind each of a thousand streams that hold nothing."""
_ZSTD_WINDOW_BITS = 25
"""32 MiB, the largest that the Collector's compressor uses; a frame may ask for 2 GiB before it has content."""
_SNAPPY_BEGIN = b"\xff\x06\0\0sNaPpY"
_SNAPPY_BLOCK_BYTES = 64 << 10


class _Unpacker(Protocol):
    """A decompressor of one stream, as ``zlib`` and ``compression.zstd`` have them."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: memoryview, max_length: int, /) -> bytes: ...


async def unpacked(body: bytes, encoding: str, max_bytes: int, allowed: Collection[str]) -> bytes:
    """As :func:`decoded`, without having others wait."""
    if len(body) <= LARGE_BYTES:
        try:
            return decoded(body, encoding, min(max_bytes, LARGE_BYTES), allowed)
        except TooLargeError:  # a few hundred bytes may be all it takes
            if max_bytes <= LARGE_BYTES:
                raise
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), decoded, body, encoding, max_bytes, allowed)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """Those that unpack, made when the first large body comes."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="unpacking")


def decoded(body: bytes, encoding: str, max_bytes: int, allowed: Collection[str]) -> bytes:
    """The content of ``body``, whose ``encoding`` has to be one of ``allowed``.

    Raises:
        UnknownEncodingError: the encoding is not known, or not allowed.
        TooLargeError: the content is larger than ``max_bytes``.
        DataError: the body is not what its encoding says.
    """
    name = encoding.strip().lower()
    name = "" if name == "identity" else name
    if name not in allowed and not (name == "x-gzip" and "gzip" in allowed):
        known = ", ".join(one or "identity" for one in allowed)
        raise UnknownEncodingError(f"content-encoding {name or 'identity'!r} is not supported; use one of {known}")
    if not name:
        return body
    if name in _WINDOW_BITS:
        return _streams(body, name, max_bytes, lambda: zlib.decompressobj(_WINDOW_BITS[name]), zlib.error)
    return _OTHERS[name](body, max_bytes)


def _streams(body: bytes, name: str, max_bytes: int, begin: Callable[[], _Unpacker], fault: type[Exception]) -> bytes:
    """What several streams after each other hold."""
    parts: list[bytes] = []
    members, left, at = 0, max_bytes, 0
    while at < len(body):
        members += 1
        if members > _MAX_MEMBERS:
            raise DataError(f"the body is more than {_MAX_MEMBERS} {name} streams")
        unpacker, size = begin(), _FIRST_PIECE_BYTES
        while not unpacker.eof:
            if at >= len(body):
                raise DataError(f"the body is not valid {name}: it ends too early")
            piece = memoryview(body)[at : at + size]
            try:
                part = unpacker.decompress(piece, left + 1)
            except fault as error:
                raise DataError(f"the body is not valid {name}: {error}") from None
            left -= len(part)
            if left < 0:
                raise _too_large(max_bytes)
            parts.append(part)
            at += len(piece)
            size *= 2
        at -= len(unpacker.unused_data)
    return b"".join(parts)


def _zstd(body: bytes, max_bytes: int) -> bytes:
    # Only who gets such bodies pays for the library.
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_BITS}
    return _streams(body, "zstd", max_bytes, lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError)


def _snappy(body: bytes, max_bytes: int) -> bytes:
    """A block (google/snappy, format_description.txt), which begins with the size of its content; or frames."""
    if body.startswith(_SNAPPY_BEGIN):
        return _snappy_frames(body, max_bytes)
    size = _snappy_size(body)
    if size > max_bytes:
        raise _too_large(max_bytes)
    return _snappy_block(body, size) if body else b""


def _snappy_size(block: bytes) -> int:
    size, shift = 0, 0
    for byte in block[:5]:
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return size


def _snappy_block(block: bytes, size: int) -> bytes:
    return bytes(_arrow("snappy", lambda arrow: arrow.Codec("snappy").decompress(block, size)))


def _snappy_frames(body: bytes, max_bytes: int) -> bytes:
    """Chunks of type, length in three bytes and content (google/snappy, framing_format.txt).

    Their checksums are not looked at: what is whole is for the parser of the content to say, and a CRC-32C in Python
    would take longer than all the rest.
    """
    parts: list[bytes] = []
    at, left = 0, max_bytes
    while at < len(body):
        kind, size = body[at], int.from_bytes(body[at + 1 : at + 4], "little")
        chunk = body[at + 4 : at + 4 + size]
        if len(chunk) < size or (kind <= 1 and size < 4):
            raise DataError("the body is not valid snappy: it ends too early")
        at += 4 + size
        if kind <= 1:
            content = chunk[4:]
            size = len(content) if kind else _snappy_size(content)
            if size > _SNAPPY_BLOCK_BYTES:
                raise DataError("the body is not valid snappy: it has a chunk that is too large")
            left -= size
            if left < 0:
                raise _too_large(max_bytes)
            parts.append(content if kind else _snappy_block(content, size))
        elif kind < 0x80:
            raise DataError(f"the body is not valid snappy: it has a chunk of type {kind}")
    return b"".join(parts)


def _lz4(body: bytes, max_bytes: int) -> bytes:
    """Frames (lz4/lz4, doc/lz4_Frame_format.md)."""

    def read(arrow: Any) -> bytes:
        with arrow.CompressedInputStream(arrow.BufferReader(body), "lz4") as stream:
            content: bytes = stream.read(max_bytes + 1)
            return content

    content: bytes = _arrow("lz4", read)
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return content


def _arrow(name: str, unpack: Callable[[Any], Any]) -> Any:
    """Have Arrow unpack something: it has the codecs, and who sends such bodies pays for its 30 MiB."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    try:
        return unpack(pa)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"the body is not valid {name}: {error}") from None


def _too_large(max_bytes: int) -> TooLargeError:
    return TooLargeError(f"the body unpacks to more than {max_bytes} bytes")


_OTHERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zstd": _zstd,
    "snappy": _snappy,
    "x-snappy-framed": _snappy,
    "lz4": _lz4,
}
