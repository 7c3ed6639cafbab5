"""Undoes the ``Content-Encoding`` of a body, within a bound.

What comes in: a body and how it is encoded. What goes out: the content. Never holds more than the bound: a small body
that would become large is refused while it is being unpacked.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from stepsize.collector.server.refusals import TooLargeError, UnknownEncodingError
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15, "zlib": 15}
_MAX_MEMBERS = 1000
"""A gzip body may be several after each other; a million empty ones would take a second and hold nothing."""


def decoded(body: bytes, encoding: str, max_bytes: int, allowed: Collection[str]) -> bytes:
    """The content of ``body``, whose ``encoding`` has to be one of ``allowed``.

    Raises:
        UnknownEncodingError: the encoding is not known, or not allowed.
        TooLargeError: the content is larger than ``max_bytes``.
        DataError: the body is not what its encoding says.
    """
    name = encoding.strip().lower()
    name = "" if name == "identity" else name
    if name.removeprefix("x-") not in allowed or (name and name not in _WINDOW_BITS):
        known = ", ".join(one or "identity" for one in allowed)
        raise UnknownEncodingError(f"content-encoding {name or 'identity'!r} is not supported; use one of {known}")
    return _unpacked(body, name, max_bytes) if name else body


def _unpacked(body: bytes, name: str, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    left, rest = max_bytes, body
    while rest:
        if len(parts) >= _MAX_MEMBERS:
            raise DataError(f"the body is more than {_MAX_MEMBERS} {name} streams")
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
