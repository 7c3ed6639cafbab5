"""The catalogue that ships, opened once for all tests of a process: none of them changes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stepsize.analyzer.catalog import parquet, place
from stepsize.analyzer.catalog.rows import Tables
from stepsize.analyzer.matching import Catalog
from tests.analyzer.shipped import rows


@pytest.fixture(scope="session")
def catalog() -> Iterator[Catalog]:
    """The catalogue, opened."""
    with Catalog.open() as opened:
        yield opened


@pytest.fixture(scope="session")
def shipped() -> Tables:
    """Its tables, read by the catalogue's own reader."""
    return parquet.read(place.shipped())


@pytest.fixture(scope="session")
def joined() -> list[dict[str, Any]]:
    """Each price with its server and region, cheapest first, joined here and not by the code under test."""
    servers = {(row["vendor_id"], row["server_id"]): row for row in rows("servers")}
    regions = {(row["vendor_id"], row["region_id"]): row["api_reference"] for row in rows("regions")}
    found = [
        {
            "price": row["price"],
            "allocation": row["allocation"],
            "region": regions[row["vendor_id"], row["region_id"]],
            **servers[row["vendor_id"], row["server_id"]],
            "vendor_id": row["vendor_id"],
        }
        for row in rows("server_prices")
        if servers[row["vendor_id"], row["server_id"]]["status"] == "active"
    ]
    return sorted(found, key=lambda row: (row["price"], row["region"], row["allocation"]))
