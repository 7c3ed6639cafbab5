"""Undoes the ``Content-Encoding`` of a body, within a bound.

What comes in: a body and how it is encoded. What goes out: the content. Never holds more than the bound: a small body
that would become large is refused while it is being unpacked.
"""

from __future__ import annotations

import zlib

from stepsize.errors import DataError

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15, "zlib": 15}
ENCODINGS = ("gzip", "deflate", "identity")


class TooLargeError(DataError):
    """The content is larger than the bound."""


class UnknownEncodingError(DataError):
    """The encoding is none of :data:`ENCODINGS`."""


def decoded(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """The content of ``body``.

    Raises:
        UnknownEncodingError: the encoding is not known.
        TooLargeError: the content is larger than ``max_bytes``.
        DataError: the body is not what its encoding says.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOW_BITS:
        raise UnknownEncodingError(f"content-encoding {name!r} is not supported; use one of {', '.join(ENCODINGS)}")
    parts: list[bytes] = []
    left, rest = max_bytes, body
    while rest:  # gzip allows several members after each other
        unpacker = zlib.decompressobj(_WINDOW_BITS[name])
        try:
            part = unpacker.decompress(rest, left + 1)
        except zlib.error as error:
            raise DataError(f"the body is not valid {name}: {error}") from None
        left -= len(part)
        if left < 0:
            raise TooLargeError(f"the body unpacks to more than {max_bytes} bytes")
        if not unpacker.eof:
            raise DataError(f"the body is not valid {name}: it ends too early")
        parts.append(part)
        rest = unpacker.unused_data
    return b"".join(parts)
