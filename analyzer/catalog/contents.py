"""What a catalogue holds, vendor by vendor.

What comes in: its directory. What goes out: frozen :class:`VendorContents`. Never changes anything.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stepsize.analyzer.sql import query_text
from stepsize.errors import DataError
from stepsize.store.sql import literal

if TYPE_CHECKING:
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


def contents(directory: Path) -> list[VendorContents]:
    """Every vendor in the catalogue of ``directory``, by name.

    Raises:
        DataError: it holds none.
    """
    import duckdb  # noqa: PLC0415 - 60 ms that `stepsize --help` need not pay

    from stepsize.store.bounds import quiet_connection  # noqa: PLC0415 - as above

    with closing(quiet_connection(threads=1)) as connection:
        try:
            for table in ("servers", "server_prices"):
                path = literal(str(directory / f"{table}.parquet"))
                connection.execute(f"CREATE VIEW {table} AS FROM read_parquet({path})")
            return [VendorContents(*row) for row in connection.execute(query_text("catalog_show")).fetchall()]
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{directory} holds no catalogue ({reason}): run `stepsize catalog update`") from None
