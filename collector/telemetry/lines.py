"""Writes lines in a thread of its own, so that nobody waits for who reads them.

What comes in: lines, from any thread. What goes out: the same lines, in their order, to something that may block, for
ever even: standard error is a pipe to somebody. Never holds more than a bound: beyond it lines are left out, and how
many they were is said after those that were there before.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_CHARACTERS = 1 << 20
_LAST_WORD_S = 1.0


class Lines:
    """The thread and what waits for it.

    Args:
        write: writes a line; where it raises `OSError` or `ValueError`, the line is lost.
        max_characters: of the lines that wait.
        last_word_s: how long :meth:`close` waits.

    Attributes:
        left_out: makes the line that says how many were left out.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        max_characters: int = _MAX_CHARACTERS,
        last_word_s: float = _LAST_WORD_S,
    ) -> None:
        self._write = write
        self.left_out: Callable[[int], str] = "{} lines left out".format
        self._max_characters = max_characters
        self._last_word_s = last_word_s
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._lost = 0
        self._is_over = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def close(self) -> bool:
        """Write what waits, if that can be done soon, and no more after it; whether it could.

        Where it could not, a line is still being written, and whoever writes to the same place waits for its reader.
        """
        with self._wake:
            self._is_over = True
            self._wake.notify()
        self._thread.join(self._last_word_s)
        return not self._thread.is_alive()

    def __call__(self, line: str) -> None:
        """Have a line written; never waits."""
        with self._wake:
            if self._characters + len(line) > self._max_characters:
                self._lost += 1
                return
            self._append(line)
            self._wake.notify()

    def _append(self, line: str) -> None:
        self._waiting.append(line)
        self._characters += len(line)

    def _run(self) -> None:
        while (line := self._next()) is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody is there, or the file is closed: to whom to say so?
                self._write(line)

    def _next(self) -> str | None:
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._is_over)
            if not self._waiting:
                return None
            line = self._waiting.popleft()
            self._characters -= len(line)
            if self._lost and not self._waiting:  # after those that came before
                lost, self._lost = self._lost, 0
                self._append(self.left_out(lost))
            return line


class LineStream(io.TextIOBase):
    """A text file whose lines become :class:`Lines`: for what writes to standard error without asking.

    The interpreter and libraries do (a warning, an exception that nobody catches), and would wait for the reader, with
    the event loop, for ever.
    """

    def __init__(self, lines: Callable[[str], None]) -> None:
        self._lines = lines
        self._begun = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Take text; lines that are whole go on."""
        with self._lock:
            *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._lines(line)
        return len(text)
