"""Newer rows laid over a catalogue.

What comes in: the tables in use, and what a source states. What goes out: tables. Pure; checks nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stepsize.analyzer.catalog.rows import PriceRow, RegionRow, ScoreRow, ServerRow, Tables

if TYPE_CHECKING:
    from collections.abc import Iterable

Scope = tuple[str, str, str | None]
"""Vendor, allocation, region id (None: all of them) of which a source states every price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one source states; prices within its ``scopes`` that it does not state are taken away.

    ``unread`` counts rows of the source that could not be read.
    """

    source: str
    servers: tuple[ServerRow, ...] = ()
    regions: tuple[RegionRow, ...] = ()
    prices: tuple[PriceRow, ...] = ()
    scores: tuple[ScoreRow, ...] = ()
    scopes: frozenset[Scope] = field(default_factory=frozenset)
    unread: int = 0


def laid_over(tables: Tables, layer: Layer) -> Tables:
    """``tables`` with ``layer`` on top, sorted by key; prices of servers or regions that nobody knows are left out."""
    servers = {(row.vendor_id, row.server_id): row for row in tables.servers}
    for row in layer.servers:
        key = (row.vendor_id, row.server_id)
        pods = servers[key].eks_max_pods if key in servers else None
        servers[key] = replace(row, eks_max_pods=row.eks_max_pods or pods)
    regions = {(row.vendor_id, row.region_id): row for row in (*tables.regions, *layer.regions)}
    kept = (row for row in tables.prices if not _stated(row, layer.scopes))
    prices = {_key(row): row for row in (*kept, *layer.prices) if _known(row, servers, regions)}
    return Tables(
        tuple(servers[key] for key in sorted(servers)),
        tuple(prices[key] for key in sorted(prices)),
        tuple(regions[key] for key in sorted(regions)),
        layer.scores or tables.scores,
    )


def _stated(row: PriceRow, scopes: Iterable[Scope]) -> bool:
    of_vendor = (row.vendor_id, row.allocation)
    return (*of_vendor, None) in scopes or (*of_vendor, row.region_id) in scopes


def _key(row: PriceRow) -> tuple[str, str, str, str]:
    return row.vendor_id, row.region_id, row.server_id, row.allocation


def _known(row: PriceRow, servers: dict[tuple[str, str], ServerRow], regions: dict[tuple[str, str], RegionRow]) -> bool:
    return (row.vendor_id, row.server_id) in servers and (row.vendor_id, row.region_id) in regions
