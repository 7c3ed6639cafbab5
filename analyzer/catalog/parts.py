"""The parts of a catalogue: the rows of each licence in files of their own.

What comes in: a catalogue's directory, or tables. What goes out: the files of a table, the SQL that reads them as one;
or the tables of each part. Never writes.

Rows under Apache-2.0 lie in the directory itself and hold without the others: regions that another licence's rows
describe are there by their names alone, and give way to those where they are read together. Rows of any other licence
lie below, in a directory that is named for it (``cc-by-sa-4-0``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stepsize.analyzer.catalog.rows import PriceRow, RegionRow, Tables
from stepsize.store.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

OWN = "Apache-2.0"
"""The licence of the rows in the directory itself."""
TABLES = ("servers", "server_prices", "regions")
"""What every catalogue has, each in a file or more; ``server_scores`` comes with an update."""
_LONGEST_NAME = 64


def name(licence: str) -> str:
    """The directory of a licence's rows, below the catalogue's; empty for the catalogue's own."""
    return "" if licence == OWN else re.sub(r"[^a-z0-9]+", "-", licence.lower()).strip("-")[:_LONGEST_NAME] or "other"


def files(directory: Path, table: str) -> list[Path]:
    """The files of ``table`` (``servers``, ...) that are there, the directory's own first."""
    own = directory / f"{table}.parquet"
    return [*([own] if own.exists() else []), *sorted(directory.glob(f"*/{table}.parquet"))]


def view(directory: Path, table: str) -> str:
    """The SQL statement that makes a view ``table`` of all its files; it fails where the own one is missing."""
    own = directory / f"{table}.parquet"
    paths = dict.fromkeys((own, *files(directory, table)))
    rows = f"FROM read_parquet([{', '.join(literal(str(path)) for path in paths)}])"
    if table == "regions":
        rows += f" QUALIFY row_number() OVER (PARTITION BY vendor_id, region_id ORDER BY licence = {literal(OWN)}) = 1"
    return f"CREATE OR REPLACE VIEW {table} AS {rows}"


def view_of(part: Path, table: str) -> str:
    """As :func:`view`, of one part alone, which has no row of a table that has no file there."""
    path = part / f"{table}.parquet"
    if not path.exists() and any((part / f"{other}.parquet").exists() for other in TABLES):
        return f"CREATE OR REPLACE VIEW {table} AS SELECT NULL::VARCHAR AS licence WHERE false"
    return f"CREATE OR REPLACE VIEW {table} AS FROM read_parquet({literal(str(path))})"


def merged(tables: Iterable[Tables]) -> Tables:
    """The parts of a catalogue as one, each table sorted by its key; the first is its own."""
    parts = list(tables)
    servers = [row for part in parts for row in part.servers]
    prices = [row for part in parts for row in part.prices]
    regions = {(row.vendor_id, row.region_id): row for part in parts for row in part.regions}
    scores = [row for part in parts for row in part.scores]
    return Tables(
        tuple(sorted(servers, key=lambda row: (row.vendor_id, row.server_id))),
        tuple(sorted(prices, key=lambda row: (row.vendor_id, row.region_id, row.server_id, row.allocation))),
        tuple(regions[key] for key in sorted(regions)),
        tuple(sorted(scores, key=lambda row: (row.vendor_id, row.server_id))),
    )


def split(tables: Tables) -> dict[str, Tables]:
    """The tables of each part by its name; the catalogue's own, named ``""``, is there even where it has no row."""
    rows = (tables.servers, tables.prices, tables.regions, tables.scores)
    licences = {row.licence for table in rows for row in table}
    found = {part: _of_part(tables, part) for part in sorted({"", *map(name, licences)})}
    own = found[""]
    there = {(row.vendor_id, row.region_id) for row in own.regions}
    missing = [row for row in regions_of(own.prices) if (row.vendor_id, row.region_id) not in there]
    regions = sorted((*own.regions, *missing), key=lambda row: (row.vendor_id, row.region_id))
    return found | {"": Tables(own.servers, own.prices, tuple(regions), own.scores)}


def regions_of(prices: Sequence[PriceRow]) -> tuple[RegionRow, ...]:
    """Regions as far as prices name them."""
    named = {(row.vendor_id, row.region_id): row for row in prices}
    return tuple(
        RegionRow(
            vendor_id=vendor,
            region_id=region,
            api_reference=region,
            display_name=region,
            country_id=None,
            city=None,
            status="active",
            source=row.source,
            observed_at=row.observed_at,
            licence=row.licence,
        )
        for (vendor, region), row in sorted(named.items())
    )


def _of_part(tables: Tables, part: str) -> Tables:
    return Tables(
        tuple(row for row in tables.servers if name(row.licence) == part),
        tuple(row for row in tables.prices if name(row.licence) == part),
        tuple(row for row in tables.regions if name(row.licence) == part),
        tuple(row for row in tables.scores if name(row.licence) == part),
    )
