"""The write-ahead log: what comes back after any tear, and what a failing disk does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepsize.collector.wal.format import HEADER, SUFFIX, decode_records, encode_record, segment_name
from stepsize.collector.wal.limits import WalLimits
from stepsize.collector.wal.reader import delete_before, delete_covered, read_records, segments
from stepsize.collector.wal.writer import WalWriter
from stepsize.errors import UnavailableError
from stepsize.store.manifest import WalPosition

END = WalPosition(2**62)
requests_and_times = st.lists(st.tuples(st.binary(max_size=80), st.integers(-(2**63), 2**63 - 1)), max_size=8)


@given(requests_and_times, st.data())
def test_torn_tail_loses_nothing_before_it(records: list[tuple[bytes, int]], data: st.DataObject) -> None:
    """Cut anywhere, and whatever follows the cut, the records before it come back, and none that was not written."""
    encoded = [encode_record(content, time) for content, time in records]
    whole = b"".join(encoded)
    cut = data.draw(st.integers(0, len(whole)))
    found = list(decode_records(whole[:cut], 0))
    complete = 0
    while complete < len(encoded) and sum(map(len, encoded[: complete + 1])) <= cut:
        complete += 1
    assert [(one.request, one.received_at_unix_nano) for one in found] == records[:complete]
    assert [one.end_offset for one in found] == [sum(map(len, encoded[: i + 1])) for i in range(complete)]


@given(requests_and_times.filter(bool), st.data())
def test_a_flipped_bit_ends_the_log_there(records: list[tuple[bytes, int]], data: st.DataObject) -> None:
    """A damaged record is never returned, nor anything after it; those before it are."""
    encoded = [encode_record(content, time) for content, time in records]
    which = data.draw(st.integers(0, len(records) - 1))
    start = sum(map(len, encoded[:which]))
    place = start + data.draw(st.integers(0, len(encoded[which]) - 1))
    damaged = bytearray(b"".join(encoded))
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    found = [(one.request, one.received_at_unix_nano) for one in decode_records(bytes(damaged), 0)]
    assert found == records[:which]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 2000), st.data())
def test_reading_goes_on_from_any_position(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes], segment_bytes: int, data: st.DataObject
) -> None:
    """Over any number of segments, records come back in order, from any position on, and up to any other."""
    directory = tmp_path_factory.mktemp("wal")
    asyncio.run(write(directory, contents, segment_bytes))
    found = list(read_records(directory, WalPosition(), END))
    assert [record.request for record, _ in found] == contents
    cut = data.draw(st.integers(0, len(found)))
    start = found[cut - 1][1] if cut else WalPosition()
    assert [record.request for record, _ in read_records(directory, start, END)] == contents[cut:]
    assert [record.request for record, _ in read_records(directory, WalPosition(), start)] == contents[:cut]


async def write(directory: Path, contents: list[bytes], segment_bytes: int) -> list[WalPosition]:
    durable: list[WalPosition] = []
    writer = WalWriter(
        directory, first_segment=1, on_durable=durable.append, limits=WalLimits(segment_bytes=segment_bytes)
    )
    for content in contents:
        await writer.append(content)
        assert durable[-1] == writer.durable
    await writer.close()
    return durable


def test_requests_at_once_share_a_sync(tmp_path: Path) -> None:
    """Many requests that come together are durable together: in order, each once, with fewer syncs than requests."""
    contents = [b"%d" % i for i in range(500)]

    async def run() -> int:
        durable: list[WalPosition] = []
        writer = WalWriter(tmp_path, first_segment=1, on_durable=durable.append)
        await asyncio.gather(*map(writer.append, contents))
        await writer.close()
        return len(durable)

    assert asyncio.run(run()) < 250
    assert [record.request for record, _ in read_records(tmp_path, WalPosition(), END)] == contents


def test_a_request_larger_than_a_write_is_written(tmp_path: Path) -> None:
    """However large a request is that was taken, first or last of those that wait, it is kept, and the log goes on."""
    contents = [b"a", b"x" * (9 << 20), b"y" * (9 << 20)]

    async def run() -> None:
        writer = WalWriter(tmp_path, first_segment=1, on_durable=lambda _: None)
        await asyncio.gather(*map(writer.append, contents))
        await writer.append(b"b")
        await writer.close()

    asyncio.run(run())
    assert [record.request for record, _ in read_records(tmp_path, WalPosition(), END)] == [*contents, b"b"]


def test_a_new_writer_never_touches_old_segments(tmp_path: Path) -> None:
    """After a torn tail, a new writer starts a new segment, and both are read in order."""
    asyncio.run(write(tmp_path, [b"one", b"two"], 1 << 20))
    torn = tmp_path / segment_name(1)
    torn.write_bytes(torn.read_bytes()[:-1])
    asyncio.run(write(tmp_path, [b"three"], 1 << 20))
    assert [record.request for record, _ in read_records(tmp_path, WalPosition(), END)] == [b"one", b"three"]
    assert segments(tmp_path) == [1, 2]


def test_covered_segments_are_deleted(tmp_path: Path) -> None:
    """Only segments wholly before the position go; the last one only where nothing is left in it and nobody writes."""
    durable = asyncio.run(write(tmp_path, [b"x" * 100] * 5, 200))
    middle, last = durable[2], durable[-1]
    rest = [record.request for record, _ in read_records(tmp_path, middle, END)]
    assert delete_before(tmp_path, middle) == middle.segment - 1
    assert [record.request for record, _ in read_records(tmp_path, middle, END)] == rest
    delete_before(tmp_path, last)
    assert segments(tmp_path) == [last.segment]
    delete_covered(tmp_path, last)
    assert segments(tmp_path) == []


def test_what_is_no_segment_is_passed_over(tmp_path: Path) -> None:
    """A segment without its header, or with nothing but it, holds no records and stops nobody."""
    (tmp_path / segment_name(1)).write_bytes(b"")
    (tmp_path / segment_name(2)).write_bytes(HEADER[:3])
    (tmp_path / segment_name(3)).write_bytes(HEADER)
    asyncio.run(write(tmp_path, [b"here"], 1 << 20))
    assert [record.request for record, _ in read_records(tmp_path, WalPosition(), END)] == [b"here"]


def test_too_much_at_once_is_refused(tmp_path: Path) -> None:
    """Requests beyond what may wait for the disk are refused so that they are sent again; the others are kept."""

    async def run() -> list[object]:
        writer = WalWriter(
            tmp_path, first_segment=1, on_durable=lambda _: None, limits=WalLimits(max_pending_bytes=1000)
        )
        results = await asyncio.gather(*(writer.append(b"x" * 300) for _ in range(10)), return_exceptions=True)
        await writer.close()
        return list(results)

    results = asyncio.run(run())
    kept = [result for result in results if result is None]
    assert 0 < len(kept) < 10
    assert all(result is None or isinstance(result, UnavailableError) for result in results)
    assert len(list(read_records(tmp_path, WalPosition(), END))) == len(kept)


class FailingDirectory(type(Path())):  # type: ignore[misc]  # the class for this system
    """A directory in which segments after the first cannot be named: a failure that is none of the disk's."""

    def __truediv__(self, name: str) -> Path:
        if name.endswith(SUFFIX) and name != segment_name(1):
            raise RuntimeError("a defect")
        return Path(str(self), name)


def test_a_failure_that_is_not_the_disks_leaves_nobody_waiting(tmp_path: Path) -> None:
    """Whatever ends the writer: what waited and what comes is refused, it is reported once, and closing goes well."""

    async def run() -> tuple[list[object], list[Exception]]:
        failures: list[Exception] = []
        writer = WalWriter(
            FailingDirectory(tmp_path),
            first_segment=1,
            on_durable=lambda _: None,
            on_failure=failures.append,
            limits=WalLimits(segment_bytes=1),
        )
        await writer.append(b"kept")
        waiting = asyncio.gather(*(writer.append(b"lost") for _ in range(3)), return_exceptions=True)
        refused: list[object] = list(await asyncio.wait_for(waiting, 10.0))
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(writer.append(b"late"), 10.0)
        await writer.close()
        return refused, failures

    refused, failures = asyncio.run(run())
    assert [type(result) for result in refused] == [UnavailableError] * 3
    assert [str(failure) for failure in failures] == ["a defect"]
    assert [record.request for record, _ in read_records(tmp_path, WalPosition(), END)] == [b"kept"]


def test_systems_without_fdatasync(tmp_path: Path) -> None:
    """Where there is no `fdatasync` (macOS), requests are kept all the same."""
    script = """
import os
del os.fdatasync
import asyncio, pathlib, sys
from stepsize.collector.wal.writer import WalWriter
async def main():
    writer = WalWriter(pathlib.Path(sys.argv[1]), first_segment=1, on_durable=lambda _: None)
    await asyncio.wait_for(writer.append(b"kept"), 10)
    await writer.close()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [record.request for record, _ in read_records(tmp_path, WalPosition(), END)] == [b"kept"]


def test_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """When the disk takes no more, requests are refused, nothing of them stays, and later ones are kept again."""
    script = """
import asyncio, pathlib, resource, sys
from stepsize.collector.wal.writer import WalWriter
from stepsize.errors import UnavailableError
async def main():
    writer = WalWriter(pathlib.Path(sys.argv[1]), first_segment=1, on_durable=lambda _: None)
    await writer.append(b"first")
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
    for size in (5000, 6000):
        try:
            await writer.append(b"x" * size)
        except UnavailableError as error:
            print("refused", error)
    await writer.append(b"small")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await writer.append(b"y" * 5000)
    await writer.close()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused") == 2
    found = [record.request for record, _ in read_records(tmp_path, WalPosition(), END)]
    assert found == [b"first", b"small", b"y" * 5000]
