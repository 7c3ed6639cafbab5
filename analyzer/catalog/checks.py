"""What has to be true of the catalogue; the build refuses to write one of which it is not.

What comes in: the tables. What goes out: one line per violation. Never mends anything.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from datetime import date
from itertools import combinations
from typing import TYPE_CHECKING, get_args

from stepsize.analyzer.catalog.rows import PriceQuality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepsize.analyzer.catalog.rows import PriceRow, RegionRow, ServerRow, Tables

_BURSTABLE = {"aws": r"t[2-9]", "azure": r"Standard_B\d", "gcp": r"f1-micro|g1-small|e2-(micro|small|medium)"}
"""What the names of types begin with whose cores can be used in full only for a while."""
GROWTH_TOLERANCE = 0.02
"""A larger server of the same family, region and allocation may cost this much less: lists round small prices."""


def violations(tables: Tables) -> list[str]:
    """Every violated invariant, one line each; an empty list means that the catalogue holds."""
    return [*_keys(tables), *_prices(tables), *_servers(tables.servers), *_dates(tables), *_growth(tables)]


def _keys(tables: Tables) -> Iterable[str]:
    keys: dict[str, list[tuple[str, ...]]] = {
        "server": [(row.vendor_id, row.server_id) for row in tables.servers],
        "server name": [(row.vendor_id, row.api_reference) for row in tables.servers],
        "region": [(row.vendor_id, row.region_id) for row in tables.regions],
        "price": [(r.vendor_id, r.region_id, r.server_id, r.allocation) for r in tables.prices],
    }
    for name, rows in keys.items():
        for key, count in Counter(rows).items():
            if count > 1:
                yield f"{name} {key} is there {count} times"


def _prices(tables: Tables) -> Iterable[str]:
    servers = {(row.vendor_id, row.server_id) for row in tables.servers}
    regions = {(row.vendor_id, row.region_id) for row in tables.regions}
    for row in tables.prices:
        if not 0 < row.price < math.inf:
            yield f"price {_name(row)} is {row.price}"
        if (row.vendor_id, row.server_id) not in servers:
            yield f"price {_name(row)} is of an unknown server"
        if (row.vendor_id, row.region_id) not in regions:
            yield f"price {_name(row)} is in an unknown region"
        if row.price_quality not in get_args(PriceQuality):
            yield f"price {_name(row)} has the quality {row.price_quality!r}"


def _servers(servers: Iterable[ServerRow]) -> Iterable[str]:
    for row in servers:
        if row.vcpus <= 0 or row.memory_amount <= 0:
            yield f"server {row.vendor_id} {row.api_reference} has no cpu or memory"
        if row.gpu_count and row.gpu_quality != "unknown" and not (row.gpu_model and row.gpu_memory_total):
            yield f"server {row.vendor_id} {row.api_reference} has a GPU without model or memory"
        pattern = _BURSTABLE.get(row.vendor_id)
        if pattern and re.match(pattern, row.api_reference) and row.cpu_allocation != "burstable":
            yield f"server {row.vendor_id} {row.api_reference} is not marked burstable"


def _dates(tables: Tables) -> Iterable[str]:
    rows: list[ServerRow | PriceRow | RegionRow] = [*tables.servers, *tables.prices, *tables.regions]
    for row in rows:
        try:
            date.fromisoformat(row.observed_at)
        except ValueError:
            yield f"{row.vendor_id}: {row.observed_at!r} is no date"
        if not row.source or not row.licence:
            yield f"{row.vendor_id}: a row has no source or licence"


def _growth(tables: Tables) -> Iterable[str]:
    yield from (
        f"{_name(small)} costs {small.price}, more than {_name(large)} at {large.price}"
        for small, large in falling(tables.servers, tables.prices)
    )


def falling(servers: Iterable[ServerRow], prices: Iterable[PriceRow]) -> Iterable[tuple[PriceRow, PriceRow]]:
    """Pairs of prices in one family, region and allocation where the larger server costs less than the smaller.

    Spot prices that a vendor states move each on its own, and are not compared.
    """
    known = {(row.vendor_id, row.server_id): row for row in servers}
    groups: dict[tuple[str | None, ...], list[tuple[ServerRow, PriceRow]]] = defaultdict(list)
    for price in prices:
        server = known.get((price.vendor_id, price.server_id))
        moves = price.allocation == "spot" and price.price_quality == "listed"
        if server is None or moves:  # a server that is not known is a violation of its own
            continue
        group = (price.vendor_id, _series(server), server.cpu_allocation, price.region_id, price.allocation)
        groups[group].append((server, price))
    for members in groups.values():
        ordered = sorted(members, key=lambda pair: (pair[0].vcpus, pair[0].memory_amount, pair[0].server_id))
        for (small, small_price), (large, large_price) in combinations(ordered, 2):
            if _larger(small, large) and large_price.price < small_price.price * (1 - GROWTH_TOLERANCE):
                yield small_price, large_price


def _series(server: ServerRow) -> str | None:
    """The family; on Azure the letters and version of the type's name, since its families mix unlike types."""
    if server.vendor_id == "azure":
        return re.sub(r"\d+(-\d+)?", "#", server.api_reference, count=1)
    return server.family


def _larger(small: ServerRow, large: ServerRow) -> bool:
    """Whether ``large`` has at least as much of everything and more of something."""
    sizes = [
        (small.vcpus, large.vcpus),
        (small.memory_amount, large.memory_amount),
        (small.gpu_count, large.gpu_count),
        (small.storage_size, large.storage_size),
    ]
    return all(low <= high for low, high in sizes) and any(low < high for low, high in sizes)


def _name(row: PriceRow) -> str:
    return f"{row.vendor_id} {row.server_id} {row.region_id} {row.allocation}"
