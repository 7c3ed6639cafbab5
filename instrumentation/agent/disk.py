"""What the sender has on disk: this agent's spool, and those that other credentials of the same account left.

What comes in: requests that nobody takes. What goes out: requests, this agent's own first, then what others left that
nobody sends. A disk that fails is left alone for a while, and what was dealt with but cannot be removed is not sent
again meanwhile. Called from the sender's thread, and from the agent's at its end. Raises nothing.

Spools of other credentials are locked by no more than the agents that have these (`docs/decisions/0028`): whoever is
refused lets go of its own too, and whatever it meets, nobody keeps what is not its own.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from stepsize.instrumentation.agent.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from stepsize.instrumentation.agent.delivery import Request
    from stepsize.instrumentation.agent.spool import Spool, Spooled

_LOOK_INTERVAL_S = 30.0
"""How soon it is noticed that others left something."""

_log = logging.getLogger(__name__)


class Disk:
    """The spools that this agent sends from.

    Args:
        own: where this agent keeps requests.
        others: finds the spools of the same account that are there now, made anew at each call.
        pause_s: after a fault the disk is left alone for so long.
    """

    def __init__(self, own: Spool, others: Callable[[], Iterable[Spool]] = tuple, *, pause_s: float = 60.0) -> None:
        self._own = own
        self._find_others = others
        self._pause_s = pause_s
        self._others: dict[Path, Spool] = {}
        self._loaded: tuple[Spool, Spooled] | None = None
        self._dealt_with: tuple[Spool, Spooled] | None = None
        self._write_not_before_s = self._read_not_before_s = 0.0
        self._look_not_before_s = 0.0

    @property
    def points(self) -> int:
        """Points that wait here for this agent."""
        return sum(spool.points for spool in self._all())

    @property
    def dropped_points(self) -> int:
        """Points that gave way at a bound."""
        return sum(spool.dropped_points for spool in self._all())

    @property
    def damaged_points(self) -> int:
        """Points of files that could not be read any more."""
        return sum(spool.damaged_points for spool in self._all())

    @property
    def may_take(self) -> bool:
        """Whether a request may be tried to be kept here."""
        return time.monotonic() >= self._write_not_before_s

    @property
    def until_readable_s(self) -> float | None:
        """Until what is here may be read; ``None`` where nothing is."""
        return max(0.0, self._read_not_before_s - time.monotonic()) if self.points else None

    def look(self) -> None:
        """See what earlier agents left here and what others left elsewhere."""
        self._look_not_before_s = time.monotonic() + _LOOK_INTERVAL_S
        try:
            found = {other.directory: other for other in self._find_others()}
            self._others = found | self._others
            for spool in self._all():
                if self._loaded is None or self._loaded[0] is not spool:
                    spool.look()
                    self._leave_if_empty(spool)
        except OSError as error:
            _log.warning("cannot read the spool: %s", error)

    def look_now_and_then(self) -> None:
        """`look`, where that was a while ago."""
        if time.monotonic() >= self._look_not_before_s:
            self.look()

    def oldest(self) -> Spooled | None:
        """The request to send next, the same until it is let go of; ``None`` where there is none for now."""
        if self._loaded is None and self.until_readable_s == 0:
            try:
                self._remove_dealt_with()
                self._load()
            except OSError as error:
                self._leave_alone(error)
        return None if self._loaded is None else self._loaded[1]

    def add(self, request: Request) -> bool:
        """Keep a request; whether it is on disk now."""
        try:
            self._own.add(request)
        except OSError as error:
            _log.warning("cannot spool %d points: %s", request.points, error)
            self._write_not_before_s = time.monotonic() + self._pause_s
            return False
        return True

    def replace_loaded(self, halves: Sequence[Request]) -> bool:
        """Whether the halves of the request that was loaded last are on disk now, and it is not."""
        if self._loaded is None:
            return False
        spool, spooled = self._loaded
        try:
            spool.replace(spooled, halves)
        except OSError as error:
            _log.warning("cannot spool the halves of %s: %s", spooled.path, error)
            return False
        self._loaded = None
        return True

    def remove_loaded(self) -> None:
        """Let go of the request that was loaded last: it was dealt with."""
        self._dealt_with, self._loaded = self._loaded, None
        try:
            self._remove_dealt_with()
        except OSError as error:
            self._leave_alone(error)

    def note(self, delivery: Delivery, reason: str) -> None:
        """Have the spool say what the last try met, and leave to others what they may have more luck with."""
        barred, later = delivery is Delivery.BARRED, delivery is Delivery.LATER
        self._own.note(reason if barred or later else "", barred=barred)
        if barred or later:
            for spool in self._all():
                if barred or spool is not self._own:
                    self._release(spool)

    def close(self) -> None:
        """Leave everything to the next agent."""
        for spool in self._all():
            spool.release()

    def _all(self) -> tuple[Spool, ...]:
        return self._own, *self._others.values()

    def _release(self, spool: Spool) -> None:
        if self._loaded is not None and self._loaded[0] is spool:
            self._loaded = None
        spool.release()

    def _load(self) -> None:
        """The first request of the first spool that has one.

        Raises:
            OSError: a spool cannot be read.
        """
        for spool in self._all():
            found = spool.oldest() if spool.points else None
            if found is not None:
                self._loaded = spool, found
                return

    def _remove_dealt_with(self) -> None:
        """Remove a request from disk that must not be sent again.

        Raises:
            OSError: it cannot be removed.
        """
        if self._dealt_with is not None:
            spool, spooled = self._dealt_with
            spool.remove(spooled)
            self._dealt_with = None
            self._leave_if_empty(spool)

    def _leave_if_empty(self, spool: Spool) -> None:
        """Whoever has its credentials may come, and is to hold what it then keeps there."""
        if spool is not self._own and not spool.points:
            spool.clear_away()

    def _leave_alone(self, error: OSError) -> None:
        """What fails now would fail again at once, and again."""
        _log.warning("cannot read the spool or remove what was sent of it: %s", error)
        self._read_not_before_s = time.monotonic() + self._pause_s
