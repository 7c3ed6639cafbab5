"""Where what is whole ends in a file of the ``file`` exporter: a kill may have left a part of a record behind it.

What comes in: a file, open for reading. What goes out: an offset. Never changes a file, and takes nothing for a part of
a record that does not begin like one: a user's own file may be appended to.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO

LENGTH = struct.Struct(">I")
"""What precedes a request in the format ``proto``."""
_LINE = b'{"resourceMetrics":['
_RESOURCE_METRICS = b"\x0a"
"""How a request in protobuf begins: field 1, which holds messages."""
_CHUNK_BYTES = 64 << 10


def end_of_lines(file: BinaryIO) -> int | None:
    """After the last whole line; None where the rest is none of ours."""
    size_bytes = position = file.seek(0, 2)
    begin = 0
    while position and not begin:
        step = min(_CHUNK_BYTES, position)
        position -= step
        file.seek(position)
        found = file.read(step).rfind(b"\n")
        begin = position + found + 1 if found >= 0 else 0
    file.seek(begin)
    rest = file.read(len(_LINE))
    return begin if begin == size_bytes or rest.startswith(_LINE[: len(rest)]) else None


def end_of_messages(file: BinaryIO) -> int | None:
    """After the last whole message; None where the rest is none of ours."""
    size_bytes = file.seek(0, 2)
    position = 0
    while position + LENGTH.size <= size_bytes:
        file.seek(position)
        end = position + LENGTH.size + LENGTH.unpack(file.read(LENGTH.size))[0]
        if end > size_bytes:
            break
        position = end
    file.seek(min(position + LENGTH.size, size_bytes))
    return position if file.read(1) in (b"", _RESOURCE_METRICS) else None
