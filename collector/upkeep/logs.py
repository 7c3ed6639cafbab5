"""Takes points out of the write-ahead logs that a collector left when it ended.

What comes in: a state directory whose locks are held, and who is meant. What goes out: segments without those points.
Never moves a record, so that the positions of those who read a log stay what they are, and never touches the log of a
collector that lives: it begins a new segment, and deletes the one before once that is read.

What every reader has read is deleted. A request that an exporter has yet to send keeps its place and its length: what
was taken out of it is made up by a field that no receiver knows, which protobuf has it pass over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.state import LOGS
from stepsize.collector.upkeep.raw import parsed, without
from stepsize.collector.wal.format import OVERHEAD_BYTES, encode_record, segment_name
from stepsize.collector.wal.reader import delete_covered, read_records, segments
from stepsize.discovery import write_whole
from stepsize.store.manifest import WalPosition

if TYPE_CHECKING:
    from pathlib import Path

    from stepsize.store.erasure import Matcher

_END = WalPosition(segment=2**62)
_UNKNOWN_FIELD = b"\x7a"
"""Tag of field 15, of a length and so many bytes; a request has field 1 alone."""


def erase_logs(state: Path, settled: WalPosition, matcher: Matcher) -> int:
    """Rid the logs in a state directory of what is meant; how many points that were yet to be sent were taken out.

    ``settled``: everything before it in the main log is in the lake.

    Raises:
        OSError: a segment cannot be written.
    """
    taken = 0
    for directory, position in ((state, settled), *((path, _END) for path in sorted((state / LOGS).glob("*")))):
        delete_covered(directory, position)
        taken += sum(_erase_segment(directory, number, matcher) for number in segments(directory))
    return taken


def _erase_segment(directory: Path, number: int, matcher: Matcher) -> int:
    path = directory / segment_name(number)
    content: bytearray | None = None
    taken = 0
    for record, _ in read_records(directory, WalPosition(number), WalPosition(number + 1)):
        message = parsed(record.request)
        found = without(message, matcher) if message is not None else 0
        filled = _filled(message.SerializeToString(), len(record.request)) if message is not None and found else None
        if filled is not None:
            content = bytearray(path.read_bytes()) if content is None else content
            start = record.end_offset - len(record.request) - OVERHEAD_BYTES
            content[start : record.end_offset] = encode_record(filled, record.received_at_unix_nano)
            taken += found
    if content is not None:
        write_whole(path, bytes(content), mode=0o600)
    return taken


def _filled(request: bytes, size_bytes: int) -> bytes | None:
    """``request``, made ``size_bytes`` long; None where it is too long for that."""
    for length_bytes in range(1, 6):  # a length may be written with more bytes than it takes
        filler_bytes = size_bytes - len(request) - len(_UNKNOWN_FIELD) - length_bytes
        if 0 <= filler_bytes < 1 << 7 * length_bytes:
            return request + _UNKNOWN_FIELD + _varint(filler_bytes, length_bytes) + bytes(filler_bytes)
    return None


def _varint(value: int, length_bytes: int) -> bytes:
    """``value`` as a varint of exactly so many bytes."""
    groups = [(value >> 7 * place) & 0x7F for place in range(length_bytes)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
