"""Plain text in columns.

What comes in: rows of cells, their heading first. What goes out: lines. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


WIDTH = 80
"""Characters that every terminal has."""
_INDENT = "    "
"""Of what goes on below."""


def folded(rows: Sequence[Sequence[str]], to_the_right: Collection[str] = ()) -> list[str]:
    """As :func:`aligned`, in lines of at most :data:`WIDTH`: columns that do not fit go on below their row, indented.

    One cell alone may be wider than that.
    """
    columns = list(zip(*rows, strict=True))
    groups: list[list[tuple[str, ...]]] = []
    room = 0
    for column in columns:
        width = max(map(len, column))
        if not groups or room < width + 2:
            room = WIDTH - (len(_INDENT) if groups else 0) - width
            groups.append([column])
        else:
            room -= width + 2
            groups[-1].append(column)
    blocks = [aligned(list(zip(*group, strict=True)), to_the_right) for group in groups]
    indents = ["", *[_INDENT] * (len(blocks) - 1)]
    return [
        (indent + line).rstrip()
        for lines in zip(*blocks, strict=True)
        for indent, line in zip(indents, lines, strict=True)
    ]


def aligned(rows: Sequence[Sequence[str]], to_the_right: Collection[str] = ()) -> list[str]:
    """A line for each row, its cells as wide as their column; columns with a heading in ``to_the_right`` end
    together."""
    columns = []
    for title, *cells in zip(*rows, strict=True):
        width = max(map(len, (title, *cells)))
        columns.append([c.rjust(width) if title in to_the_right else c.ljust(width) for c in (title, *cells)])
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
