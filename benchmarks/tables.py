"""Tables as Markdown, read back as data: what a benchmark prints is what is plotted, and nothing else.

What comes in: lines. What goes out: a mapping for each row, from the column's title to its text. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NUMBER = re.compile(r"-?[\d,]*\.?\d+")


def rows_of(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The rows of all tables in ``lines``; a table begins with its titles and a line of dashes."""
    titles: list[str] = []
    before: list[str] = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells and all(set(cell) <= {"-", ":"} for cell in cells):
            titles = before
        elif titles and cells:
            yield dict(zip(titles, cells, strict=True))
        elif not cells:
            titles = []
        before = cells


def number(text: str) -> float:
    """The first number in a cell.

    Raises:
        ValueError: it holds none.
    """
    found = _NUMBER.search(text)
    if found is None:
        raise ValueError(f"no number in {text!r}")
    return float(found[0].replace(",", ""))
