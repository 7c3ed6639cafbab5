"""On-demand prices of EC2, repaired: the source's Linux list alone is wrong for a quarter of its entries.

What comes in: apache-libcloud's price lists for Linux, RHEL, RHEL with HA and SUSE, and the vCPUs of each type. What
goes out: one price per type and region, or none. Never outputs a zero, never averages.

How the lists err: each entry of the source is one of several offers of Amazon's price list, picked at random: on
demand, dedicated tenancy (6 to 10 % more) or a reservation (0, or the operating system's fee alone). What repairs them:

1. *Witnesses.* An operating system adds a fee that is the same everywhere (by vCPU for RHEL since July 2024, by
   instance for SUSE), so each list less its fee is an independent reading of the one Linux price. The fees are read
   off the lists themselves: they are the differences on which hundreds of entries agree.
2. *Lines.* In most families a price is the size times one unit price for the family and region. The lowest unit price
   that holds for most of the family's sizes is the on-demand one, since every error adds.
3. *Regions.* What the family costs in other regions contradicts what is left (``aws_regions``).

A price that its own Linux entry states is ``listed``; one that the witnesses or the line correct is ``repaired``. A GPU
type without agreement among its witnesses keeps its Linux entry, or else its lowest reading, as ``derived``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from stepsize.analyzer.catalog import aws_regions

if TYPE_CHECKING:
    from stepsize.analyzer.catalog.rows import PriceQuality

PriceList = Mapping[str, Mapping[str, float]]
"""Type → region → USD per hour, zero where the source has no price."""

_TOLERANCE = 0.004
"""Relative difference within which two readings are one price: the lists round to three digits."""
_ROUNDING_USD = 0.0007
"""The same for small prices: half a unit of the third digit, once for the entry and once for the fee."""
_LINE_SHARE = 0.6
"""Share of a family's sizes that have to lie on a line for the line to hold for all."""
_SIZES = {"nano": 1, "micro": 2, "small": 4, "medium": 8, "large": 16, "xlarge": 32}
_REDUCED = {"p4d": 0.33, "p4de": 0.33, "p5": 0.44, "p5en": 0.25}
REDUCED_ON = "2025-06-01"
"""AWS News Blog, 5 June 2025: on-demand prices of P4d, P4de, P5 and P5en fell by so much in every region."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per hour, how it is known, and whether the announced reduction of June 2025 is in it."""

    usd: float
    quality: PriceQuality
    reduced: bool = False


@dataclass(frozen=True, slots=True)
class _Reading:
    """One list's statement of a Linux price; ``size`` is the type's size where its name tells, else None."""

    server: str
    usd: float
    size: float | None


def fee_rhel(vcpus: int) -> float:
    """USD per hour that RHEL adds."""
    return vcpus * (0.0144 if vcpus <= 8 else 0.0108 if vcpus < 128 else 0.0096)


def fee_rhel_ha(vcpus: int) -> float:
    """USD per hour that RHEL with high availability adds."""
    return vcpus * (0.0319 if vcpus <= 8 else 0.0248 if vcpus < 128 else 0.0201)


def fee_suse(vcpus: int) -> float:
    """USD per hour that SUSE adds."""
    return 0.0563 if vcpus <= 4 else 0.125


def on_demand(lists: Mapping[str, PriceList], vcpus: Mapping[str, int]) -> dict[tuple[str, str], Price]:
    """(type, region) → price.

    Args:
        lists: the lists ``linux``, ``rhel``, ``rhel_ha`` and ``suse``; those not there are no witnesses.
        vcpus: vCPUs of each type; a type that is not in it has its Linux entry as only witness.
    """
    families: dict[tuple[str, str], dict[str, list[_Reading]]] = defaultdict(dict)
    for server, regions in lists["linux"].items():
        for region in regions:
            readings = _readings(lists, server, region, vcpus.get(server))
            if readings:
                families[server.partition(".")[0], region][server] = readings
    found: dict[str, dict[tuple[str, str], Price]] = defaultdict(dict)
    stated: dict[tuple[str, str], list[float]] = {}
    for (family, region), readings_of in families.items():
        unit = _unit_price(readings_of)
        for server, readings in readings_of.items():
            stated[server, region] = [reading.usd for reading in readings]
            found[family][server, region] = _price(readings, unit, lists["linux"][server].get(region, 0.0))
    for prices in found.values():
        mended = aws_regions.corrections({entry: price.usd for entry, price in prices.items()}, stated)
        for (server, region), usd in mended.items():
            prices[server, region] = _stated(usd, lists["linux"][server].get(region, 0.0))
    return {
        entry: _with_reduction(family, price) for family, prices in found.items() for entry, price in prices.items()
    }


def _readings(lists: Mapping[str, PriceList], server: str, region: str, vcpus: int | None) -> list[_Reading]:
    fees = {"linux": 0.0}
    if vcpus is not None:
        fees |= {"rhel": fee_rhel(vcpus), "rhel_ha": fee_rhel_ha(vcpus), "suse": fee_suse(vcpus)}
    found = []
    for name, fee in fees.items():
        usd = lists.get(name, {}).get(server, {}).get(region, 0.0)
        # what is left of a reservation is its fee alone: within a rounding of nothing
        if usd > 0 and usd - fee > 2 * _ROUNDING_USD:
            found.append(_Reading(server, usd - fee, _size(server)))
    return found


def _size(server: str) -> float | None:
    name = server.partition(".")[2]
    if name in _SIZES:
        return _SIZES[name]
    match = re.fullmatch(r"(?:metal-)?(\d+)(?:xlarge|xl)", name)
    return 32.0 * int(match[1]) if match else None


def _same(left: float, right: float) -> bool:
    return abs(left - right) <= max(_TOLERANCE * right, _ROUNDING_USD)


def _unit_price(readings_of: Mapping[str, Sequence[_Reading]]) -> float | None:
    """The lowest unit price on which most sizes of a family have a reading; None where the family has no line."""
    sized = {server: readings for server, readings in readings_of.items() if readings[0].size}
    if len(sized) < 2:
        return None
    # a large size states the unit price with the most digits
    candidates = sorted((r for readings in sized.values() for r in readings), key=lambda r: -(r.size or 0))
    units = sorted({r.usd / r.size for r in candidates if r.size})
    for unit in units:
        on_line = sum(any(r.size and _same(r.usd, unit * r.size) for r in readings) for readings in sized.values())
        if on_line >= max(2, _LINE_SHARE * len(sized)):
            return _most_exact(unit, candidates)
    return None


def _most_exact(unit: float, candidates: Sequence[_Reading]) -> float:
    return next(r.usd / r.size for r in candidates if r.size and abs(r.usd / r.size / unit - 1) <= _TOLERANCE)


def _price(readings: Sequence[_Reading], unit: float | None, linux_usd: float) -> Price:
    agreed = _agreed([reading.usd for reading in readings])
    size = readings[0].size
    if unit is not None and size:
        usd = unit * size
        if agreed is None or agreed > usd or any(_same(reading.usd, usd) for reading in readings):
            return _stated(usd, linux_usd)
    if agreed is not None:
        return _stated(_shared_tenancy(agreed, readings), linux_usd)
    if linux_usd > 0:
        return _stated(_shared_tenancy(linux_usd, readings), linux_usd)
    return Price(round(min(reading.usd for reading in readings), 6), "derived")


def _shared_tenancy(usd: float, readings: Sequence[_Reading]) -> float:
    """``usd``, or the reading below it by just what dedicated tenancy adds: then ``usd`` is a dedicated price."""
    lower = sorted(reading.usd for reading in readings)
    return next((low for low in lower if any(abs(usd / low / up - 1) < 0.002 for up in aws_regions.DEDICATED)), usd)


def _agreed(values: Sequence[float]) -> float | None:
    """The lowest value that two lists state."""
    ordered = sorted(values)
    return next((low for low, high in pairwise(ordered) if _same(low, high)), None)


def _stated(usd: float, linux_usd: float) -> Price:
    if linux_usd > 0 and _same(linux_usd, usd):
        return Price(linux_usd, "listed")
    return Price(round(usd, 6), "repaired")


def _with_reduction(family: str, price: Price) -> Price:
    share = _REDUCED.get(family)
    if share is None:
        return price
    return Price(round(price.usd * (1 - share), 6), "derived", reduced=True)
