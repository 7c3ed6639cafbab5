"""What lower requests have saved since they were lowered: measured hours under the new request, at both prices.

What comes in: what a step asked for before and asks for now, the hours of its attempts by what they asked for, a
catalogue's quotes. What goes out: frozen :class:`Saving` values. Pure. Hours count as they were: whether the step would
have been faster on more cores is not known. Money is the price of the cheapest server that fits each request, as
:mod:`stepsize.analyzer.costs` finds it, memory GB·h of 2^30 bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepsize.analyzer.costs import Amounts, need, terms
from stepsize.model import BYTES_PER_MB
from stepsize.sizes import GIB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.analyzer.changes.period import Held
    from stepsize.analyzer.costs import Quotes
    from stepsize.analyzer.matching import Offer

_CLEARLY = 0.99
"""A request is lower where it is below this share of the one before: what a unit's rounding makes is no decision."""


@dataclass(frozen=True, slots=True)
class Saved:
    """Memory and money that were not asked for; money by currency, as pairs in their order."""

    gb_h: float = 0.0
    money: tuple[tuple[str, float], ...] = ()

    def __add__(self, other: Saved) -> Saved:
        sums = dict(self.money)
        for currency, value in other.money:
            sums[currency] = sums.get(currency, 0.0) + value
        return Saved(self.gb_h + other.gb_h, tuple(sorted(sums.items())))


NOTHING = Saved()


@dataclass(frozen=True, slots=True)
class Saving:
    """A step that asks for less than ``before``, what it asked for until the report of ``day``, and what that saved."""

    day: str
    before: Amounts
    saved: Saved = NOTHING


def saving_of(earlier: Saving | None, asked: Amounts, asks: Amounts, day: str) -> Saving | None:
    """The saving that holds now: the one that was there as long as the step asks for less than before it, else one that
    begins today, if any. ``asked`` is of the last report, ``asks`` of this one."""
    if earlier is not None:
        return earlier if _is_lower(asks, earlier.before) else None
    return Saving(day, replace(asked, vram_mb=None)) if _is_lower(asks, asked) else None


def saved_by(saving: Saving, held: Iterable[Held], vram_mb: float | None, quotes: Quotes, platform: str) -> Saved:
    """What the attempts that were ``held`` asked less for than before ``saving``; negative where it was more.

    ``platform`` is whose share of a server is left free (:data:`stepsize.analyzer.matching.PLATFORMS`).
    """
    before = _cheapest(saving.before, vram_mb, quotes, platform)
    whole = NOTHING
    for one in held:
        before_bytes = None if saving.before.memory_mb is None else saving.before.memory_mb * BYTES_PER_MB
        less_bytes = 0.0 if before_bytes is None or one.memory_bytes is None else before_bytes - one.memory_bytes
        memory_mb = None if one.memory_bytes is None else one.memory_bytes / BYTES_PER_MB
        now = Amounts(cpu=one.cpu, memory_mb=memory_mb, gpu=one.gpu)
        money = _difference(before, _cheapest(now, vram_mb, quotes, platform), one.hours)
        whole += Saved(less_bytes / GIB * one.hours, money)
    return whole


def _difference(before: Offer | None, now: Offer | None, hours: float) -> tuple[tuple[str, float], ...]:
    if before is None or now is None or terms(before) != terms(now):
        return ()
    difference = (before.price_hourly - now.price_hourly) * hours
    return ((now.currency, difference),) if difference and math.isfinite(difference) else ()


def _cheapest(amounts: Amounts, vram_mb: float | None, quotes: Quotes, platform: str) -> Offer | None:
    wanted = need(amounts, vram_mb, platform)
    return next(iter(quotes.offers(wanted)), None) if wanted is not None else None


def _is_lower(now: Amounts, before: Amounts) -> bool:
    """Less of something and more of nothing: what is traded is no saving that could be told as one."""
    pairs = [
        (getattr(now, name), getattr(before, name))
        for name in ("memory_mb", "cpu", "gpu")
        if getattr(now, name) is not None
    ]
    known = [(after, earlier) for after, earlier in pairs if earlier is not None]
    return any(after < _CLEARLY * earlier for after, earlier in known) and all(
        after * _CLEARLY <= earlier for after, earlier in known
    )
