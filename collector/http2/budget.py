"""What a client may ask of a connection that leads to nothing.

What comes in: frames that carry no part of a call, pings, calls that were answered. What goes out: a fault where there
are too many of the former. Never does I/O; the clock is handed in.

Each such frame costs next to nothing and a million of them all the same a core (CVE-2019-9512 and after it: floods of
pings, settings, resets, empty frames; CVE-2023-44487: calls that are taken back at once). A client in order sends a few
for each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepsize.collector.http2.frames import ENHANCE_YOUR_CALM, ConnectionFault

if TYPE_CHECKING:
    from collections.abc import Callable

RESET_COST = 2
_MOST = 1000.0
_PER_SECOND = 20.0
_PER_CALL = 4.0
_MOST_PING_STRIKES = 2
_WITHOUT_CALLS_S = 7200.0


class Budget:
    """One connection's.

    Args:
        clock_s: a monotonic clock.
        ping_gap_s: least time between pings; those that follow an answer of ours do not count.
        pings_without_calls: whether that holds while no call runs too; else it is two hours then.
    """

    def __init__(self, clock_s: Callable[[], float], ping_gap_s: float, *, pings_without_calls: bool) -> None:
        self._clock_s = clock_s
        self._ping_gap_s = ping_gap_s
        self._pings_without_calls = pings_without_calls
        self._left = _MOST
        self._counted_s = clock_s()
        self._strikes = 0
        self._pinged_s = float("-inf")

    def spend(self, cost: float = 1.0) -> None:
        """A frame came that leads to nothing.

        Raises:
            ConnectionFault: there were too many.
        """
        self._left -= cost
        if self._left >= 0:
            return
        now_s = self._clock_s()
        self._left = min(_MOST, self._left + _PER_SECOND * (now_s - self._counted_s))
        self._counted_s = now_s
        if self._left < 0:
            raise ConnectionFault(ENHANCE_YOUR_CALM, "too many frames that lead to nothing")

    def answered(self) -> None:
        """A call was answered: its client may send what belongs to calls."""
        self._left = min(_MOST, self._left + _PER_CALL)
        self._strikes, self._pinged_s = 0, float("-inf")

    def pinged(self, *, has_calls: bool) -> None:
        """A ping came (as grpc/grpc's proposal A8 and its servers count them).

        Raises:
            ConnectionFault: they come too soon after each other.
        """
        self.spend()
        now_s = self._clock_s()
        gap_s = self._ping_gap_s if has_calls or self._pings_without_calls else max(self._ping_gap_s, _WITHOUT_CALLS_S)
        if now_s - self._pinged_s < gap_s:
            self._strikes += 1
            if self._strikes > _MOST_PING_STRIKES:
                raise ConnectionFault(ENHANCE_YOUR_CALM, "too_many_pings")
        self._pinged_s = now_s
