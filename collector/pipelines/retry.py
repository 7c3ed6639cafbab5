"""When a request that was not taken is tried again.

What comes in: a configuration, what an answer asked for, how long it has been tried. What goes out: how long to wait,
or None where it is given up. Pure. As upstream's exporterhelper: waits grow by a factor, each is drawn at random around
that, and a server that says when to come again is obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from stepsize.collector.components.sending import RetryConfig


@dataclass(slots=True)
class Retries:
    """The retries of one request.

    Args:
        config: the bounds.
        random: draws from [0, 1).
    """

    config: RetryConfig
    random: Callable[[], float]
    _interval_s: float = 0.0

    def wait_s(self, elapsed_s: float, retry_after_s: float | None) -> float | None:
        """How long to wait before the next attempt, ``elapsed_s`` after the first began; None: give it up."""
        config = self.config
        if not config.enabled:
            return None
        self._interval_s = min(
            self._interval_s * config.multiplier if self._interval_s else config.initial_interval_s,
            config.max_interval_s,
        )
        spread = config.randomization_factor * self._interval_s
        wait_s = self._interval_s - spread + 2 * spread * self.random()
        wait_s = max(wait_s, retry_after_s or 0.0)
        if config.max_elapsed_time_s and elapsed_s + wait_s > config.max_elapsed_time_s:
            return None
        return wait_s
