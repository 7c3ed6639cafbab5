"""Starts the process that writes a card, from inside the task.

What comes in: an `Order`. What goes out: a process beside the task that inherits nothing of it but a pipe by whose end
the task sees its end, or none. Never raises or prints, and only `CardWriter.wait` waits: the task pays for one
``posix_spawn``. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import select
from typing import TYPE_CHECKING

from stepsize.instrumentation import spawn
from stepsize.instrumentation.quiet import quietly

if TYPE_CHECKING:
    from stepsize.card.order import Order
    from stepsize.settings import Settings

LAST_LOOK_S = 5.0
"""How long a task whose host ends with it waits for its card's last state."""


class CardWriter:
    """The process beside the task. Where the host outlives the task, the task holds nothing of it."""

    def __init__(self, order: Order, settings: Settings, *, waited_for: bool) -> None:
        self._ended: int | None = None
        # The writer is ours: neither does it register itself, nor does it print.
        settings = settings._replace(autostart=False)
        arguments = ["-m", spawn.CARD_MODULE, order.dumps()]
        with quietly():
            reading, writing = os.pipe()
            try:
                if spawn.start_once(arguments, settings, writing) and waited_for:
                    self._ended, reading = reading, -1
            finally:
                os.close(writing)
                if reading >= 0:
                    os.close(reading)

    def wait(self, timeout_s: float = LAST_LOOK_S) -> None:
        """Wait until it has written the card's last state, where it was to be waited for."""
        if self._ended is None:
            return
        descriptor, self._ended = self._ended, None
        with contextlib.suppress(OSError):
            end = select.poll()  # POLLHUP needs no asking: it comes once the last holder of the other end is gone
            end.register(descriptor, 0)
            end.poll(timeout_s * 1000)
        with contextlib.suppress(OSError):
            os.close(descriptor)
