"""A damaged write-ahead log: what is whole is found, what is not is reported, and nothing is made up."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.collector.wal.format import HEADER, MARK, encode_record, segment_name
from stepsize.collector.wal.limits import WalLimits
from stepsize.collector.wal.reader import Damage, read_records, segments
from stepsize.collector.wal.writer import WalWriter
from stepsize.store.manifest import WalPosition
from tests.collector.otlp import RequestBuilder, identity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.durability.site import Site

END = WalPosition(2**62)
HEAD_BYTES = len(encode_record(b"", 0))


@dataclass(frozen=True)
class Placed:
    """A request, and where its record lies."""

    request: bytes
    segment: int
    start: int
    end: int


def write(directory: Path, requests: list[bytes], segment_bytes: int) -> list[Placed]:
    """Write requests, and know where each lies."""

    async def run() -> list[Placed]:
        writer = WalWriter(
            directory, first_segment=1, on_durable=lambda _: None, limits=WalLimits(segment_bytes=segment_bytes)
        )
        placed = []
        for request in requests:
            await writer.append(request)
            at = writer.durable
            placed.append(Placed(request, at.segment, at.offset - HEAD_BYTES - len(request), at.offset))
        await writer.close()
        return placed

    return asyncio.run(run())


def read(directory: Path, durable: WalPosition = END) -> tuple[list[bytes], list[Damage]]:
    """What a log gives, and what it reports."""
    reported: list[Damage] = []
    found = [record.request for record, _ in read_records(directory, WalPosition(), durable, reported.append)]
    return found, reported


# Some hold what looks like the beginning of a record.
contents = st.lists(
    st.binary(max_size=60) | st.binary(max_size=20).map(lambda b: b + MARK + b), min_size=1, max_size=12
)


@settings(max_examples=60)
@given(contents, st.integers(1, 400), st.data())
def test_damage_anywhere(
    tmp_path_factory: pytest.TempPathFactory, requests: list[bytes], segment_bytes: int, data: st.DataObject
) -> None:
    """Bits that turn, bytes that become zero, ends that are cut off: every record that is whole comes back."""
    directory = tmp_path_factory.mktemp("wal")
    placed = write(directory, requests, segment_bytes)
    touched: dict[int, set[int]] = {number: set() for number in segments(directory)}
    for number in data.draw(st.lists(st.sampled_from(segments(directory)), max_size=3)):
        path = directory / segment_name(number)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["bit", "zeros", "cut"]))
        if kind == "cut":
            touched[number].update(range(at, max(len(content), max(touched[number], default=0) + 1)))
            path.write_bytes(content[:at])
            if not at:
                break
            continue
        until = at + 1 if kind == "bit" else min(len(content), at + data.draw(st.integers(1, 50)))
        for place in range(at, until):
            changed = content[place] ^ (1 << data.draw(st.integers(0, 7))) if kind == "bit" else 0
            if changed != content[place]:
                touched[number].add(place)
            content[place] = changed
        path.write_bytes(content)
    found, reported = read(directory)
    whole = [one for one in placed if touched[one.segment].isdisjoint(range(one.start, one.end))]
    assert found == [one.request for one in whole]
    for one in placed:
        size_bytes = (directory / segment_name(one.segment)).stat().st_size
        if one not in whole and one.start < size_bytes and size_bytes > len(HEADER):
            assert any(d.segment == one.segment and d.start <= one.start < d.end for d in reported), (one, reported)


@settings(max_examples=30)
@given(contents, st.integers(1, 59))
def test_what_a_crash_cuts_off_is_no_damage(
    tmp_path_factory: pytest.TempPathFactory, requests: list[bytes], missing: int
) -> None:
    """A write that a crash cut short is told from damage: nobody was told that it was kept."""
    directory = tmp_path_factory.mktemp("wal")
    *kept, last = write(directory, [*requests, b"x" * 60], 1 << 20)
    path = directory / segment_name(1)
    os.truncate(path, last.end - missing)
    found, reported = read(directory)
    assert found == [one.request for one in kept]
    assert reported == [Damage(1, last.start, last.end - missing, cut=True)]
    # Below a position that was durable nothing can have been cut off by a crash.
    found, reported = read(directory, WalPosition(1, last.end))
    assert reported == [Damage(1, last.start, last.end - missing)]


def test_a_lost_header_costs_no_record(tmp_path: Path) -> None:
    """Where the first bytes of a segment are damaged its records are found by their marks."""
    write(tmp_path, [b"one", b"two"], 1 << 20)
    path = tmp_path / segment_name(1)
    path.write_bytes(b"\0" * len(HEADER) + path.read_bytes()[len(HEADER) :])
    assert read(tmp_path) == ([b"one", b"two"], [Damage(1, 0, len(HEADER))])


def test_a_damaged_record_hides_nothing_that_it_holds(tmp_path: Path) -> None:
    """A request that holds what looks like a record is skipped as a whole: nobody can slip one in that way."""
    inner = encode_record(b"forged", 1)
    placed = write(tmp_path, [b"one", b"?" + inner + b"?", b"two"], 1 << 20)
    path = tmp_path / segment_name(1)
    content = bytearray(path.read_bytes())
    content[placed[1].start + HEAD_BYTES] ^= 1
    path.write_bytes(content)
    assert read(tmp_path) == ([b"one", b"two"], [Damage(1, placed[1].start, placed[1].end)])


def test_strangers_among_the_segments(tmp_path: Path) -> None:
    """Files that are no segments, whatever they are called, are left alone."""
    write(tmp_path, [b"one"], 1 << 20)
    for name in ("notes.wal", "12.wal", "0" * 20 + ".wal.bak", "undecodable-1-8.bin"):
        (tmp_path / name).write_bytes(b"?")
    assert segments(tmp_path) == [1]
    assert read(tmp_path) == ([b"one"], [])


def numbered(number: int) -> bytes:
    return RequestBuilder(identity(str(number))).gauge("n", [(1_800_000_000_000_000_000, number)]).content()


def test_a_collector_goes_on_behind_damage(plain_site: Site) -> None:
    """A record that was damaged on disk is set aside and named; those before and after it are in the lake."""
    collector = plain_site.collect()
    sink = collector.sink()
    sink.suspend()
    for number in range(3):
        assert collector.post(numbered(number))[0] == 200
    os.killpg(collector.process.pid, signal.SIGKILL)
    collector.process.wait()
    (path,) = plain_site.settings.state_dir.glob("*.wal")
    content = bytearray(path.read_bytes())
    content[len(HEADER) + len(encode_record(numbered(0), 0)) + 40] ^= 4
    path.write_bytes(content)
    plain_site.collect()
    plain_site.flush()
    assert plain_site.rows("SELECT value_int FROM points ORDER BY 1") == [(0,), (2,)]
    (aside,) = plain_site.settings.state_dir.glob("damaged-*.bin")
    assert len(aside.read_bytes()) == len(encode_record(numbered(1), 0))
    assert f"are damaged; kept as {aside}" in plain_site.said()
