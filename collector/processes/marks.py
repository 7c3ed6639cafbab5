"""How old what waits is: when a log came how far, beside how far its reader has come.

What comes in: positions. What goes out: seconds. Never does I/O.
"""

from __future__ import annotations

import time
from collections import deque

from stepsize.store.manifest import WalPosition

_MARK_S = 1.0
_MAX_MARKS = 4096


class Marks:
    """Remembers when the log came so far, once a second; of a long lag, more coarsely."""

    def __init__(self) -> None:
        self._marks: deque[tuple[WalPosition, float]] = deque()
        self._ahead = WalPosition()
        self._behind = WalPosition()

    @property
    def lag_s(self) -> float:
        """Age of the oldest that waits, to a second."""
        return time.monotonic() - self._marks[0][1] if self._marks else 0.0

    def advance(self, position: WalPosition) -> None:
        """The log has come up to ``position``."""
        self._ahead = max(self._ahead, position)
        self._mark()

    def reach(self, position: WalPosition) -> None:
        """The reader has come up to ``position``."""
        self._behind = max(self._behind, position)
        while self._marks and self._marks[0][0] <= self._behind:
            self._marks.popleft()
        if not self._marks:
            self._mark()

    def _mark(self) -> None:
        now_s = time.monotonic()
        if self._ahead <= self._behind or (self._marks and now_s - self._marks[-1][1] < _MARK_S):
            return
        if len(self._marks) >= _MAX_MARKS:
            self._marks = deque(list(self._marks)[::2])
        self._marks.append((self._ahead, now_s))
