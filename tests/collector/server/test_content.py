"""Packed bodies are unpacked within a bound, whatever they are."""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import time
import zlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.collector.components.otlp_receiver import COMPRESSIONS
from stepsize.collector.server.content import decoded
from stepsize.collector.server.refusals import TooLargeError, UnknownEncodingError
from stepsize.errors import DataError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1 << 20
_BEGIN = b"\xff\x06\0\0sNaPpY"


def _snappy(content: bytes) -> bytes:
    return bytes(pa.Codec("snappy").compress(content))


def _frames(content: bytes) -> bytes:
    """Snappy's frames, every other one plain, with a chunk between that may be left out."""
    made = bytearray(_BEGIN + b"\xfe\x03\0\0\0\0\0")
    for place, at in enumerate(range(0, len(content), 65_536)):
        part = content[at : at + 65_536]
        kind, packed = (1, part) if place % 2 else (0, _snappy(part))
        made += bytes([kind]) + (len(packed) + 4).to_bytes(3, "little") + b"sums" + packed
    return bytes(made)


def _lz4(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "lz4") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": zstd.compress,
    "zlib": zlib.compress,
    "snappy": _snappy,
    "deflate": zlib.compress,
    "lz4": _lz4,
    "x-snappy-framed": _frames,
}


def test_every_encoding_is_tried_here() -> None:
    """What can be configured is what these tests try."""
    assert set(PACKERS) == set(COMPRESSIONS)


@pytest.mark.parametrize("name", PACKERS)
@given(content=st.one_of(st.binary(max_size=2000), st.integers(0, 300_000).map(bytes)))
@settings(max_examples=20, deadline=None)
def test_what_was_packed_comes_back(name: str, content: bytes) -> None:
    """Each encoding gives back what was packed, up to the bound exactly."""
    packed = PACKERS[name](content)
    assert decoded(packed, name.upper(), len(content) or 1, COMPRESSIONS) == content
    if name and len(content) > 1:
        with pytest.raises(TooLargeError):
            decoded(packed, name, len(content) - 1, COMPRESSIONS)


@pytest.mark.parametrize("name", [name for name in PACKERS if name])
@given(noise=st.binary(max_size=200), cut=st.integers(0, 200))
@settings(max_examples=50, deadline=None)
def test_what_is_not_packed_is_refused(name: str, noise: bytes, cut: int) -> None:
    """Noise, and bodies that are cut short or have bytes changed, are refused, and nothing else is raised."""
    packed = PACKERS[name](b"some content " * 40)
    for body in (noise, packed[: min(cut, len(packed) - 1)], packed[:cut] + noise + packed[cut + len(noise) :]):
        with contextlib.suppress(DataError):
            assert len(decoded(body, name, MIB, COMPRESSIONS)) <= MIB


@pytest.mark.parametrize("name", [name for name in PACKERS if name])
def test_bombs(name: str) -> None:
    """Many megabytes of zeros in a small body are refused at the bound."""
    packed = PACKERS[name](bytes(20 * MIB))
    with pytest.raises(TooLargeError, match="more than 1048576 bytes"):
        decoded(packed, name, MIB, COMPRESSIONS)


def test_windows_of_zstd() -> None:
    """A frame that wants hundreds of megabytes for its window is refused before they are there."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 29}
    packer = zstd.ZstdCompressor(options=options)
    with pytest.raises(DataError, match="not valid zstd"):
        decoded(packer.compress(b"x") + packer.flush(), "zstd", MIB, COMPRESSIONS)


def test_several_after_each_other() -> None:
    """Bodies of several streams are one content; as many empty ones as could keep a core busy are refused."""
    assert decoded(zstd.compress(b"a") + zstd.compress(b"b"), "zstd", 10, COMPRESSIONS) == b"ab"
    assert decoded(gzip.compress(b"a") + gzip.compress(b"b"), "x-gzip", 10, COMPRESSIONS) == b"ab"
    with pytest.raises(DataError, match="more than 1000"):
        decoded(zstd.compress(b"") * 2000, "zstd", 10, COMPRESSIONS)


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_empty_streams_before_a_large_one(name: str) -> None:
    """Streams that hold nothing cost the same whatever comes after them, however large that is."""
    empty = PACKERS[name](b"") * 999
    large = os.urandom(8 * MIB)

    def cost_s(body: bytes, content: bytes) -> float:
        began_s = time.thread_time()
        assert decoded(body, name, 20 * MIB, COMPRESSIONS) == content
        return time.thread_time() - began_s

    packed = PACKERS[name](large)
    apart_s = cost_s(empty, b"") + cost_s(packed, large)
    assert cost_s(empty + packed, large) < 3 * apart_s + 0.05


def test_names() -> None:
    """What is unknown or not allowed is refused by name, with what is taken."""
    for name in ("br", "gzip, gzip", "zstd", "identity "):
        with pytest.raises(UnknownEncodingError, match="use one of gzip"):
            decoded(b"x", name, 10, ("gzip",))
