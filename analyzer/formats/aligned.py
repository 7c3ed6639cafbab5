"""Plain text in columns.

What comes in: rows of cells, their heading first. What goes out: lines. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], to_the_right: Collection[str] = ()) -> list[str]:
    """A line for each row, its cells as wide as their column; columns with a heading in ``to_the_right`` end
    together."""
    columns = []
    for title, *cells in zip(*rows, strict=True):
        width = max(map(len, (title, *cells)))
        columns.append([c.rjust(width) if title in to_the_right else c.ljust(width) for c in (title, *cells)])
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
