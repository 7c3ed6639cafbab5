"""Points that were decoded, by column.

What comes in: columns of points. What goes out: :class:`Batch`, which holds every field of every point; what points
have in common lies in the vocabulary, and a column names it by number. Never does I/O.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepsize.collector.decode.vocabulary import Vocabulary

IDS = ("resource", "scope", "metric", "attributes")
"""Columns that hold numbers of the vocabulary."""

NUMBERS = pa.schema(
    [
        *((name, pa.int32()) for name in IDS),
        ("time", pa.int64()),
        ("start", pa.int64()),
        ("received", pa.int64()),
        ("flags", pa.uint32()),
        ("double", pa.float64()),
        ("integer", pa.int64()),
        ("exemplars", pa.string()),
    ]
)
"""Points of gauges and sums: times in nanoseconds since 1970, the value in one of two columns or in none."""


@dataclass(slots=True)
class Distributions:
    """Points of a table of distributions: numbers of the vocabulary, and rows of stored columns."""

    ids: dict[str, array[int]] = field(default_factory=lambda: {name: array("i") for name in IDS})
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, ids: Sequence[int], row: dict[str, Any]) -> None:
        """One point; ``ids`` in the order of `IDS`."""
        for column, number in zip(self.ids.values(), ids, strict=True):
            column.append(number)
        self.rows.append(row)


@dataclass(slots=True)
class Batch:
    """Points gathered from any number of requests, all by the same vocabulary.

    Attributes:
        vocabulary: what the numbers mean.
        parts: points of gauges and sums (`NUMBERS`), in order of arrival within a series.
        distributions: table of the lake → points of the other types.
        count: how many points there are.
    """

    vocabulary: Vocabulary
    parts: list[pa.Table] = field(default_factory=list)
    distributions: dict[str, Distributions] = field(default_factory=dict)
    count: int = 0

    def numbers(self) -> pa.Table:
        """The points of gauges and sums in one piece."""
        if len(self.parts) != 1:
            self.parts = [pa.concat_tables([NUMBERS.empty_table(), *self.parts]).combine_chunks()]
        return self.parts[0]
