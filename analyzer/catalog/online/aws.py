"""AWS's own list prices: the bulk files of its Price List, one CSV a region.

What comes in: the index of regions and their files. What goes out: a :class:`Layer` of on-demand Linux prices. A file
is hundreds of MB, so regions are asked for by name; it is read as it lies on disk, a row at a time.

Source: AWS Billing User Guide, "Getting price list files manually" (region index, addresses) and "Reading your service
price list files" (lines before the header, among them the publication date; columns).
"""

from __future__ import annotations

import csv
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from stepsize.analyzer.catalog.layers import Layer
from stepsize.analyzer.catalog.online.download import same_site
from stepsize.analyzer.catalog.rows import PriceRow
from stepsize.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stepsize.analyzer.catalog.online.download import Web
    from stepsize.analyzer.catalog.rows import Tables

URL = "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonEC2/current/region_index.json"
MOST_BYTES = 4 << 30
"""Of the file of one region."""
MOST_LINE = 1 << 20
_WANTED = {
    "TermType": "OnDemand",
    "Unit": "Hrs",
    "Currency": "USD",
    "Tenancy": "Shared",
    "Operating System": "Linux",
    "Pre Installed S/W": "NA",
    "CapacityStatus": "Used",
    "operation": "RunInstances",
}


def files(web: Web, url: str, regions: Sequence[str]) -> dict[str, str]:
    """Region → address of its CSV, for the ``regions`` (names or globs) asked for.

    Raises:
        UsageError: the index has none of them.
        UnavailableError, DataError: as for :meth:`Web.page`.
    """
    index: Any = web.page(url)
    try:
        entries = {name: str(entry["currentVersionUrl"]) for name, entry in index["regions"].items()}
    except (TypeError, KeyError, AttributeError):
        raise DataError(f"{url} answered with no index of regions: the catalogue stays as it is") from None
    found = {}
    for name, path in sorted(entries.items()):
        if any(fnmatchcase(name, pattern) for pattern in regions):
            found[name] = same_site(urljoin(url, path.removesuffix(".json") + ".csv"), url)
    if not found:
        raise UsageError(f"AWS lists no region {' or '.join(regions)}: known are {', '.join(sorted(entries))}")
    return found


def layer(lines: Iterable[str], region: str, tables: Tables) -> Layer:
    """The prices among the ``lines`` of one region's CSV of servers that ``tables`` know.

    Raises:
        DataError: it is no such file.
    """
    rows = csv.reader(lines)
    published, head = _head(rows)
    place = {name: head.index(name) for name in (*_WANTED, "Instance Type", "PricePerUnit")}
    servers = {row.api_reference: row.server_id for row in tables.servers if row.vendor_id == "aws"}
    region_id = next((r.region_id for r in tables.regions if (r.vendor_id, r.api_reference) == ("aws", region)), None)
    found = {}
    for row in rows:
        if len(row) != len(head) or any(row[place[name]] != value for name, value in _WANTED.items()):
            continue
        server, price = servers.get(row[place["Instance Type"]]), _number(row[place["PricePerUnit"]])
        if server is not None and region_id is not None and price > 0:
            found[server] = PriceRow(
                vendor_id="aws",
                region_id=region_id,
                server_id=server,
                allocation="ondemand",
                price=price,
                price_quality="listed",
                source="AWS Price List",
                observed_at=published,
                licence="list price",
            )
    scopes = frozenset({("aws", "ondemand", region_id)}) if found else frozenset()
    return Layer(source=f"AWS Price List, {region}", prices=tuple(found.values()), scopes=scopes)


def _head(rows: Iterable[list[str]]) -> tuple[str, list[str]]:
    """Day of publication, and the header that follows what is said of the file."""
    published = ""
    for count, row in enumerate(rows):
        if row[:1] == ["Publication Date"] and len(row) > 1:
            published = row[1][:10]
        if {"Instance Type", "PricePerUnit", *_WANTED} <= set(row):
            try:
                return date.fromisoformat(published).isoformat(), row
            except ValueError:
                break
        if count > 20:
            break
    raise DataError("what AWS publishes is no price list: the catalogue stays as it is")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
