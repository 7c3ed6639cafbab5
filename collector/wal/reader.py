"""Records of a write-ahead log from a position on.

What comes in: the directory of segments, a position, and up to where the log is known to be durable. What goes out:
records in order, each with the position after it, and what is no record: every byte of a segment is either returned or
reported as :class:`Damage`. Never changes a file.

A segment older than the one being written is complete: where it ends, the next one follows. A crash in the middle of
a write leaves an end that is no whole record, which was never acknowledged; whatever else cannot be read has been
damaged since. What lies behind it is found by the marks that records begin with.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.collector.wal.format import (
    HEADER,
    OVERHEAD_BYTES,
    SUFFIX,
    decode_records,
    next_mark,
    record_bytes,
    segment_name,
    segment_number,
)
from stepsize.collector.wal.positions import first_needed
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from stepsize.collector.wal.format import Record

_CHUNK_BYTES = 4 << 20
_SEGMENT = re.compile(r"\d{20}" + re.escape(SUFFIX))


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of segment ``segment`` from offset ``start`` to ``end`` that are no records.

    Attributes:
        cut: whether they are the beginning of a record that the end of the segment cuts off, as a crash does to what
            it was about to write. Nobody was told that it was kept.
    """

    segment: int
    start: int
    end: int
    cut: bool = False

    def __str__(self) -> str:
        where = f"bytes {self.start} to {self.end} of {segment_name(self.segment)}"
        return f"{where} were cut off by a crash" if self.cut else f"{where} are damaged"


def segments(directory: Path) -> list[int]:
    """Numbers of the segments that are there, in order."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 - paths take eight times as long, and a backlog has thousands
    except FileNotFoundError:
        return []
    return sorted(segment_number(name) for name in names if _SEGMENT.fullmatch(name))


def read_records(
    directory: Path,
    start: WalPosition,
    durable: WalPosition,
    report: Callable[[Damage], None] = lambda _: None,
) -> Iterator[tuple[Record, WalPosition]]:
    """Records after ``start`` and not beyond ``durable``, each with the position after it.

    ``report`` is called with what is no record, before the record behind it is returned.
    """
    for number in segments(directory):
        if number < start.segment or number > durable.segment:
            continue
        offset = start.offset if number == start.segment else 0
        limit = durable.offset if number == durable.segment else None
        try:
            file = (directory / segment_name(number)).open("rb")
        except FileNotFoundError:  # already covered, and deleted
            continue
        with file:
            for record in _Segment(file, number, limit, report).records(offset):
                yield record, WalPosition(number, record.end_offset)


class _Segment:
    """One pass over one segment, up to ``limit`` or its end."""

    def __init__(self, file: BinaryIO, number: int, limit: int | None, report: Callable[[Damage], None]) -> None:
        self._file = file
        self._number = number
        size_bytes = file.seek(0, 2)
        self._is_whole = limit is not None  # a crash cuts nothing off before a durable position
        self._size_bytes = size_bytes if limit is None else min(size_bytes, limit)
        self._report = report
        self._chunk = b""
        self._chunk_offset = 0
        self._lost_from: int | None = None

    def records(self, offset: int) -> Iterator[Record]:
        """Its records from ``offset`` on."""
        if self._size_bytes <= len(HEADER):  # nothing was ever written behind it
            return
        self._file.seek(0)
        if self._file.read(len(HEADER)) != HEADER:
            self._report(Damage(self._number, 0, len(HEADER)))
        offset = max(offset, len(HEADER))
        while offset < self._size_bytes:
            self._load(offset, OVERHEAD_BYTES)
            for record in decode_records(self._chunk, self._chunk_offset, offset - self._chunk_offset):
                self._end_of_loss(offset)
                offset = record.end_offset
                yield record
            if offset < self._size_bytes:
                offset = self._step(offset)
        self._end_of_loss(offset)

    def _step(self, offset: int) -> int:
        """Where to go on from ``offset``, where no record ends that has been read: it may only be read in part."""
        left_bytes = self._size_bytes - offset
        if left_bytes < OVERHEAD_BYTES:
            return self._cut(offset)
        if self._load(offset, OVERHEAD_BYTES):
            return offset
        length = record_bytes(self._chunk, offset - self._chunk_offset)
        if length is None:
            self._lose(offset)
            return min(self._chunk_offset + next_mark(self._chunk, offset - self._chunk_offset + 1), self._size_bytes)
        if length > left_bytes:
            return self._cut(offset)
        if length > self._chunk_offset + len(self._chunk) - offset:
            self._load(offset, length)
            return offset
        self._lose(offset)  # its head says how long it is, and what follows the head is something else
        return offset + length

    def _load(self, offset: int, wanted_bytes: int) -> bool:
        """Have ``wanted_bytes`` from ``offset`` on in the chunk, as far as the segment goes; whether any were read."""
        begin, left_bytes = offset - self._chunk_offset, self._size_bytes - offset
        if len(self._chunk) - begin >= min(wanted_bytes, left_bytes):
            return False
        kept = self._chunk[begin:]
        self._file.seek(offset + len(kept))
        more = self._file.read(min(max(_CHUNK_BYTES, wanted_bytes - len(kept)), left_bytes - len(kept)))
        if not more:  # it was made shorter under us
            self._size_bytes = offset + len(kept)
        self._chunk, self._chunk_offset = kept + more, offset
        return True

    def _cut(self, offset: int) -> int:
        if self._lost_from is None and not self._is_whole:
            self._report(Damage(self._number, offset, self._size_bytes, cut=True))
        else:
            self._lose(offset)
        return self._size_bytes

    def _lose(self, offset: int) -> None:
        if self._lost_from is None:
            self._lost_from = offset

    def _end_of_loss(self, offset: int) -> None:
        if self._lost_from is not None:
            self._report(Damage(self._number, self._lost_from, offset))
            self._lost_from = None


def delete_before(directory: Path, position: WalPosition) -> int:
    """Delete the segments that lie wholly before ``position``, as long as one may be written; returns how many.

    What another reader still needs stays (see :mod:`stepsize.collector.wal.positions`).
    """
    position = first_needed(directory, position)
    covered = [number for number in segments(directory) if number < position.segment]
    return _delete(directory, covered)


def delete_covered(directory: Path, position: WalPosition) -> int:
    """As :func:`delete_before`, and the last segment too where nothing is left in it; only without a writer."""
    position = first_needed(directory, position)
    covered = [number for number in segments(directory) if end_of(directory, number) <= position]
    return _delete(directory, covered)


def end_of(directory: Path, number: int) -> WalPosition:
    """The end of a segment; its start where it holds no record."""
    size_bytes = (directory / segment_name(number)).stat().st_size
    return WalPosition(number, size_bytes if size_bytes > len(HEADER) else 0)


def bytes_between(directory: Path, start: WalPosition, end: WalPosition, enough_bytes: float = math.inf) -> int:
    """How many bytes of the log lie between two positions; looks at no more segments when it has ``enough_bytes``."""
    total = 0
    for number in segments(directory):
        if total >= enough_bytes:
            break
        if start.segment <= number <= end.segment:
            with contextlib.suppress(FileNotFoundError):
                last = end.offset if number == end.segment else end_of(directory, number).offset
                total += max(0, last - (start.offset if number == start.segment else 0))
    return total


def _delete(directory: Path, numbers: list[int]) -> int:
    for number in numbers:
        (directory / segment_name(number)).unlink(missing_ok=True)
    return len(numbers)
