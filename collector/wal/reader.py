"""Records of a write-ahead log from a position on.

What comes in: the directory of segments, a position, and up to where the log is known to be durable. What goes out:
records in order, each with the position after it. Never changes a file.

A segment older than the one being written is complete: where its records end, the next segment follows, whatever the
bytes after them are (a tail torn by a crash was never acknowledged).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.wal.format import HEADER, SUFFIX, decode_records, needed_bytes, segment_name, segment_number
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepsize.collector.wal.format import Record

_CHUNK_BYTES = 4 << 20


def segments(directory: Path) -> list[int]:
    """Numbers of the segments that are there, in order."""
    return sorted(segment_number(path.name) for path in directory.glob(f"[0-9]*{SUFFIX}"))


def read_records(directory: Path, start: WalPosition, durable: WalPosition) -> Iterator[tuple[Record, WalPosition]]:
    """Records after ``start`` and not beyond ``durable``, each with the position after it."""
    for number in segments(directory):
        if number < start.segment or number > durable.segment:
            continue
        offset = start.offset if number == start.segment else 0
        limit = durable.offset if number == durable.segment else None
        for record in _read_segment(directory / segment_name(number), offset, limit):
            yield record, WalPosition(number, record.end_offset)


def _read_segment(path: Path, offset: int, limit: int | None) -> Iterator[Record]:
    try:
        file = path.open("rb")
    except FileNotFoundError:  # already covered, and deleted
        return
    with file:
        if file.read(len(HEADER)) != HEADER:
            return
        offset = max(offset, len(HEADER))
        file.seek(offset)
        chunk = b""
        wanted = _CHUNK_BYTES
        while True:
            more = file.read(wanted if limit is None else max(0, min(wanted, limit - offset - len(chunk))))
            chunk += more
            end = offset
            for record in decode_records(chunk, offset):
                end = record.end_offset
                yield record
            if not more:
                return
            chunk, offset = chunk[end - offset :], end
            wanted = max(_CHUNK_BYTES, needed_bytes(chunk) - len(chunk))


def delete_before(directory: Path, position: WalPosition) -> int:
    """Delete the segments that lie wholly before ``position``, as long as one may be written; returns how many."""
    covered = [number for number in segments(directory) if number < position.segment]
    return _delete(directory, covered)


def delete_covered(directory: Path, position: WalPosition) -> int:
    """As :func:`delete_before`, and the last segment too where nothing is left in it; only without a writer."""
    covered = [number for number in segments(directory) if end_of(directory, number) <= position]
    return _delete(directory, covered)


def end_of(directory: Path, number: int) -> WalPosition:
    """The end of a segment; its start where it holds no record."""
    size_bytes = (directory / segment_name(number)).stat().st_size
    return WalPosition(number, size_bytes if size_bytes > len(HEADER) else 0)


def _delete(directory: Path, numbers: list[int]) -> int:
    for number in numbers:
        (directory / segment_name(number)).unlink(missing_ok=True)
    return len(numbers)
