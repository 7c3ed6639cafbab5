"""The rows of a CSV file with a header, cell by cell.

What comes in: a path, and the columns that are of use. What goes out: a :class:`Row` after another, in the order of the
file. Nothing is guessed of a file's dialect: UTF-8 (with or without a byte order mark), commas, double quotes
(RFC 4180), compressed by gzip or not. Never writes.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_NOT_KNOWN = frozenset(("", "na", "n/a", "nan", "none", "null"))
"""What R, pandas and others write where there is no value."""
_TRUTHS = {"true": True, "t": True, "yes": True, "false": False, "f": False, "no": False}
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row as they were written. ``place`` says in an error which it is."""

    cells: Mapping[str, str]
    place: str

    def text(self, name: str) -> str | None:
        """A cell; None where it says that there is none."""
        text = self.cells.get(name)
        return None if text is None or text.strip().lower() in _NOT_KNOWN else text

    def number(self, name: str) -> float | None:
        """A cell as a number; None where it is not known or not finite."""
        text = self.text(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            raise UsageError(f"{self.place}: {name} is {text!r}, which is no number") from None
        return value if math.isfinite(value) else None

    def positive(self, name: str) -> float | None:
        """As :meth:`number`; None where it is not above zero, too."""
        value = self.number(name)
        return value if value is not None and value > 0 else None

    def measured(self, name: str) -> float | None:
        """As :meth:`positive`, of what cannot be infinite."""
        value = self.positive(name)
        if value is None and float(self.text(name) or 0) == math.inf:
            raise UsageError(f"{self.place}: {name} is infinite; leave it empty where it is not known")
        return value

    def truth(self, name: str) -> bool:
        """A cell as yes or no, in a word or as a number; yes where it is not known."""
        word = (self.text(name) or "1").strip().lower()
        try:
            return _TRUTHS[word] if word in _TRUTHS else float(word) != 0
        except ValueError:
            raise UsageError(f"{self.place}: {name} is {word!r}; it is 1 or 0, true or false") from None


def rows(path: Path, required: Sequence[str], optional: Sequence[str]) -> Iterator[Row]:
    """The rows of ``path``, without those that are empty. A row that ends early lacks its last cells.

    Raises:
        UsageError: the file cannot be read, is no such CSV, or lacks a required column.
    """
    with _told(path), _opened(path) as lines:
        reader = csv.reader(lines, strict=True)
        header = [name.strip() for name in next(filter(None, reader), [])]
        columns = _columns(path, header, required, optional)
        for number, cells in enumerate(filter(None, reader), start=1):
            if any(cells[len(header) :]):
                raise UsageError(
                    f"{path}, task {number} has {len(cells)} cells and the header {len(header)}; "
                    "quote what holds a comma"
                )
            yield Row({name: cells[at] for name, at in columns if at < len(cells)}, f"{path}, task {number}")


def _columns(
    path: Path, header: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> list[tuple[str, int]]:
    """The columns of use, and where each is."""
    missing = [name for name in required if name not in header]
    if missing:
        raise UsageError(
            f"{path} has no column {', '.join(missing)}; it is a CSV file with commas whose first line names its "
            f"columns, and required are {', '.join(required)}"
        )
    found = [name for name in (*required, *optional) if name in header]
    twice = [name for name in found if header.count(name) > 1]
    if twice:
        raise UsageError(f"{path} has more than one column {', '.join(twice)}; keep the one that counts")
    return [(name, header.index(name)) for name in found]


@contextmanager
def _opened(path: Path) -> Iterator[io.TextIOWrapper]:
    """The text of a file; of a pipe too, which can be read once."""
    with path.open("rb") as plain:
        is_compressed = plain.peek(len(_GZIP))[: len(_GZIP)] == _GZIP
        content = gzip.GzipFile(fileobj=plain) if is_compressed else plain
        with io.TextIOWrapper(content, "utf-8-sig", newline="") as text:
            yield text


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What goes wrong while reading ``path`` as one line that says what to do."""
    try:
        yield
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no UTF-8 text; save it as UTF-8") from None
    except csv.Error as error:
        raise UsageError(f"{path} cannot be read as CSV: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path} cannot be read: {why}") from None
