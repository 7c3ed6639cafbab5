"""The records of a recording as columns that grow: of each look, only what is new is read.

What comes in: a file that an agent appends records to, or columns that were saved. What goes out: columns of floats,
NaN where nothing could be read. Never writes, never waits.
"""

from __future__ import annotations

import math
import os
import socket
import tempfile
import weakref
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.instrumentation.recording import TIME, record_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepsize.instrumentation.recording import Field

CAN_BE_WRITTEN_BY_OTHERS = hasattr(os, "pread") and hasattr(socket, "send_fds")
"""Whether a file without a name can be handed to an agent here."""
_PART_BYTES = 1 << 24


def nameless_file() -> int:
    """A descriptor of an empty file that is gone with the last who holds it; not inherited by programs.

    Raises:
        OSError: there is no place for one.
    """
    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


class Stream:
    """Columns of one kind of record: `TIME`, then one for each field.

    Args:
        fields: of the records.
        descriptor: the file to which an agent appends them, which is closed with the stream; ``None`` where there is
            none.
    """

    def __init__(self, fields: Sequence[Field], descriptor: int | None = None) -> None:
        self.fields = tuple(fields)
        self.descriptor = descriptor
        self._offset = 0
        self._closer = None if descriptor is None else weakref.finalize(self, os.close, descriptor)
        self.columns: dict[str, array[float]] = {name: array("d") for name in (TIME, *(f.name for f in fields))}
        self._readable: dict[str, _Readable] = {}

    def __len__(self) -> int:
        return len(self.columns[TIME])

    def refresh(self) -> None:
        """Take what has been written since the last look."""
        size, width = record_bytes(self.fields), len(self.columns)
        while self.descriptor is not None:
            found = os.pread(self.descriptor, _PART_BYTES // size * size, self._offset)
            whole = len(found) // size * size
            if not whole:
                return
            self._offset += whole
            values = array("d", found[:whole])
            for index, column in enumerate(self.columns.values()):
                column.extend(values[index::width])

    def close(self) -> None:
        """Read no more: nobody writes any more."""
        if self._closer is not None:
            self._closer()
        self.descriptor = None

    def load(self, columns: Mapping[str, Sequence[float]]) -> None:
        """Take columns that were saved, all of one length; those that are not among them are NaN."""
        rows = len(columns[TIME])
        for name, column in self.columns.items():
            column.extend(columns[name] if name in columns else array("d", [math.nan]) * rows)

    @property
    def last_s(self) -> float:
        """When the last record was true; minus infinity where there is none."""
        times = self.columns[TIME]
        return times[-1] if times else -math.inf

    def earliest(self, name: str) -> float | None:
        """The first value of a column that could be read."""
        return self._of(name).first

    def latest(self, name: str) -> float | None:
        """The last value of a column that could be read."""
        return self._of(name).last

    def highest(self, name: str) -> float | None:
        """The highest value of a column."""
        return self._of(name).highest

    def _of(self, name: str) -> _Readable:
        """What is known of a column's values, of each look only the new ones looked at."""
        column, known = self.columns[name], self._readable.setdefault(name, _Readable())
        if known.rows < len(column):
            known.take(column[known.rows :])
        return known


@dataclass(slots=True)
class _Readable:
    """The values of a column that could be read, as far as it was looked at."""

    rows: int = 0
    first: float | None = None
    last: float | None = None
    highest: float | None = None

    def take(self, values: Sequence[float]) -> None:
        self.rows += len(values)
        found = [value for value in values if not math.isnan(value)]
        if found:
            self.first = found[0] if self.first is None else self.first
            self.last = found[-1]
            self.highest = max(found) if self.highest is None else max(self.highest, *found)
