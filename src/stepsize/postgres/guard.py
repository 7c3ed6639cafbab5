"""What one client has running, and what stops it: its time is over, somebody cancels it, the client or the server goes.

What comes in: the beginning and end of each message's work, from the client's thread; reasons to stop, from others.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from stepsize.postgres.errors import SqlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.postgres.running import Stoppable


class Guard:
    """Of one client."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._running: Stoppable | None = None
        self._deadline_s: float | None = None
        self._why: SqlError | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a message is being answered."""
        return self._deadline_s is not None

    def begin(self, timeout_s: float) -> None:
        """A message is about to be answered."""
        with self._lock:
            self._running, self._why = None, None
            self._deadline_s = self._clock_s() + timeout_s

    def attach(self, running: Stoppable) -> None:
        """What answers it."""
        with self._lock:
            self._running = running
            if self._why is not None:
                running.stop(self._why)

    def end(self) -> None:
        """It has been answered."""
        with self._lock:
            self._running, self._deadline_s, self._why = None, None, None

    def stop(self, why: SqlError) -> None:
        """Stop what runs, if anything does."""
        with self._lock:
            if self._deadline_s is not None:
                self._why = self._why or why
                if self._running is not None:
                    self._running.stop(self._why)

    def look(self) -> None:
        """Stop what has had its time, and what was to be stopped and has not heard of it; to be called now and then."""
        deadline_s, why = self._deadline_s, self._why
        if why is not None:
            self.stop(why)
        elif deadline_s is not None and self._clock_s() > deadline_s:
            self.stop(SqlError("57014", "canceling statement due to statement timeout"))
