"""The items of one array in a JSON document, one after another.

What comes in: a binary file and the name of a key. What goes out: each item of the first array behind that key. In
memory is one item and what was read with it, however long the document is.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any

from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_CHUNK = 1 << 16
_LARGEST_ITEM = 256 << 20
_SPACE = re.compile(r"[\s,]*")


def items(file: BinaryIO, key: str, name: str) -> Iterator[Any]:
    """Each item of the array of ``key`` in the document of ``file``, which is called ``name``.

    Raises:
        DataError: there is no such array, or the document ends or breaks in it. What came before was given.
    """
    text = _Text(file)
    begin = re.compile(rf'"{re.escape(key)}"\s*:\s*\[')
    while (match := begin.search(text.held)) is None:
        text.keep(max(len(text.held) - len(key) - 100, 0))
        if not text.more():
            raise DataError(f'{name} holds no "{key}": is it the output of sacct --json?')
    text.keep(match.end())
    decoder = json.JSONDecoder()
    while True:
        match = _SPACE.match(text.held)
        text.keep(match.end() if match else 0)
        if text.held.startswith("]"):
            return
        item, end = _next(decoder, text, name)
        text.keep(end)
        yield item


def _next(decoder: json.JSONDecoder, text: _Text, name: str) -> tuple[Any, int]:
    """The item that the text begins with, and where it ends; more is read until it is whole."""
    wanted = 0
    while True:
        if len(text.held) >= wanted:
            try:
                return decoder.raw_decode(text.held)
            except (ValueError, RecursionError):
                # Twice as much before the next try: a long item is not read again and again.
                wanted = max(2 * len(text.held), _CHUNK)
        if len(text.held) > _LARGEST_ITEM or not text.more():
            try:
                return decoder.raw_decode(text.held)
            except (ValueError, RecursionError):
                raise DataError(f"{name} is no JSON, or was cut off, after what was read so far") from None


class _Text:
    """What of a file is held as text."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.held = ""

    def more(self) -> bool:
        """Read on; whether there was more."""
        chunk = self._file.read(_CHUNK)
        self.held += self._decoder.decode(chunk, final=not chunk)
        return bool(chunk)

    def keep(self, start: int) -> None:
        """Let go of what lies before ``start``."""
        self.held = self.held[start:]
