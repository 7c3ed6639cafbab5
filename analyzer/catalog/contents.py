"""What a catalogue holds, vendor by vendor and part by part.

What comes in: its directory. What goes out: frozen :class:`VendorContents` and :class:`PartContents`. Never changes
anything.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepsize.analyzer.catalog import parts
from stepsize.analyzer.sql import query_text
from stepsize.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class VendorContents:
    """Counts of servers and prices of a vendor, and the ISO dates between which they were observed."""

    vendor_id: str
    servers: int
    servers_with_gpu: int
    servers_observed_at: str
    servers_priced: int
    regions_priced: int
    prices_ondemand: int
    prices_spot: int
    prices_listed: int
    prices_repaired: int
    prices_derived: int
    prices_oldest: str | None
    prices_newest: str | None
    sources: list[str]
    licences: list[str]


@dataclass(frozen=True, slots=True)
class PartContents:
    """The rows of one part: its directory's name below the catalogue's (empty: its own), their licences and counts."""

    name: str
    licences: list[str]
    servers: int
    prices: int
    regions: int


def contents(directory: Path) -> list[VendorContents]:
    """Every vendor in the catalogue of ``directory``, by name.

    Raises:
        DataError: it holds none.
    """
    views = [parts.view(directory, table) for table in ("servers", "server_prices")]
    return [VendorContents(*row) for row in _asked(directory, views, "catalog_show")]


def part_contents(directory: Path) -> list[PartContents]:
    """Every part of the catalogue of ``directory``, its own first.

    Raises:
        DataError: it holds none.
    """
    below = {file.parent for table in parts.TABLES for file in parts.files(directory, table)} - {directory}
    found = []
    for part in (directory, *sorted(below)):
        views = [parts.view_of(part, table) for table in parts.TABLES]
        ((servers, prices, regions, licences),) = _asked(directory, views, "catalog_parts")
        found.append(PartContents("" if part == directory else part.name, licences, servers, prices, regions))
    return found


def _asked(directory: Path, views: Sequence[str], query: str) -> list[tuple[Any, ...]]:
    import duckdb  # noqa: PLC0415 - 60 ms that `stepsize --help` need not pay

    from stepsize.store.bounds import quiet_connection  # noqa: PLC0415 - as above

    with closing(quiet_connection(threads=1)) as connection:
        try:
            for view in views:
                connection.execute(view)
            return connection.execute(query_text(query)).fetchall()
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{directory} holds no catalogue ({reason}): run `stepsize catalog update`") from None
