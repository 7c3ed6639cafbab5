"""EC2 prices of one family held against each other over all regions.

What comes in: the family's prices as its own region's lists tell them, and the readings behind each. What goes out:
other prices for those that are contradicted. Pure; corrects only what is a known error of the lists.

A family costs in one region what it costs in another times one factor, for all of its sizes: of 14,000 prices all but
44 keep to that within 1.5 %. So each price has one more witness: what its size costs elsewhere, times that factor.
"""

from __future__ import annotations

from collections import defaultdict
from statistics import median_low
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Entry = tuple[str, str]
"""Type, region."""
DEDICATED = (1.10, 1.06)
"""What dedicated tenancy costs in terms of the on-demand price: newer families, older ones."""
_DIFFERS = 0.015
"""Relative difference from which a price contradicts the others: above what rounding adds."""
_AGREES = 0.006
_LEAST = 3
"""Sizes in the region, and regions of the size, from which others are many enough to be believed."""
_ROUNDS = 20


def corrections(usd: Mapping[Entry, float], readings: Mapping[Entry, Collection[float]]) -> dict[Entry, float]:
    """The prices of a family that are not what other regions and sizes say, and what they are instead.

    A price above that is replaced by a reading that agrees, or where it is above by just what dedicated tenancy costs,
    by as much less; one below only if no reading states it (it was drawn from other sizes) and one agrees.
    """
    expected = _expected(usd)
    found = {}
    for entry, price in usd.items():
        should = expected.get(entry)
        if should is None or abs(price / should - 1) <= _DIFFERS:
            continue
        agreeing = [reading for reading in readings[entry] if _near(reading, should)]
        stated = any(_near(reading, price) for reading in readings[entry])
        if agreeing and (price > should or not stated):
            found[entry] = agreeing[0]
        elif dedicated := [up for up in DEDICATED if _near(price / up, should)]:
            found[entry] = price / dedicated[0]
    return found


def _near(left: float, right: float) -> bool:
    return abs(left / right - 1) <= _AGREES


def _expected(usd: Mapping[Entry, float]) -> dict[Entry, float]:
    """Size times region, by medians in turn (Tukey's median polish, 1977); lower ones, since every error adds."""
    by_server: dict[str, list[str]] = defaultdict(list)
    by_region: dict[str, list[str]] = defaultdict(list)
    for server, region in usd:
        by_server[server].append(region)
        by_region[region].append(server)
    factor = dict.fromkeys(by_region, 1.0)
    unit: dict[str, float] = {}
    for _ in range(_ROUNDS):
        unit = {
            name: median_low(usd[name, region] / factor[region] for region in by_server[name]) for name in by_server
        }
        factor = {
            region: median_low(usd[name, region] / unit[name] for name in by_region[region]) for region in by_region
        }
    return {
        (server, region): unit[server] * factor[region]
        for server, region in usd
        if len(by_server[server]) >= _LEAST and len(by_region[region]) >= _LEAST
    }
