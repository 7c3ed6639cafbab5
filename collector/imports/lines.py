"""Text files line by line, and tables with a header in them.

What comes in: a path (``-`` is standard input, ``.gz`` is unpacked), and the separators that a table may have. What
goes out: lines with their numbers, rows by column. A line that cannot be a row is counted in the `Reading`; the rest is
read on. Never holds more than a line.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import sys
import zlib
from typing import TYPE_CHECKING, NamedTuple

from stepsize.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from stepsize.collector.imports.reading import Reading

STANDARD_INPUT = "-"
_LONGEST_LINE = 1 << 20


class Row(NamedTuple):
    """One row: where it stands, its values by column, as they are, and its text."""

    file: str
    line: int
    values: Mapping[str, str]
    text: str

    def get(self, column: str) -> str:
        """The value of a column; empty where there is no such column."""
        return self.values.get(column, "")


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The bytes of a file.

    Raises:
        UsageError: it cannot be opened.
        DataError: it cannot be read to its end.
    """
    try:
        with contextlib.ExitStack() as end:
            if path == STANDARD_INPUT:
                yield sys.stdin.buffer
                return
            file: BinaryIO = end.enter_context(open(path, "rb"))  # noqa: PTH123 - a name that may be that of a pipe
            yield end.enter_context(gzip.open(file)) if path.endswith(".gz") else file  # type: ignore[misc] # reads alike
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def text_lines(path: str, reading: Reading) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers, without their ends; bytes that are no text become marks."""
    with opened(path) as binary:
        file = io.TextIOWrapper(binary, "utf-8-sig", errors="replace", newline="\n")
        number = 0
        is_rest = False
        try:
            while line := file.readline(_LONGEST_LINE):
                number += not is_rest
                is_whole = line.endswith("\n") or len(line) < _LONGEST_LINE
                if is_whole and not is_rest:
                    yield number, line.rstrip("\r\n")
                elif not is_rest:
                    reading.read += 1
                    reading.wrong(path, number, f"longer than {_LONGEST_LINE} characters")
                is_rest = not is_whole
        finally:
            file.detach()


def rows(
    path: str,
    separators: str,
    choose: Callable[[str], str],
    is_header: Callable[[frozenset[str]], bool],
    reading: Reading,
) -> Iterator[Row]:
    """The rows of a table.

    Args:
        path: the file.
        separators: of columns, those that may be; the header says which it is.
        choose: how a column is called here, from what its header says.
        is_header: whether a line with these columns is the header.
        reading: where lines that are wrong are counted.

    Raises:
        UsageError: the file cannot be opened, or does not begin with a header.
    """
    found = text_lines(path, reading)
    first = next(((number, line) for number, line in found if line.strip()), (0, ""))
    columns, separator = _header(first[1], separators, choose)
    if not is_header(frozenset(columns)):
        raise UsageError(f"{path} does not begin with the header of such a file; see docs/import.md for the columns")
    for number, line in found:
        if not line.strip() or line == first[1]:  # files that were put together have it again
            continue
        reading.read += 1
        values = line.split(separator)
        if len(values) != len(columns):
            reading.wrong(path, number, f"{len(values)} columns where the header has {len(columns)}")
            continue
        yield Row(path, number, dict(zip(columns, values, strict=True)), line)


def _header(line: str, separators: str, choose: Callable[[str], str]) -> tuple[list[str], str]:
    separator = max(separators, key=line.count)
    return [choose(name.strip()) for name in line.split(separator)], separator
